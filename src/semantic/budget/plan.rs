//! With which probability a candidate is audited, decided before it is seen.

use super::ladder::Ladder;
use super::settings::{AuditShares, RUNGS, Serving, Terms};

/// Rungs above the threshold that count as doubtful, and how much more often their hits are audited. More would cost
/// proof: the bet can stake no more than the least audited hit allows.
const DOUBTFUL: usize = 2;
const MORE: f32 = 1.5;

/// What a route serves by meaning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fallback {
    /// Hits from this score on.
    From(f32),
    /// Nothing: exact hits only.
    Exact,
}

/// Which side of the threshold a candidate was treated as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Hit,
    Miss,
}

/// Fixed between two labels, so that what is drawn depends on the past only.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub serve: Fallback,
    serving: Serving,
    /// Hits under this score are doubtful.
    doubtful_under: f32,
    doubtful: f32,
    hits: f32,
    shadows: f32,
}

impl Plan {
    /// `held` is the rung served, if any. `spare` is how much of the audits that may be spent ahead is left, and
    /// `alert` how fresh a lapsed proof is, both 0 to 1.
    pub fn of(
        terms: &Terms,
        ladder: &Ladder,
        serve: Fallback,
        held: Option<usize>,
        spare: f32,
        alert: f32,
    ) -> Plan {
        let AuditShares { steady, learning, .. } = terms.settings.audits;
        let urge = urge(terms, ladder, held, spare, alert);
        let hits = steady + (learning - steady) * urge;
        let above = held.map_or(RUNGS - 1, |rung| (rung + DOUBTFUL).min(RUNGS - 1));
        Plan {
            serve,
            serving: terms.settings.serving,
            doubtful_under: terms.score_of(above),
            doubtful: (hits * MORE).min(1.0),
            hits,
            shadows: terms.settings.shadows,
        }
    }

    /// The probability with which this candidate is drawn; `None` where it says nothing about this route's own hits.
    pub fn share(&self, score: f32, side: Side) -> Option<f32> {
        let above = matches!(self.serve, Fallback::From(threshold) if score >= threshold);
        match (side, self.serving) {
            // In observe mode everything is a miss, and so all are drawn alike.
            (Side::Miss, Serving::Observe) => Some(self.shadows),
            (Side::Miss, Serving::Live) => (!above).then_some(self.shadows),
            (Side::Hit, Serving::Live) if above => {
                Some(if score < self.doubtful_under { self.doubtful } else { self.hits })
            }
            // Served by an override of the client's or in the instant in which the threshold moved.
            (Side::Hit, _) => None,
        }
    }

    /// The least probability with which any candidate is drawn now.
    pub fn least(&self) -> f32 {
        if self.audits_hits() { self.hits.min(self.shadows) } else { self.shadows }
    }

    /// Whether anything is served, and so audited at the price of a call.
    pub fn audits_hits(&self) -> bool {
        matches!((self.serving, self.serve), (Serving::Live, Fallback::From(_)))
    }
}

/// 0: audit steadily; 1: learn as fast as allowed. What may be spent ahead is kept for the worst: ambition may use the upper
/// half, doubt the upper three quarters, an alert all of it.
fn urge(terms: &Terms, ladder: &Ladder, held: Option<usize>, spare: f32, alert: f32) -> f32 {
    // Serving unproven: nothing is known.
    let Some(rung) = held else { return 1.0 };
    let above = |floor: f32| ((spare - floor) / (1.0 - floor)).clamp(0.0, 1.0).sqrt();
    let doubt = 1.0 - ladder.comfort(terms, rung) as f32;
    let ambition = rung
        .checked_sub(1)
        .filter(|below| ladder.promises(*below))
        .map_or(0.0, |below| 0.25 + 0.75 * ladder.progress(terms, below) as f32);
    (ambition * above(0.5)).max(doubt * above(0.25)).max(alert)
}
