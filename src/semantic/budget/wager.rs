//! A bet against one claim, "at least `claim` of these hits are wrong".
//!
//! Every clean label pays a little, every wrong one costs much, and the odds are such that while the claim is
//! true nobody gains on average. So a purse that has grown forty-fold is evidence: while the claim is true, the
//! probability that it *ever* does is at most 1/40 (Ville's inequality). That is what makes looking after each
//! label, and acting on it, allowed. Capital process of Waudby-Smith & Ramdas (2024), "Estimating means of bounded
//! random variables by betting", JRSS B 86(1), arXiv:2010.09686, one-sided, with a fixed grid of bets.

use serde::{Deserialize, Serialize};

/// The gamblers: each stakes this share of the most that cannot ruin it. A bold one gains fastest when nothing is
/// wrong, a timid one when the rate is just under the claim (the best share for a rate r is about 1 - r / claim).
const BOLDNESS: [f64; 4] = [0.25, 0.5, 0.75, 0.95];
/// Moved from each gambler to all per label, so that after a change the fitting one is not left with nothing
/// (fixed share, Herbster & Warmuth 1998). Moving money between gamblers neither makes nor loses any.
const SHARED: f64 = 0.000_2;
/// A purse that holds less starts anew: what it lost was about a mix that may be gone.
pub const RUIN: f64 = 0.1;

/// What became of a purse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Plays,
    Ruined,
}

/// The money of all gamblers against one claim; 1 at the start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purse([f64; BOLDNESS.len()]);

impl Purse {
    pub fn fresh() -> Purse {
        Purse([1.0 / BOLDNESS.len() as f64; BOLDNESS.len()])
    }

    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    pub fn is_sound(&self, ceiling: f64) -> bool {
        self.0.iter().all(|money| money.is_finite() && *money >= 0.0) && (RUIN..=ceiling * 1.001).contains(&self.total())
    }

    /// One label. `stake` is in 0 to 1: the least probability with which any hit would have been labelled at
    /// that moment, over the probability for this one; so hits labelled more often count less and the mean
    /// is that of all hits. What is over `ceiling` is taken away, so that old luck cannot hide a change for long.
    pub fn bet(&mut self, claim: f64, stake: f64, wrong: bool, ceiling: f64) -> Fate {
        let drawn = if wrong { claim - 1.0 } else { claim };
        for (money, boldness) in self.0.iter_mut().zip(BOLDNESS) {
            *money *= 1.0 + boldness * stake * drawn;
        }
        let total = self.total();
        if total < RUIN {
            *self = Purse::fresh();
            return Fate::Ruined;
        }
        let kept = (ceiling / total).min(1.0);
        let each = SHARED * total / BOLDNESS.len() as f64;
        for money in &mut self.0 {
            *money = kept * ((1.0 - SHARED) * *money + each);
        }
        Fate::Plays
    }
}
