//! `reprise demo`: a small support workload, played through the proxy, and what came of it.
//!
//! ```text
//! sample ─> plan ─> client ─> proxy ─> stand-in (answers by class)
//!                     └ outcomes ─> report
//! ```
//! The workload is played once for each [`Course`]. The plan is the same for each; as customers ask
//! at the same time, who comes first may differ by a few requests from run to run.
//!
//! | file | has |
//! |---|---|
//! | `sample`, `faq_en.toml`, `faq_ko.toml` | the questions, and which of them share an answer |
//! | `plan` | who asks what in which order, from a seed |
//! | `client` | plays a plan against a base URL |
//! | `report` | counts, tables, JSON |

pub mod client;
pub mod plan;
pub mod report;
pub mod sample;

use super::stand_in::{Answers, Latency, Manner, Settings, StandIn};
use indicatif::{ProgressBar, ProgressStyle};
use plan::Plan;
use report::Tally;
use std::any::Any;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the stand-in waits: a hosted model's pace, about a third of it, so that the demo ends soon.
const LATENCY: Latency = Latency {
    whole: Duration::ZERO,
    first_token: Duration::from_millis(120),
    per_token: Duration::from_millis(1),
};
const LATENCY_TOLD: &str = "120 ms to the first token, 1 ms for each token";

/// A small FAQ workload through the proxy, with a report of hits, wrong answers, times and money.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Requests in each of the two courses.
    #[arg(long, default_value_t = 1500)]
    requests: usize,
    /// Customers who ask at the same time.
    #[arg(long, default_value_t = 12)]
    clients: usize,
    /// Another seed draws another workload.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also write the report as JSON to this file.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

/// A way of serving the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// As `serve` would by default.
    Verified,
    /// A neighbour from cosine 0.85 is a hit: `semantic.threshold = 0.85`, `semantic.verify = "off"`.
    PlainCosine,
}

impl Course {
    pub const ALL: [Course; 2] = [Course::Verified, Course::PlainCosine];

    pub fn name(self) -> &'static str {
        match self {
            Course::Verified => "reprise",
            Course::PlainCosine => "plain cosine 0.85",
        }
    }
}

/// A proxy for one course, ready to answer. It is dropped when its course is over.
pub struct Proxy {
    /// Without a trailing slash.
    pub url: String,
    pub alive: Box<dyn Any + Send>,
}

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Sample(#[from] sample::Broken),
    #[error("the stand-in cannot listen on loopback: {0}")]
    StandIn(#[source] io::Error),
    #[error("the proxy did not start: {0}")]
    Proxy(String),
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    #[error("cannot write the report: {0}; is the disk full, or the folder missing?")]
    Write(#[source] io::Error),
}

/// Plays both courses and prints the report. `start` starts a fresh proxy for a course, in front of
/// the upstream URL that it is given, on free ports, and returns when the proxy is ready.
pub async fn run<F>(args: &Args, start: F) -> Result<(), DemoError>
where
    F: AsyncFn(Course, &str) -> Result<Proxy, String>,
{
    // A provider may be installed already, and then that one serves: every URL here is loopback.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plan = Arc::new(Plan::draw(args.requests, args.seed)?);
    let answering = plan.clone();
    let answers: Answers = Arc::new(move |question| answering.answer_to(question).map(str::to_owned));
    let manner = Manner { latency: LATENCY, defect: None };
    let settings = Settings { manner, answers: Some(answers), ..Settings::default() };
    let upstream = StandIn::start(settings).await.map_err(DemoError::StandIn)?;
    let mut tallies = Vec::new();
    for course in Course::ALL {
        upstream.reset();
        let proxy = start(course, &upstream.url()).await.map_err(DemoError::Proxy)?;
        let progress = Progress::new(course.name(), plan.asks.len());
        let played = client::run_workload(&proxy.url, &plan, args.clients, || progress.step()).await?;
        progress.bar.finish_and_clear();
        tallies.push(Tally::of(course.name(), &plan, &played, upstream.calls()));
    }
    if let Some(path) = &args.json {
        let told = report::as_json(&plan, args.seed, &tallies);
        tokio::fs::write(path, format!("{told:#}\n")).await.map_err(DemoError::Write)?;
    }
    let text = report::as_text(&plan, &tallies, LATENCY_TOLD);
    io::stdout().lock().write_all(text.as_bytes()).map_err(DemoError::Write)
}

/// A bar on a terminal; elsewhere a line for each quarter.
struct Progress {
    bar: ProgressBar,
    name: &'static str,
}

impl Progress {
    fn new(name: &'static str, requests: usize) -> Progress {
        let bar = ProgressBar::new(requests as u64);
        let style = ProgressStyle::with_template("{msg:18} [{bar:40}] {pos}/{len} {eta}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(name);
        Progress { bar, name }
    }

    fn step(&self) {
        self.bar.inc(1);
        let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
        if self.bar.is_hidden() && (done * 4) / all.max(1) != ((done - 1) * 4) / all.max(1) {
            // Progress is a courtesy: a closed stderr must not end the demo.
            let _ = writeln!(io::stderr().lock(), "{}: {done} of {all} requests", self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With no proxy between, every answer is right and every request is an upstream call.
    #[tokio::test]
    async fn the_workload_straight_to_the_upstream_has_no_wrong_answer() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("demo.json");
        let args = Args { requests: 60, clients: 30, seed: 3, json: Some(out.clone()) };
        let straight =
            async |_: Course, upstream: &str| Ok(Proxy { url: upstream.to_owned(), alive: Box::new(()) });
        run(&args, straight).await.unwrap();
        let told: serde_json::Value = serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap();
        for course in told["courses"].as_array().unwrap() {
            assert_eq!(course["served"]["direct"]["requests"], 60);
            assert_eq!(course["upstream_calls"], 60);
            assert_eq!(
                (&course["wrong"], &course["failures"]),
                (&serde_json::json!([]), &serde_json::json!([]))
            );
            assert_eq!(course["saved_usd"], "0.000000");
        }
    }

    #[tokio::test]
    async fn a_proxy_that_does_not_start_ends_the_demo_with_its_words() {
        let args = Args { requests: 1, clients: 1, seed: 1, json: None };
        let failed = run(&args, async |_: Course, _: &str| Err("no model".to_owned())).await;
        assert_eq!(failed.unwrap_err().to_string(), "the proxy did not start: no model");
    }
}
