//! One audit, from the draw to what follows from its verdict.

use super::compare::{Means, Pair};
use super::watch::{Count, Next, Open, Watch};
use crate::accounts::row::{Kind, Payer};
use crate::base::digest::Credential;
use crate::cache::admit::{Admitted, Terms};
use crate::cache::{Content, Entry, Found};
use crate::canon::Canon;
use crate::config::AuditBy;
use crate::gateway::visit::Visit;
use crate::gateway::{Gateway, Reply, Settings};
use crate::semantic::budget::Verdict;
use crate::tape::{Recorder, Tape};
use crate::upstream::{Incoming, Outgoing, OutgoingBody};
use crate::wire::Dialect;
use crate::wire::answer::Finish;
use crate::wire::usage::Usage;
use futures_util::StreamExt;
use http::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// The longest that an audit may take, its time in the queue included.
const LIMIT: Duration = Duration::from_secs(300);

/// What is compared with a fresh answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// A hit by meaning that was served: the upstream is asked for the audit's sake.
    Hit,
    /// A neighbour that was not served; its request went upstream anyway.
    Near,
    /// A hit by meaning that observe mode did not serve.
    Observed,
    /// A hit by exact key, likewise.
    Exact,
}

impl Of {
    /// A label of `audits_total`.
    pub fn word(self) -> &'static str {
        match self {
            Of::Hit => "hit",
            Of::Near => "near",
            Of::Observed => "observed",
            Of::Exact => "exact",
        }
    }
}

/// What an audit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Agreed,
    Differed,
    /// No fresh answer: the upstream is away, refuses or fails.
    UpstreamFailed,
    /// A fresh answer that is cut, too long or none of its dialect.
    NotWhole,
    /// Two answers that cannot be compared so: in a language that the model does not cover, too long for it.
    Incomparable,
    /// The judge is away, too slow or says something else than asked.
    JudgeFailed,
    /// No room, or a rest after the upstream failed.
    Shed,
    /// Not done within five minutes.
    Late,
    /// The process is going down.
    Stopped,
}

impl Outcome {
    /// A label of `audits_total`.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Agreed => "agreed",
            Outcome::Differed => "differed",
            Outcome::UpstreamFailed => "upstream_failed",
            Outcome::NotWhole => "not_whole",
            Outcome::Incomparable => "incomparable",
            Outcome::JudgeFailed => "judge_failed",
            Outcome::Shed => "shed",
            Outcome::Late => "late",
            Outcome::Stopped => "stopped",
        }
    }
}

/// What an errand's answer is compared with once it is whole.
#[derive(Debug)]
pub struct Shadow {
    pub of: Of,
    watch: Arc<Watch>,
    entry: Arc<Entry>,
    question: Box<str>,
    /// `None` for an exact hit: it is compared, but is no evidence about a threshold.
    open: Option<Open>,
}

/// One audit of a hit.
struct Audit {
    settings: Arc<Settings>,
    dialect: Dialect,
    caller: Credential,
    payer: Payer,
    model: Box<str>,
    outgoing: Outgoing,
    canon: Canon,
    terms: Terms,
    entry: Arc<Entry>,
    open: Open,
}

impl Gateway {
    /// Answers with a hit; if it is drawn, it is audited afterwards.
    pub(in crate::gateway) fn hit(
        self: &Arc<Self>,
        visit: Box<Visit>,
        found: Found,
    ) -> (crate::cache::Verdict, Reply) {
        let Some(watch) = visit.watch() else { return self.play(&visit, found) };
        let drawn = match found.score {
            None => {
                watch.counts.add(Count::Exact, 1);
                None
            }
            Some(score) => {
                watch.counts.add(Count::Semantic, 1);
                self.trust.remember(visit.canon.partition, watch);
                watch.draw(Of::Hit, score)
            }
        };
        let entry = found.entry.clone();
        let drawn = drawn.map(|open| (open, visit.tab.payer()));
        let answer = self.play(&visit, found);
        if let Some((open, payer)) = drawn {
            self.audit(visit, entry, open, payer);
        }
        answer
    }

    /// Notes what would have been served, to be compared with what the upstream says. `None`: nothing to compare.
    pub(in crate::gateway) fn shadow(&self, visit: &Visit, of: Of, found: &Found) -> Option<Shadow> {
        let watch = visit.watch()?;
        let open = match (of, found.score) {
            (Of::Exact, _) => None,
            (_, Some(score)) => Some(watch.draw(of, score)?),
            (_, None) => return None,
        };
        let question = visit.canon.question.as_ref().map_or("", |question| question.0.as_str());
        Some(Shadow { of, watch: watch.clone(), entry: found.entry.clone(), question: question.into(), open })
    }

    /// The errand's answer is whole: compares it, behind the client.
    pub(in crate::gateway) fn compare_shadow(
        self: &Arc<Self>,
        settings: &Settings,
        shadow: Shadow,
        fresh: Tape,
    ) {
        let Shadow { of, watch, entry, question, open } = shadow;
        let Content::Answer(stored) = &entry.content else { return };
        let pair = Pair { question, stored: stored.clone(), fresh };
        let Some(place) = self.trust.desk.place(pair.size()) else {
            return self.metrics.audited(of.word(), Outcome::Shed.word());
        };
        let means = self.means(settings, &watch, of);
        let gateway = self.clone();
        let work = async move {
            let Some(_turn) = place.turn().await else { return Outcome::Stopped };
            match open {
                Some(open) => {
                    let outcome = settle(open, &pair, &means).await;
                    if outcome == Outcome::Differed {
                        gateway.cache.unlearn(&entry.key);
                    }
                    outcome
                }
                None => gateway.compare_exact(&watch, &pair, &means).await,
            }
        };
        self.behind(of, work);
    }

    async fn compare_exact(&self, watch: &Watch, pair: &Pair, means: &Means) -> Outcome {
        match pair.compare(means, watch, 0).await {
            Ok(verdict) => {
                watch.counts.add(Count::ExactCompared, 1);
                watch.counts.add(Count::ExactDiffered, u64::from(verdict == Verdict::Differs));
                outcome(verdict)
            }
            Err(outcome) => outcome,
        }
    }

    /// Who compares. An exact hit is never worth a judge's tokens.
    fn means(&self, settings: &Settings, watch: &Watch, of: Of) -> Means {
        let by = if of == Of::Exact && watch.by == AuditBy::Judge { AuditBy::Meaning } else { watch.by };
        let (semantic, judge) = (self.cache.semantic(), settings.watches.judge.clone());
        Means { by, semantic, judge, metrics: self.metrics.clone() }
    }

    fn audit(self: &Arc<Self>, visit: Box<Visit>, entry: Arc<Entry>, open: Open, payer: Option<Payer>) {
        let place = self.trust.desk.place(visit.body.len()).filter(|_| !self.trust.desk.rests());
        let Some(place) = place else {
            return self.metrics.audited(Of::Hit.word(), Outcome::Shed.word());
        };
        let terms = visit.terms();
        let Visit { settings, dialect, target, headers, body, caller, canon, model, .. } = *visit;
        let payer = payer.unwrap_or(Payer::Credential(caller));
        let outgoing = Outgoing { method: Method::POST, target, headers, body: OutgoingBody::Whole(body) };
        let audit = Audit { settings, dialect, caller, payer, model, outgoing, canon, terms, entry, open };
        let gateway = self.clone();
        let work = async move {
            let Some(_turn) = place.turn().await else { return Outcome::Stopped };
            if gateway.trust.desk.rests() {
                return Outcome::Shed;
            }
            gateway.run_audit(audit).await
        };
        self.behind(Of::Hit, work);
    }

    /// A task of its own, that ends in time and does not hold up a drain.
    fn behind(self: &Arc<Self>, of: Of, work: impl Future<Output = Outcome> + Send + 'static) {
        let (metrics, stopping) = (self.metrics.clone(), self.tasks.stopping());
        self.tasks.spawn(async move {
            let outcome = tokio::select! {
                () = stopping => Outcome::Stopped,
                outcome = tokio::time::timeout(LIMIT, work) => outcome.unwrap_or(Outcome::Late),
            };
            metrics.audited(of.word(), outcome.word());
        });
    }

    async fn run_audit(self: &Arc<Self>, audit: Audit) -> Outcome {
        let Audit { settings, dialect, caller, payer, model, outgoing, canon, terms, entry, open } = audit;
        let watch = open.watch().clone();
        let bill = |served: Option<&str>, usage| {
            self.accounts.overhead(Kind::Audit, payer.clone(), served.unwrap_or(&model), usage);
        };
        let fresh = match self.ask_again(&settings, &watch, dialect, caller, outgoing, bill).await {
            Ok(fresh) => fresh,
            Err(outcome) => return outcome,
        };
        let Content::Answer(stored) = &entry.content else { return Outcome::Incomparable };
        let question = canon.question.as_ref().map_or("", |question| question.0.as_str()).into();
        let pair = Pair { question, stored: stored.clone(), fresh };
        let outcome = settle(open, &pair, &self.means(&settings, &watch, Of::Hit)).await;
        if outcome == Outcome::Differed {
            self.correct(&entry, canon, terms, pair.fresh).await;
        }
        outcome
    }

    /// The very request of the client, in the form in which it came, answered by the upstream.
    async fn ask_again(
        &self,
        settings: &Settings,
        watch: &Watch,
        dialect: Dialect,
        caller: Credential,
        outgoing: Outgoing,
        bill: impl Fn(Option<&str>, Option<Usage>),
    ) -> Result<Tape, Outcome> {
        watch.counts.add(Count::Calls, 1);
        let fresh = match settings.upstream.send(outgoing).await {
            Ok(incoming) if incoming.status == StatusCode::OK => {
                self.accounts.prove(caller);
                let way = incoming.way.clone();
                let fresh = read_whole(incoming, dialect, settings.config.cache.max_entry).await;
                if let Some(first) = &way.escalated {
                    bill(Some(&first.model), first.usage);
                }
                bill(
                    way.model.as_deref(),
                    fresh.as_ref().ok().and_then(|fresh| fresh.as_ref()?.outline.usage),
                );
                // Another model's answer says nothing about this one's.
                if way.substitute { Err(Failing::Yes) } else { fresh }
            }
            Ok(incoming) => {
                let overloaded = incoming.status == StatusCode::TOO_MANY_REQUESTS;
                Err(if overloaded || incoming.status.is_server_error() { Failing::Yes } else { Failing::No })
            }
            Err(_) => Err(Failing::Yes),
        };
        let fresh = fresh.map_err(|failing| {
            if failing == Failing::Yes {
                self.trust.desk.rest();
            }
            Outcome::UpstreamFailed
        })?;
        let fresh = fresh.ok_or(Outcome::NotWhole)?;
        if let Some(usage) = fresh.outline.usage {
            watch.counts.add(Count::Prompt, usage.prompt);
            watch.counts.add(Count::Completion, usage.completion);
            self.metrics.audit_spent("prompt", usage.prompt);
            self.metrics.audit_spent("completion", usage.completion);
        }
        let cut = |finish: &Finish| matches!(finish, Finish::Length | Finish::ContentFilter);
        if fresh.outline.finish.iter().any(cut) { Err(Outcome::NotWhole) } else { Ok(fresh) }
    }

    /// A hit was wrong: its entry serves this question no longer, and the answer that is right serves it from now on. That
    /// one is whole, and was given to this very request of this very caller.
    async fn correct(&self, entry: &Entry, canon: Canon, terms: Terms, fresh: Tape) {
        let question = canon.question.as_ref().ok().map(|question| question.0.clone());
        let reported = self.cache.found_wrong(entry, question.as_deref()).await;
        tracing::debug!(reported = reported.word(), "an audit found another answer");
        let Admitted::Kept(kept) = self.cache.admit(canon, terms, fresh) else { return };
        if let (Some(semantic), Some(question)) = (self.cache.semantic(), kept.question.clone())
            && let Ok(vector) = semantic.embed_idly(question).await
        {
            self.cache.index(&kept, vector);
        }
    }
}

/// Whether a failure is the upstream's own, and not this request's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    Yes,
    No,
}

/// `Ok(None)`: it came, but is no whole answer.
async fn read_whole(incoming: Incoming, dialect: Dialect, cap: usize) -> Result<Option<Tape>, Failing> {
    let mut recorder = Recorder::new(dialect, &incoming.headers, cap);
    let mut body = incoming.body;
    while let Some(chunk) = body.next().await {
        recorder.feed(&chunk.map_err(|_| Failing::Yes)?);
        if recorder.is_lost() {
            return Ok(None);
        }
    }
    Ok(recorder.finish(true).tape)
}

/// Has the pair judged until the budget is content.
async fn settle(mut open: Open, pair: &Pair, means: &Means) -> Outcome {
    for round in 0.. {
        let verdict = match pair.compare(means, open.watch(), round).await {
            Ok(verdict) => verdict,
            // Called different once, and nobody there to confirm it: giving it up would favour the wrong ones.
            Err(_) if round > 0 => Verdict::Differs,
            Err(outcome) => return outcome,
        };
        match open.hear(verdict) {
            Next::Settled => return outcome(verdict),
            Next::Again(next) => open = next,
        }
    }
    Outcome::Late
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Agrees => Outcome::Agreed,
        Verdict::Differs => Outcome::Differed,
    }
}
