//! Every setting of every input.

use super::args::Args;
use super::asked::{Asked, question_of};
use super::corpus::{Corpus, Embedded};
use super::input::{self, Pair, Row};
use super::log::{self, Answers};
use super::near::Near;
use super::pairs::{self, Couple};
use super::progress::Progress;
use super::replay::{Indexed, Listed, Outcome, Setting, replay};
use super::report::{Figures, ForReading, Ground, Run, Score, Served, rounded};
use super::second::Readers;
use super::stream;
use super::{Chosen, EvalError, on_all_cores};
use crate::canon::Bypass;
use crate::config::Strictness;
use crate::semantic::Semantic;
use crate::semantic::index::Index;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One input, its texts in the corpus.
enum Ready {
    Pairs { pairs: Vec<Pair>, questions: Vec<(Question, Question)> },
    Requests { rows: Vec<Row>, asked: Asked, labels: Labels },
}

type Question = Result<u32, Bypass>;

/// What tells a right answer from a wrong one.
enum Labels {
    Classes,
    /// At best recorded answers.
    Answers(Answers),
}

/// What all inputs share.
struct Bench<'a> {
    chosen: &'a Chosen,
    semantic: &'a Semantic,
    corpus: Corpus,
    embedded: Embedded,
    served: Setting,
    sweep: Vec<Setting>,
    target: f64,
}

/// In the order pairs, streams, logs.
pub fn measure(
    args: &Args,
    chosen: &Chosen,
    semantic: &Semantic,
    target: f64,
) -> Result<Vec<Figures>, EvalError> {
    let mut corpus = Corpus::default();
    let mut inputs = Vec::new();
    for path in &args.pairs {
        inputs.push((path, ready_pairs(path, chosen, semantic, &mut corpus)?));
    }
    for path in &args.stream {
        let rows = input::stream(path)?;
        let asked = Asked::of(&rows, path, chosen, semantic, &mut corpus)?;
        inputs.push((path, Ready::Requests { rows, asked, labels: Labels::Classes }));
    }
    for path in &args.log {
        let rows = input::log(path)?;
        let asked = Asked::of(&rows, path, chosen, semantic, &mut corpus)?;
        let labels = Labels::Answers(log::answers(&rows, &mut corpus));
        inputs.push((path, Ready::Requests { rows, asked, labels }));
    }
    let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let waiting = waiting.map_err(|wrong| EvalError::Model(format!("no runtime to wait in: {wrong}")))?;
    let embedded = waiting.block_on(corpus.embed(semantic))?;
    let served = chosen.setting(&chosen.config.policy, semantic);
    let sweep = settings(args, served);
    let bench = Bench { chosen, semantic, corpus, embedded, served, sweep, target };
    Ok(inputs.into_iter().map(|(path, ready)| bench.figures(path, ready)).collect())
}

fn ready_pairs(
    path: &Path,
    chosen: &Chosen,
    semantic: &Semantic,
    corpus: &mut Corpus,
) -> Result<Ready, EvalError> {
    let pairs = input::pairs(path)?;
    let mut question = |text: &str| question_of(text, chosen, semantic, corpus);
    let questions = pairs.iter().map(|pair| (question(&pair.a), question(&pair.b))).collect();
    Ok(Ready::Pairs { pairs, questions })
}

/// Each threshold with verification and without; all ways to verify for a calibration. The served
/// threshold is among them unless the sweep was given.
fn settings(args: &Args, served: Setting) -> Vec<Setting> {
    let mut thresholds = args.sweep.clone().unwrap_or_default().0;
    if args.sweep.is_none() && !thresholds.contains(&served.threshold) {
        thresholds.push(served.threshold);
        thresholds.sort_by(f32::total_cmp);
    }
    let verifies: &[Strictness] = match (args.write_calibration, served.verify) {
        (true, _) => &[Strictness::Strict, Strictness::Balanced, Strictness::Off],
        (false, Strictness::Balanced) => &[Strictness::Balanced, Strictness::Off],
        (false, Strictness::Strict | Strictness::Off) => &[Strictness::Strict, Strictness::Off],
    };
    let with = |threshold: f32| {
        verifies.iter().map(move |verify| Setting { threshold, floor: None, verify: *verify })
    };
    thresholds.into_iter().flat_map(with).collect()
}

impl Bench<'_> {
    fn figures(&self, path: &Path, ready: Ready) -> Figures {
        let input = path.display().to_string();
        match ready {
            Ready::Pairs { pairs, questions } => self.pairs(input, &pairs, &questions),
            Ready::Requests { rows, asked, labels } => self.requests(input, &rows, &asked, &labels),
        }
    }

    fn pairs(&self, input: String, pairs: &[Pair], questions: &[(Question, Question)]) -> Figures {
        let both = pairs.iter().zip(questions);
        let couples: Vec<Couple> =
            both.map(|(pair, (a, b))| Couple::of(pair, *a, *b, &self.corpus)).collect();
        let readers = Readers::new(self.semantic, &self.corpus);
        let judge = |verify: Strictness| (verify, pairs::judge(&couples, &self.corpus, &readers, verify));
        let judged: Vec<_> = [Strictness::Strict, Strictness::Balanced, Strictness::Off].map(judge).into();
        let run = |setting: Setting| {
            let scores = judged.iter().filter(|(verify, _)| *verify == setting.verify);
            let mut runs = scores.map(|(_, judged)| pairs::score(&couples, judged, setting.threshold));
            runs.next().map(|score| Run::of(setting, Score::Pairs(score)))
        };
        let sweep = self.sweep.iter().filter_map(|setting| run(*setting)).collect();
        let (_, own) = judge(self.served.verify);
        let served = Run::of(self.served, Score::Pairs(pairs::score(&couples, &own, self.served.threshold)));
        let (worst, wrong_hits) = pairs::wrong_hits(pairs, &couples, &own, self.served.threshold);
        let reading = ForReading {
            worst,
            wrong_hits,
            verify: pairs::latency(&couples, &self.corpus, self.served).ranks(),
            ..self.reading(couples.iter().filter_map(Couple::bypass), &readers, "pairs")
        };
        let ground = Ground::Pairs { auc: pairs::plain_auc(&couples) };
        self.finish(input, pairs.len(), ground, served, sweep, reading)
    }

    fn requests(&self, input: String, rows: &[Row], asked: &Asked, labels: &Labels) -> Figures {
        let score = |outcomes: &[Outcome]| match labels {
            Labels::Classes => Score::Stream(stream::tally(rows, outcomes)),
            Labels::Answers(answers) => Score::Log(log::score(outcomes, answers, &self.corpus)),
        };
        let near = Near::of(asked, &self.corpus);
        let readers = Readers::new(self.semantic, &self.corpus);
        let sweep = self.replays(asked, &near, &readers, &score);
        let index = Index::new(
            self.semantic.model_name(),
            self.semantic.dim(),
            self.chosen.config.semantic.hnsw_from,
        );
        let mut shelf = Indexed::new(asked, &self.corpus, index, &readers);
        let outcomes = replay(asked, &mut shelf, |item| item.setting);
        let (worst, wrong_hits) = match labels {
            Labels::Classes => stream::wrong_hits(rows, asked, &self.corpus, &outcomes),
            Labels::Answers(answers) => log::suspects(&outcomes, asked, answers, &self.corpus),
        };
        let bypassed = asked.order.iter().filter_map(|at| asked.items[*at as usize].question.err());
        let mut reading = ForReading {
            worst,
            wrong_hits,
            search: shelf.search.ranks(),
            verify: shelf.verify.ranks(),
            recommended: stream::recommended(&sweep, self.target),
            ..self.reading(bypassed, &readers, "requests")
        };
        if asked.items.iter().any(|item| item.setting != self.served) {
            reading.notes.push(
                "some routes have settings of their own: `served` follows them, the sweep does not"
                    .to_owned(),
            );
        }
        let served = Run::of(self.served, score(&outcomes));
        let ground = match labels {
            Labels::Classes => stream::ground(rows, asked),
            Labels::Answers(_) => {
                Ground::Log { exact: rounded(1.0 - asked.items.len() as f64 / rows.len().max(1) as f64) }
            }
        };
        self.finish(input, rows.len(), ground, served, sweep, reading)
    }

    /// One replay a setting, over all cores, in the order of the settings.
    fn replays(
        &self,
        asked: &Asked,
        near: &Near,
        readers: &Readers<'_>,
        score: &(impl Fn(&[Outcome]) -> Score + Sync),
    ) -> Vec<Run> {
        let (next, progress) = (AtomicUsize::new(0), Progress::start("settings replayed", self.sweep.len()));
        let work = || {
            let mut runs = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(setting) = self.sweep.get(at) else { return runs };
                let mut shelf = Listed::new(asked, &self.corpus, near, readers);
                let outcomes = replay(asked, &mut shelf, |_| *setting);
                runs.push((at, Run::of(*setting, score(&outcomes))));
                progress.add(1);
            }
        };
        let mut runs: Vec<(usize, Run)> = on_all_cores(work).into_iter().flatten().collect();
        runs.sort_unstable_by_key(|(at, _)| *at);
        runs.into_iter().map(|(_, run)| run).collect()
    }

    /// What is the same for all kinds of input.
    fn reading(
        &self,
        bypassed: impl Iterator<Item = Bypass>,
        readers: &Readers<'_>,
        what: &str,
    ) -> ForReading {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for bypass in bypassed {
            *counts.entry(bypass.word()).or_default() += 1;
        }
        let exact_only: Vec<(&'static str, usize)> = counts.into_iter().collect();
        let mut notes = Vec::new();
        if !exact_only.is_empty() {
            let reasons: Vec<String> =
                exact_only.iter().map(|(word, count)| format!("{word} {count}")).collect();
            notes.push(format!("{what} matched exactly only: {}", reasons.join(", ")));
        }
        let passes = readers.passes();
        if let Some(ranks) = passes.ranks() {
            notes.push(format!(
                "the cross-encoder read {} pairs, p50 {:.1} ms each; `verify` is without it",
                passes.len(),
                ranks.p50
            ));
        }
        if self.embedded.too_long > 0 {
            notes.push(format!(
                "{} texts are longer than the model reads; they match exactly only",
                self.embedded.too_long
            ));
        }
        if let Some((count, why)) = &self.embedded.failed {
            notes.push(format!("{count} texts could not be embedded ({why}); they match exactly only"));
        }
        ForReading { exact_only, notes, embed: self.embedded.latency.ranks(), ..ForReading::default() }
    }

    fn finish(
        &self,
        input: String,
        requests: usize,
        ground: Ground,
        served: Run,
        sweep: Vec<Run>,
        reading: ForReading,
    ) -> Figures {
        let served = Served {
            run: served,
            embed_p50_ms: reading.embed.map(|ranks| ranks.p50),
            verify_p50_ms: reading.verify.map(|ranks| ranks.p50),
        };
        Figures {
            model: self.semantic.model_name().to_owned(),
            input,
            requests,
            ground,
            served,
            sweep,
            reading,
        }
    }
}
