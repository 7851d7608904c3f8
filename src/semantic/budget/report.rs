//! What a budget says and is told.

use super::Budget;
use super::docket::Ticket;
use super::plan::Fallback;
use super::settings::{RUNGS, Settings};
use super::state::Counts;
use std::sync::atomic::Ordering::Relaxed;

/// What is known of the served threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// Served because the settings say so; nothing proven here yet.
    Unproven,
    /// Proven under the budget.
    Held,
    /// Nothing proven, nothing served by meaning; would-be hits are compared until something is.
    Exact,
}

/// Where a route stands. Rates are wrong hits per semantic hit.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub serve: Fallback,
    pub standing: Standing,
    /// Upper confidence bound of the served threshold: the smallest disproven claim, from a fixed list (1/4 to 5 times the budget).
    /// `None`: not even the largest is disproven, or nothing is served.
    pub bound: Option<f64>,
    /// Best guess, corrected for audits that err; no bound. Looks back about 1,400 labels.
    pub estimate: Option<f64>,
    /// Probability with which a hit is audited now.
    pub audit_share: f32,
    pub counts: Counts,
    /// What the verifier expected to be wrong, less what audits found wrong, as shares of labels that came with its
    /// probability. Below 0: it is too sure of itself. `None` before a hundred such labels.
    pub verifier_excess: Option<f64>,
    /// Clean labels without which no proof is possible.
    pub evidence_needed: u32,
}

/// What is known of one threshold, whether it is served or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub threshold: f32,
    /// Share of the recent candidates that it would serve, 0 to 1; 0 before the first.
    pub share: f64,
    /// Upper confidence bound of its wrong hits per hit, as in `Report`.
    pub bound: Option<f64>,
    pub estimate: Option<f64>,
}

impl Budget {
    /// Every threshold that is tried, lowest first.
    pub fn tried(&self) -> Vec<Tried> {
        let books = self.books.lock();
        let counts: [u64; RUNGS] = std::array::from_fn(|rung| self.candidates[rung].load(Relaxed));
        let all: u64 = counts.iter().sum();
        let one = |rung: usize| Tried {
            threshold: self.terms.score_of(rung),
            share: counts[rung..].iter().sum::<u64>() as f64 / all.max(1) as f64,
            bound: books.ladder.bound(&self.terms, rung),
            estimate: books.ladder.seen(rung).map(|seen| self.terms.corrected(seen.rate)),
        };
        (0..RUNGS).map(one).collect()
    }

    pub fn settings(&self) -> &Settings {
        &self.terms.settings
    }
}

/// Whether a candidate is audited.
#[derive(Clone, Debug, PartialEq)]
pub enum Draw {
    Skip,
    /// Compare the stored answer with the upstream's, then tell `Budget::hear` (or `Budget::lose`).
    Audit(Ticket),
}

/// One verdict on one pair of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The stored answer serves as well as the upstream's.
    Agrees,
    Differs,
}

/// What follows from a verdict.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Settled,
    /// Audits may err: have the same pair judged again, independently (another judge, order or wording).
    AskAgain(Ticket),
}
