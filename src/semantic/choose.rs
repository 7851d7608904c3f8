//! The one place that decides by meaning: `cache::lookup` serves by it and `reprise eval` measures it.

use super::index::Neighbour;
use super::verify::{self, Judgement, Near, Reading, Rule};
use crate::base::digest::ExactKey;
use crate::config::Strictness;
use std::borrow::Borrow;

/// Neighbours tried, best first: the nearest may be refused and the next still serve.
pub const TRIED: usize = 5;

/// What a stored question must pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// The cosine from which a neighbour is a candidate.
    pub threshold: f32,
    pub verify: Strictness,
}

/// What became of one question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// This entry's answer serves. `stored` was last called for it.
    Serve { key: ExactKey, score: f32 },
    /// Nothing serves. `nearest`: the best of what could have been served, with its cosine.
    Refuse { why: Refusal, nearest: Option<(ExactKey, f32)> },
}

/// Why nothing was served; of several reasons the nearest neighbour's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing is stored, or nothing that could be served.
    Nothing,
    BelowThreshold,
    Refused(Rule),
}

/// The first of `neighbours` (best first; those past the first [`TRIED`] only tell how far apart they
/// lie) whose stored question may share its answer with `asked`.
///
/// `stored` gives a neighbour's question, read; `None` for one that cannot be served (evicted, stale,
/// in no form that the client takes), which is then passed over as if it were not there. It is called
/// for candidates only, in order, each at most once. Pure; costs one judgement a candidate.
pub fn choose<R: Borrow<Reading>>(
    asked: &Reading,
    neighbours: &[Neighbour],
    bar: Bar,
    mut stored: impl FnMut(&Neighbour) -> Option<R>,
) -> Choice {
    let mut refused = None;
    for (rank, neighbour) in neighbours.iter().take(TRIED).enumerate() {
        let seen = (neighbour.key, neighbour.score);
        if !reaches(neighbour.score, bar.threshold) {
            refused.get_or_insert((Refusal::BelowThreshold, seen));
            break;
        }
        let Some(reading) = stored(neighbour) else { continue };
        let gap = neighbours.get(rank + 1).map(|next| neighbour.score - next.score);
        let near = Near { asked, stored: reading.borrow(), cosine: neighbour.score, gap };
        match verify::judge(&near, bar.verify) {
            Judgement::Same { .. } => return Choice::Serve { key: neighbour.key, score: neighbour.score },
            Judgement::Different(rule) => {
                refused.get_or_insert((Refusal::Refused(rule), seen));
            }
        }
    }
    match refused {
        Some((why, nearest)) => Choice::Refuse { why, nearest: Some(nearest) },
        None => Choice::Refuse { why: Refusal::Nothing, nearest: None },
    }
}

/// Whether a neighbour is a candidate. A cosine that is no number never is.
pub fn reaches(score: f32, threshold: f32) -> bool {
    score >= threshold
}
