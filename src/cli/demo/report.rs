//! What a workload amounted to, as one would show it to a colleague.

use super::client::{Played, Served};
use super::plan::Plan;
use crate::base::money::NanoUsd;
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Example prices per million tokens: gpt-4.1-mini's public list price in 2025.
const INPUT_PRICE: NanoUsd = NanoUsd(400_000_000);
const OUTPUT_PRICE: NanoUsd = NanoUsd(1_600_000_000);
/// Wrong pairs that the report names for each course.
const NAMED: usize = 6;

/// A question that got another question's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct WrongHit {
    pub asked: String,
    /// The class whose answer it got.
    pub got: String,
    pub served: Served,
    pub score: Option<f64>,
}

/// One course of the workload, counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub name: String,
    pub requests: usize,
    took: BTreeMap<Served, Vec<Duration>>,
    pub bypasses: BTreeMap<String, usize>,
    pub wrong: Vec<WrongHit>,
    pub failures: Vec<String>,
    pub prompt_tokens_saved: u64,
    pub completion_tokens_saved: u64,
    pub upstream_calls: u64,
}

impl Tally {
    pub fn of(name: &str, plan: &Plan, played: &[Played], upstream_calls: u64) -> Tally {
        let mut tally =
            Tally { name: name.to_owned(), requests: played.len(), upstream_calls, ..Tally::default() };
        for one in played {
            let outcome = match one {
                Ok(outcome) => outcome,
                Err(failure) => {
                    tally.failures.push(failure.told.clone());
                    continue;
                }
            };
            tally.took.entry(outcome.served).or_default().push(outcome.took);
            if outcome.served == Served::Bypass {
                let reason = outcome.reason.clone().unwrap_or_else(|| "unnamed".to_owned());
                *tally.bypasses.entry(reason).or_default() += 1;
            }
            if outcome.served.saved() {
                tally.prompt_tokens_saved += outcome.prompt_tokens;
                tally.completion_tokens_saved += outcome.completion_tokens;
            }
            let asked = plan.asks.get(outcome.ask).map_or("", |ask| &ask.text);
            if plan.answer_to(asked) != Some(outcome.answer.as_str()) {
                let got = plan.class_of_answer(&outcome.answer);
                tally.wrong.push(WrongHit {
                    asked: asked.to_owned(),
                    got: got.map_or_else(|| "no answer that we know".to_owned(), |class| class.name.clone()),
                    served: outcome.served,
                    score: outcome.score,
                });
            }
        }
        tally.took.values_mut().for_each(|took| took.sort_unstable());
        tally
    }

    pub fn count(&self, served: Served) -> usize {
        self.took.get(&served).map_or(0, Vec::len)
    }

    /// Requests answered without an upstream call of their own.
    pub fn hits(&self) -> usize {
        Served::ALL.into_iter().filter(|served| served.saved()).map(|served| self.count(served)).sum()
    }

    pub fn saved(&self) -> NanoUsd {
        let mut sum = NanoUsd::of(self.prompt_tokens_saved, INPUT_PRICE);
        sum += NanoUsd::of(self.completion_tokens_saved, OUTPUT_PRICE);
        sum
    }

    /// The time within which `percent` of the requests so served were answered (nearest rank).
    fn percentile(&self, served: Served, percent: usize) -> Option<f64> {
        let took = self.took.get(&served)?;
        let rank = (took.len() * percent).div_ceil(100).max(1);
        took.get(rank - 1).map(|span| span.as_secs_f64() * 1e3)
    }

    fn json(&self) -> Value {
        let tiers: serde_json::Map<String, Value> = Served::ALL
            .into_iter()
            .filter(|&served| self.count(served) > 0)
            .map(|served| {
                let told = json!({
                    "requests": self.count(served),
                    "p50_ms": self.percentile(served, 50), "p99_ms": self.percentile(served, 99)
                });
                (served.word().to_owned(), told)
            })
            .collect();
        let wrong: Vec<Value> = self
            .wrong
            .iter()
            .map(|hit| json!({"asked": hit.asked, "got": hit.got, "tier": hit.served.word(), "score": hit.score}))
            .collect();
        json!({
            "name": self.name, "requests": self.requests, "hits": self.hits(), "served": tiers,
            "bypasses": self.bypasses, "wrong": wrong, "failures": self.failures,
            "upstream_calls": self.upstream_calls, "prompt_tokens_saved": self.prompt_tokens_saved,
            "completion_tokens_saved": self.completion_tokens_saved, "saved_usd": self.saved().to_string()
        })
    }
}

pub fn as_json(plan: &Plan, seed: u64, tallies: &[Tally]) -> Value {
    let bounds = plan.bounds();
    json!({
        "seed": seed, "requests": plan.asks.len(), "upstream_latency": "simulated",
        "same_class_asked_before": bounds.same_class, "same_text_asked_before": bounds.same_text,
        "price_per_million_usd": {"input": INPUT_PRICE.to_string(), "output": OUTPUT_PRICE.to_string()},
        "courses": tallies.iter().map(Tally::json).collect::<Vec<_>>()
    })
}

/// The report: `latency` is what the stand-in was told.
pub fn as_text(plan: &Plan, tallies: &[Tally], latency: &str) -> String {
    let bounds = plan.bounds();
    let mut text = format!(
        "{} requests, English and Korean; the class was asked before in {}, the very text in {}\n\n{}\n\n{}\n",
        plan.asks.len(),
        share(bounds.same_class, plan.asks.len()),
        share(bounds.same_text, plan.asks.len()),
        counts(tallies),
        times(tallies)
    );
    for tally in tallies {
        named(&mut text, tally);
    }
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "\nUpstream latency is simulated ({latency}). Money is at an example price of $0.40 per million input and \
         $1.60 per million output tokens.\n"
    );
    text
}

fn share(part: usize, whole: usize) -> String {
    format!("{part} ({:.1} %)", 100.0 * part as f64 / whole.max(1) as f64)
}

fn table(head: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(head);
    table
}

fn row(table: &mut Table, name: &str, cells: impl IntoIterator<Item = String>) {
    let right = cells.into_iter().map(|cell| Cell::new(cell).set_alignment(CellAlignment::Right));
    table.add_row(std::iter::once(Cell::new(name)).chain(right));
}

fn counts(tallies: &[Tally]) -> Table {
    let head = std::iter::once(String::new()).chain(tallies.iter().map(|tally| tally.name.clone()));
    let mut table = table(head.collect());
    let mut each =
        |name: &str, cell: &dyn Fn(&Tally) -> String| row(&mut table, name, tallies.iter().map(cell));
    each("answered from cache", &|tally| share(tally.hits(), tally.requests));
    for served in Served::ALL {
        if tallies.iter().any(|tally| tally.count(served) > 0) {
            each(&format!("  {}", served.word()), &|tally| share(tally.count(served), tally.requests));
        }
    }
    each("wrong answers", &|tally| share(tally.wrong.len(), tally.requests));
    each("failed requests", &|tally| tally.failures.len().to_string());
    each("upstream calls", &|tally| tally.upstream_calls.to_string());
    each("tokens saved", &|tally| (tally.prompt_tokens_saved + tally.completion_tokens_saved).to_string());
    each("money saved (example price)", &|tally| format!("${}", tally.saved()));
    table
}

fn times(tallies: &[Tally]) -> Table {
    let mut table = table(["", "served by", "p50 ms", "p99 ms"].map(str::to_owned).to_vec());
    for tally in tallies {
        for served in Served::ALL {
            let (p50, p99) = (tally.percentile(served, 50), tally.percentile(served, 99));
            if let (Some(p50), Some(p99)) = (p50, p99) {
                let cells = [served.word().to_owned(), format!("{p50:.2}"), format!("{p99:.2}")];
                row(&mut table, &tally.name, cells);
            }
        }
    }
    table
}

fn named(text: &mut String, tally: &Tally) {
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    if !tally.bypasses.is_empty() {
        let told: Vec<String> =
            tally.bypasses.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        line(format!("\n{}: not compared by meaning: {}", tally.name, told.join(", ")));
    }
    if !tally.wrong.is_empty() {
        line(format!("\n{}: {} wrong answers, for instance", tally.name, tally.wrong.len()));
    }
    for hit in tally.wrong.iter().take(NAMED) {
        let score = hit.score.map_or_else(String::new, |score| format!(", {score:.3}"));
        line(format!("  \"{}\" got the answer of {} ({}{score})", hit.asked, hit.got, hit.served.word()));
    }
    if let Some(first) = tally.failures.first() {
        line(format!("\n{}: {} requests failed; the first: {first}", tally.name, tally.failures.len()));
    }
}
