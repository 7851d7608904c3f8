//! The whole state as JSON, so that evidence survives a restart.

use super::ladder::Ladder;
use super::settings::{RUNGS, Terms};
use serde::{Deserialize, Serialize};

/// Raised whenever a field changes its meaning.
pub const VERSION: u32 = 1;

/// What is kept. Open audits are not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    pub version: u32,
    pub asks: Asks,
    pub rng: u64,
    pub counts: Counts,
    /// Candidates by rung, halved now and then.
    pub candidates: [u64; RUNGS],
    pub ladder: Ladder,
    /// The rung served because it was proven.
    pub held: Option<usize>,
    /// The start threshold was refuted or outgrown.
    pub started: bool,
    /// How fresh the last lapse of a proof is: 1, fading to 0.
    pub alert: f32,
    /// Discounted sums over labels that came with the verifier's probability: labels, its expected wrong, the seen wrong.
    pub verifier: [f64; 3],
}

/// What the evidence answers. Evidence for another question is not used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asks {
    pub max_wrong_rate: f64,
    pub confidence: f64,
    pub lowest: f32,
    pub highest: f32,
    pub audit_error: f64,
    pub observe: bool,
    pub basis: String,
}

/// Totals since the evidence began; each is a count of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Requests with a neighbour at or above the lowest threshold, hits and misses.
    pub candidates: u64,
    /// Semantic hits served by this budget's threshold.
    pub hits: u64,
    /// Hits drawn for audit: each is one upstream call.
    pub audits: u64,
    /// Would-be hits drawn on their misses: no upstream call.
    pub shadows: u64,
    /// Verdicts heard: comparisons, or calls to a judge.
    pub verdicts: u64,
    /// Labels that counted, and those among them that said wrong.
    pub labels: u64,
    pub wrong: u64,
    /// Drawn without ever coming to a label.
    pub lost: u64,
    /// Wrong answers that users reported.
    pub complaints: u64,
    /// How often the threshold rose (exact included), and how often it fell.
    pub raised: u64,
    pub lowered: u64,
}

/// Why evidence was not taken up. Say it once, at start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Anew {
    #[error(
        "the saved wrong-answer evidence cannot be read ({0}); evidence is gathered anew from the strict start"
    )]
    Corrupt(String),
    #[error(
        "the saved wrong-answer evidence has version {0} and this build reads {VERSION}; evidence is gathered anew"
    )]
    Version(u32),
    #[error(
        "the saved wrong-answer evidence is about another budget, range, model or verifier; evidence is gathered anew"
    )]
    Asks,
}

#[derive(Deserialize)]
struct Only {
    version: u32,
}

pub fn read(json: &[u8], asks: &Asks, terms: &Terms) -> Result<Saved, Anew> {
    let corrupt = |error: serde_json::Error| Anew::Corrupt(error.to_string());
    let Only { version } = serde_json::from_slice(json).map_err(corrupt)?;
    if version != VERSION {
        return Err(Anew::Version(version));
    }
    let saved: Saved = serde_json::from_slice(json).map_err(corrupt)?;
    if saved.asks != *asks {
        return Err(Anew::Asks);
    }
    let sums =
        (0.0..=1.0).contains(&saved.alert) && saved.verifier.iter().all(|sum| sum.is_finite() && *sum >= 0.0);
    if !(saved.ladder.is_sound(terms) && saved.held.is_none_or(|rung| rung < RUNGS) && sums) {
        return Err(Anew::Corrupt("numbers that cannot be".to_owned()));
    }
    Ok(saved)
}

impl Asks {
    pub fn of(terms: &Terms) -> Asks {
        let s = &terms.settings;
        Asks {
            max_wrong_rate: s.max_wrong_rate,
            confidence: s.confidence,
            lowest: s.lowest,
            highest: s.highest,
            audit_error: s.audit_error,
            observe: s.serving == super::Serving::Observe,
            basis: s.basis.clone(),
        }
    }
}
