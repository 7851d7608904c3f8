//! `reprise eval`: how hit rate and wrong answers move with the threshold, on labelled pairs, labelled
//! streams, or a team's own log, by the code that serves.
//!
//! ```text
//! files ─ input ─ asked (canon: keys, question) ─ corpus (each distinct text embedded once)
//!    pairs: choose ─> precision, recall, auc
//!    streams, logs: near (all neighbours, once) ─ replay (exact, choose, store) at each setting ─> hit, right, wrong
//!                   the served setting once more through the index that serves
//! figures ─> table, JSON, page; gate; calibration
//! ```
//! What a replay stores depends on the setting, so every setting of a sweep is replayed whole; only the
//! embeddings and the neighbours are shared. Up to `flat::EXACT` stored questions `served` and the row of the
//! sweep at the same setting are equal; above, the index may miss a neighbour, and `served` shows it.
//!
//! | file | has |
//! |---|---|
//! | `args` | the command line |
//! | `input` | pairs, streams and logs, read |
//! | `asked` | requests -> keys, partition, question |
//! | `corpus` | distinct texts, their vectors and readings |
//! | `near` | neighbours of every question |
//! | `second` | the cross-encoder's opinions, each asked once |
//! | `replay` | a stream through the cache's logic |
//! | `measure` | every setting of every input |
//! | `stream`, `pairs`, `log` | what the outcomes are worth |
//! | `bound`, `latency` | confidence and percentiles |
//! | `report`, `table`, `page`, `curves`, `chart` | JSON, terminal, HTML |
//! | `calibrate` | thresholds into the manifest |
//! | `progress` | the bar |

mod args;
mod asked;
pub mod bound;
pub mod calibrate;
mod chart;
mod corpus;
mod curves;
mod input;
mod latency;
mod log;
mod measure;
mod near;
mod page;
mod pairs;
mod progress;
mod replay;
pub mod report;
mod second;
mod stream;
mod table;

pub use args::{Args, Sweep};

use crate::config::{Config, Flags, Policy, Problems, Source, Strictness};
use crate::semantic::{LoadError, Semantic};
use replay::Setting;
use report::{Figures, Ground, Score};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// Wrong answers, of all requests, that the recommended setting may give where none are named.
const DEFAULT_TARGET: f64 = 0.005;

/// Why there is no result, or why it does not pass.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error(transparent)]
    Config(#[from] Problems),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{0}")]
    Input(String),
    #[error("{0}")]
    Model(String),
    #[error("cannot write {what}: {source}")]
    Output { what: String, source: io::Error },
    /// Everything was measured and written; the served setting gives too many wrong answers.
    #[error("{0}")]
    Gate(String),
}

/// The config, and what the command line puts before it.
pub struct Chosen {
    pub config: Config,
    pub threshold: Option<f32>,
    pub verify: Option<Strictness>,
}

impl Chosen {
    /// What a route serves with.
    fn setting(&self, policy: &Policy, semantic: &Semantic) -> Setting {
        let verify = self.verify.unwrap_or(policy.semantic.verify);
        let set = self.threshold.or(policy.semantic.threshold);
        Setting { threshold: set.unwrap_or_else(|| semantic.threshold(verify)), floor: None, verify }
    }
}

/// Measures, and writes the table to `out`. Takes minutes on large inputs, most of them embedding.
///
/// # Errors
/// [`EvalError::Gate`] after all output was written; any other before.
pub fn run(args: &Args, out: &mut dyn Write) -> Result<(), EvalError> {
    let mut config = Config::read(&Source::of_process(args.config.clone(), Flags::default()))?;
    if let Some(model) = &args.model {
        config.semantic.model.clone_from(model);
    }
    config.semantic.cross_encoder |= args.cross_encoder;
    let mut all_cores = config.semantic.clone();
    all_cores.threads = cores();
    all_cores.queue = 2 * corpus::WAITING;
    // Nobody waits here, so nothing is shed.
    all_cores.patience = Duration::from_secs(3_600);
    let semantic = Semantic::load(&all_cores)?;
    let command: Vec<String> = std::env::args().collect();
    run_with(args, config, &semantic, &command.join(" "), out)
}

/// As [`run`], with the config and the model at hand. `command` is what the page shows.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    args: &Args,
    config: Config,
    semantic: &Semantic,
    command: &str,
    out: &mut dyn Write,
) -> Result<(), EvalError> {
    let models_dir = config.semantic.models_dir.clone();
    let chosen = Chosen { config, threshold: args.threshold, verify: args.verify };
    let target = args.max_wrong_rate.unwrap_or(DEFAULT_TARGET);
    let inputs = measure::measure(args, &chosen, semantic, target)?;
    for figures in &inputs {
        print(out, &table::text(figures, target))?;
    }
    if let Some(path) = &args.json {
        let text = report::json(&inputs).map_err(|wrong| EvalError::Model(wrong.to_string()))?;
        write(path, &text)?;
    }
    if let Some(path) = &args.html {
        write(path, &page::html(&inputs, target, command))?;
    }
    if args.write_calibration {
        let streams: Vec<&Figures> =
            inputs.iter().filter(|figures| matches!(figures.ground, Ground::Stream { .. })).collect();
        let found = calibrate::calibrate(&streams);
        calibrate::write(&models_dir, semantic.model_name(), &found)?;
        print(out, &calibrate::text(&found))?;
    }
    match args.max_wrong_rate {
        Some(most) => gate(&inputs, most),
        None => Ok(()),
    }
}

/// Whether every stream's served setting gives at most `most` wrong answers, of all requests.
fn gate(inputs: &[Figures], most: f64) -> Result<(), EvalError> {
    let mut over = Vec::new();
    for figures in inputs {
        let Score::Stream(tally) = figures.served.run.score else { continue };
        if tally.wrong > most {
            over.push(format!(
                "{}: {} % wrong (95 % sure of at most {}), and {} are allowed; raise the threshold or verify more strictly",
                figures.input,
                table::fine(tally.wrong),
                table::fine(bound::upper(tally.wrongs, tally.requests)),
                table::fine(most)
            ));
        }
    }
    if over.is_empty() { Ok(()) } else { Err(EvalError::Gate(over.join("\n"))) }
}

/// A reader that has gone away (`| head`) is no failure.
fn print(out: &mut dyn Write, text: &str) -> Result<(), EvalError> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(wrong) if wrong.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(source) => Err(EvalError::Output { what: "the table".to_owned(), source }),
        Ok(()) => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), EvalError> {
    std::fs::write(path, text)
        .map_err(|source| EvalError::Output { what: path.display().to_string(), source })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `work` once on each core at the same time; a panic in one goes on here.
fn on_all_cores<T: Send>(work: impl Fn() -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
