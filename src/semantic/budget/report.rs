//! What a budget says and is told.

use super::docket::Ticket;
use super::plan::Fallback;
use super::state::Counts;

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
