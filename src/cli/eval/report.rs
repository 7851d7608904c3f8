//! What was measured: the JSON of DESIGN's contract, and beside it what only people read.
//!
//! `reprise eval --json` writes one object for one input and `{"inputs": [...]}` for several. Shares
//! are of all requests, from 0 to 1. A stream:
//! ```json
//! {"model", "input", "requests", "ceiling", "exact",
//!  "served": {"threshold", "verify", "hit", "right", "wrong", "embed_p50_ms", "verify_p50_ms"},
//!  "sweep": [{"threshold", "verify", "hit", "right", "wrong"}]}
//! ```
//! For pairs `auc` stands in place of `ceiling` and `exact`, and in each setting `precision`, `recall`, `auc`,
//! `passed_same` and `refused_different` (shares of the pairs at or above the threshold; null where there is
//! none) in place of `hit`, `right`, `wrong`. A log has no labels: each setting has `hit`, and, of the
//! hits by meaning whose two recorded answers are known (`compared`), `same_text` and `same_meaning`: an
//! estimate, null where nothing could be compared.

use super::args::word;
use super::latency::Ranks;
use super::replay::Setting;
use serde::Serialize;

/// One input's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub model: String,
    pub input: String,
    pub requests: usize,
    #[serde(flatten)]
    pub ground: Ground,
    pub served: Served,
    pub sweep: Vec<Run>,
    #[serde(skip)]
    pub reading: ForReading,
}

/// What holds at every setting.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub enum Ground {
    /// Shares of the requests whose class, and whose very text, was seen before.
    Stream {
        ceiling: f64,
        exact: f64,
    },
    Log {
        exact: f64,
    },
    /// Of the cosine alone.
    Pairs {
        auc: Option<f64>,
    },
}

/// One setting.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    pub threshold: f64,
    pub verify: &'static str,
    #[serde(flatten)]
    pub score: Score,
}

#[derive(Clone, Debug, Serialize)]
pub struct Served {
    #[serde(flatten)]
    pub run: Run,
    pub embed_p50_ms: Option<f64>,
    pub verify_p50_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Score {
    Stream(Tally),
    Pairs(PairScore),
    Log(LogScore),
}

/// Shares of all requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tally {
    pub hit: f64,
    pub right: f64,
    pub wrong: f64,
    /// Requests with a wrong answer.
    #[serde(skip)]
    pub wrongs: usize,
    #[serde(skip)]
    pub requests: usize,
}

/// `precision` and `recall` of "one answer serves both". `auc`: the chance that a same pair ranks above a
/// different one, refused pairs below all others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairScore {
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub auc: Option<f64>,
    pub passed_same: Option<f64>,
    pub refused_different: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LogScore {
    pub hit: f64,
    pub compared: usize,
    pub same_text: Option<f64>,
    pub same_meaning: Option<f64>,
}

/// For the table and the page, not in the JSON.
#[derive(Clone, Debug, Default)]
pub struct ForReading {
    /// Different questions that the served setting takes for one, the nearest first.
    pub worst: Vec<WrongHit>,
    /// How many there are, and how many distinct.
    pub wrong_hits: usize,
    pub embed: Option<Ranks>,
    pub search: Option<Ranks>,
    pub verify: Option<Ranks>,
    /// What kept requests from being compared by meaning, with how many.
    pub exact_only: Vec<(&'static str, usize)>,
    pub recommended: Option<Run>,
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WrongHit {
    pub asked: String,
    pub stored: String,
    pub score: f32,
    /// How often.
    pub count: usize,
}

impl Run {
    pub fn of(setting: Setting, score: Score) -> Run {
        // An f32 prints as 0.8500000238418579 once it is a double.
        Run { threshold: rounded(f64::from(setting.threshold)), verify: word(setting.verify), score }
    }
}

/// To six decimals, which is finer than any count here.
pub fn rounded(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}

/// A share, or `None` of nothing.
pub fn share(count: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| rounded(count as f64 / of as f64))
}

/// Worst first, each two texts once.
pub fn worst(hits: impl Iterator<Item = WrongHit>, keep: usize) -> Vec<WrongHit> {
    let mut all: Vec<WrongHit> = hits.collect();
    all.sort_by(|a, b| {
        b.score.total_cmp(&a.score).then_with(|| (&a.asked, &a.stored).cmp(&(&b.asked, &b.stored)))
    });
    all.dedup_by(|next, kept| {
        let same = next.asked == kept.asked && next.stored == kept.stored;
        kept.count += if same { next.count } else { 0 };
        same
    });
    all.truncate(keep);
    all
}

/// The figures as the file holds them.
pub fn json(inputs: &[Figures]) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Several<'a> {
        inputs: &'a [Figures],
    }
    let mut text = match inputs {
        [one] => serde_json::to_string_pretty(one)?,
        inputs => serde_json::to_string_pretty(&Several { inputs })?,
    };
    text.push('\n');
    Ok(text)
}
