//! What the cache decided for one request: the header, the metric label and the log word.

use super::entry::Entry;
use crate::canon::Bypass;
use crate::semantic::verify::Rule;
use crate::tape::CannotPlay;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    L1,
    L2,
    L3,
}

impl Tier {
    pub fn word(self) -> &'static str {
        match self {
            Tier::L1 => "l1",
            Tier::L2 => "l2",
            Tier::L3 => "l3",
        }
    }
}

/// Why nothing stored was served, where there is more to say than "nothing was there".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// Nothing near.
    Unknown,
    /// Looked up by its exact key only.
    ExactOnly(Bypass),
    /// The nearest neighbour lies below the threshold.
    BelowThreshold,
    /// A neighbour passed, but the route's wrong-answer budget is proven for no threshold: exact hits only.
    BudgetExact,
    /// A hit that was only noted: in observe mode the upstream answers.
    Observed,
    /// The nearest neighbour was refused.
    Refused(Rule),
    /// The embedder is behind or failed.
    EmbedderShed,
    /// There is an entry, but it is older than the request's `max-age` or `min-fresh` allows.
    TooOld,
    /// There is an entry, but it cannot be played in the form asked for.
    CannotPlay(CannotPlay),
    /// Of a batch of inputs some were known; only the others were asked for.
    PartlyKnown,
    /// The nearest neighbour was reported wrong for this question or one like it.
    ReportedWrong,
    /// The caller's credential has not been accepted upstream lately.
    Unproven,
}

impl Missed {
    /// The value of `x-reprise-reason`; `None` where a plain miss says it all.
    pub fn word(self) -> Option<&'static str> {
        Some(match self {
            Missed::Unknown => return None,
            Missed::ExactOnly(bypass) => bypass.word(),
            Missed::BelowThreshold => "below_threshold",
            Missed::BudgetExact => "budget_exact",
            Missed::Observed => "observed",
            Missed::Refused(rule) => rule.word(),
            Missed::EmbedderShed => "embedder_shed",
            Missed::TooOld => "too_old",
            Missed::CannotPlay(why) => why.word(),
            Missed::PartlyKnown => "partly_known",
            Missed::ReportedWrong => "reported_wrong",
            Missed::Unproven => "credential_unproven",
        })
    }
}

/// One per request.
#[derive(Clone, Debug)]
pub enum Verdict {
    Hit {
        entry: Arc<Entry>,
        tier: Tier,
        score: Option<f32>,
    },
    /// An identical request was in flight; its answer was read along.
    Follow,
    Miss(Missed),
    /// The cache stood aside.
    Bypass(Bypass),
}

impl Verdict {
    /// The value of `x-reprise-verdict`.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Hit { .. } => "hit",
            Verdict::Follow => "follow",
            Verdict::Miss(_) => "miss",
            Verdict::Bypass(_) => "bypass",
        }
    }

    /// The value of `x-reprise-tier`.
    pub fn tier(&self) -> Option<Tier> {
        match self {
            Verdict::Hit { tier, .. } => Some(*tier),
            _ => None,
        }
    }

    /// The value of `x-reprise-reason`.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Verdict::Hit { .. } | Verdict::Follow => None,
            Verdict::Miss(missed) => missed.word(),
            Verdict::Bypass(bypass) => Some(bypass.word()),
        }
    }
}
