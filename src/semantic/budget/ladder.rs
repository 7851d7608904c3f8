//! The thresholds from lowest to highest, and what is known about the hits above each.
//!
//! Each rung bets against several claims about the hits that its threshold would serve. What it proves about a
//! *fixed* threshold does not depend on what was served meanwhile. Which threshold may be served is found by descent:
//! from a start that is chosen by scores alone, down, as long as every rung on the way is proven. Stopping at
//! the first that is not keeps the error probability at that of one test however many rungs there are (fixed-sequence
//! testing, as in "Learn then Test", Angelopoulos et al. 2021, arXiv:2110.01052).

use super::docket::Label;
use super::settings::{RUNGS, STARTS, Terms};
use super::wager::Purse;
use serde::{Deserialize, Serialize};

/// Claims a rung bets against, as multiples of the budget. `BUDGET` is the budget itself.
pub const CLAIMS: [f64; 6] = [0.25, 0.5, 0.75, 1.0, 2.0, 5.0];
pub const BUDGET: usize = 3;
/// A purse keeps at most this multiple of what proves: the proof is gone after two or three surplus wrong labels.
const SAVINGS: f64 = 6.0;
/// Going down asks for a proof of this claim, half of the budget; staying, and leaving exact, for one of the budget. So the wrong share
/// may double before the budget is broken, and a threshold at the edge does not move to and fro.
const ROOMY: usize = 1;
/// A start threshold is given up when the budget's purse holds less than this.
const REFUTED: f64 = 0.25;
/// Weight that an estimate keeps per label: half of it after 1,386.
const KEEP: f64 = 0.999_5;
/// Candidates before starts are chosen.
const WARM_UP: u64 = 200;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// One for each of `CLAIMS`.
    pub purses: [Purse; CLAIMS.len()],
    /// Discounted sums over labels of 1 / probability drawn.
    pub weight: f64,
    pub wrong: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    pub rungs: [Rung; RUNGS],
    /// The rung where each descent starts; `None` before the warm-up.
    pub starts: [Option<usize>; STARTS.len()],
}

/// What the estimate is before any correction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Share of "wrong" labels, each weighed by 1 / probability drawn.
    pub rate: f64,
}

impl Ladder {
    pub fn fresh() -> Ladder {
        let rung = || Rung { purses: std::array::from_fn(|_| Purse::fresh()), weight: 0.0, wrong: 0.0 };
        Ladder { rungs: std::array::from_fn(|_| rung()), starts: [None; STARTS.len()] }
    }

    pub fn ceiling(terms: &Terms) -> f64 {
        terms.proof * SAVINGS
    }

    /// One label counts for every threshold at or under its score. About 2 microseconds.
    pub fn learn(&mut self, terms: &Terms, label: &Label) {
        let Some(top) = terms.rung_of(label.score) else { return };
        let weight = 1.0 / f64::from(label.share);
        for rung in &mut self.rungs[..=top] {
            rung.bet(terms, label.stake, label.wrong);
            rung.weight = rung.weight * KEEP + weight;
            rung.wrong = rung.wrong * KEEP + if label.wrong { weight } else { 0.0 };
        }
    }

    /// A complaint: no sample of anything, so it may only take money away.
    pub fn complain(&mut self, terms: &Terms, score: f32) {
        let Some(top) = terms.rung_of(score) else { return };
        for rung in &mut self.rungs[..=top] {
            rung.bet(terms, 1.0, true);
        }
    }

    /// Chooses the starts by how many candidates each threshold keeps, and moves one only when it keeps less than half or more
    /// than twice its share, so that they hardly ever move. `counts` are candidates per rung, not cumulated.
    pub fn choose_starts(&mut self, counts: &[u64; RUNGS]) {
        let all: u64 = counts.iter().sum();
        if all < WARM_UP {
            return;
        }
        let kept = |rung: usize| counts[rung..].iter().sum::<u64>() as f64 / all as f64;
        for (start, share) in self.starts.iter_mut().zip(STARTS) {
            let fits = start.is_some_and(|rung| (share / 2.0..=share * 2.0).contains(&kept(rung)));
            if !fits {
                *start = (0..RUNGS).rev().find(|rung| kept(*rung) >= share);
            }
        }
    }

    fn money(&self, rung: usize) -> f64 {
        self.rungs[rung].purses[BUDGET].total()
    }

    /// How far above (1) or below (0) the bare proof the rung's savings are.
    pub fn comfort(&self, terms: &Terms, rung: usize) -> f64 {
        ((self.money(rung) / terms.proof).ln() / SAVINGS.ln()).clamp(0.0, 1.0)
    }

    /// How far from nothing (0) to a proof (1) the rung's evidence has come.
    pub fn progress(&self, terms: &Terms, rung: usize) -> f64 {
        (self.rungs[rung].purses[ROOMY].total().ln() / terms.proof.ln()).clamp(0.0, 1.0)
    }

    /// Whether evidence for this rung grows.
    pub fn promises(&self, rung: usize) -> bool {
        self.rungs[rung].purses[ROOMY].total() > 1.0
    }

    /// Whether the evidence speaks clearly against the rung: three or four wrong labels before anything was gained.
    pub fn refutes(&self, rung: usize) -> bool {
        self.money(rung) < REFUTED
    }

    /// The lowest rung that may be served. `held` is the rung served now, if it was proven: from it up a proof of the
    /// budget is enough, below it one with room is asked for.
    pub fn lowest_proven(&self, terms: &Terms, held: Option<usize>) -> Option<usize> {
        let proven = |rung: usize| {
            let lowering = held.is_some_and(|held| rung < held);
            let claim = if lowering { ROOMY } else { BUDGET };
            self.rungs[rung].purses[claim].total() >= terms.proof
        };
        let descend = |start: usize| (0..=start).rev().take_while(|rung| proven(*rung)).last();
        self.starts.iter().flatten().filter_map(|start| descend(*start)).min()
    }

    /// The smallest claim that is disproven together with all larger ones: the upper confidence bound.
    pub fn bound(&self, terms: &Terms, rung: usize) -> Option<f64> {
        let disproven = |claim: &usize| self.rungs[rung].purses[*claim].total() >= terms.proof;
        let least = (0..CLAIMS.len()).rev().take_while(disproven).last()?;
        Some(claim_rate(terms, least))
    }

    pub fn seen(&self, rung: usize) -> Option<Seen> {
        let Rung { weight, wrong, .. } = &self.rungs[rung];
        (*weight > 0.0).then(|| Seen { rate: wrong / weight })
    }

    pub fn is_sound(&self, terms: &Terms) -> bool {
        let ceiling = Ladder::ceiling(terms);
        let sum = |x: f64| x.is_finite() && x >= 0.0;
        self.rungs.iter().all(|rung| {
            rung.purses.iter().all(|purse| purse.is_sound(ceiling)) && sum(rung.weight) && sum(rung.wrong)
        }) && self.starts.iter().flatten().all(|start| *start < RUNGS)
    }
}

impl Rung {
    fn bet(&mut self, terms: &Terms, stake: f64, wrong: bool) {
        let ceiling = Ladder::ceiling(terms);
        for (claim, purse) in self.purses.iter_mut().enumerate() {
            purse.bet(terms.seen_at_least(claim_rate(terms, claim)), stake, wrong, ceiling);
        }
    }
}

fn claim_rate(terms: &Terms, claim: usize) -> f64 {
    (terms.settings.max_wrong_rate * CLAIMS[claim]).min(0.95)
}
