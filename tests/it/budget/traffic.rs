//! Simulated traffic whose truth is known, and what a budget makes of it.

use reprise::semantic::budget::{Budget, Draw, Fallback, Heard, Settings, Verdict};
use std::io::Write;

pub const BUDGET: f64 = 0.01;

/// Fixed numbers from a seed (SplitMix64), the same on every machine.
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self, mean: f64, sd: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.roll()).ln()).sqrt();
        mean + sd * radius * (std::f64::consts::TAU * self.roll()).cos()
    }
}

/// Share of a normal distribution from `x` on (Abramowitz & Stegun 7.1.26, error under 1.5e-7).
fn from_on(x: f64, mean: f64, sd: f64) -> f64 {
    let z = (x - mean) / sd / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z.abs());
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    let tail = poly * (-z * z).exp() / 2.0;
    if z >= 0.0 { tail } else { 1.0 - tail }
}

/// Candidates of one kind: how many, how many of them wrong, and how near right and wrong ones look (mean, sd of the cosine).
#[derive(Clone, Copy)]
pub struct Topic {
    pub weight: f64,
    pub wrong: f64,
    pub right_at: (f64, f64),
    pub wrong_at: (f64, f64),
}

/// Ten per cent of the hits at 0.85 are wrong; one per cent from about 0.93 on.
pub const SUPPORT: Topic =
    Topic { weight: 1.0, wrong: 0.178, right_at: (0.93, 0.04), wrong_at: (0.85, 0.04) };
/// Order numbers, plans, devices: near each other and often wrong.
pub const HARD: Topic = Topic { weight: 0.025, wrong: 0.4, right_at: (0.93, 0.04), wrong_at: (0.93, 0.03) };

/// Share of requests that find a neighbour at all.
const NEIGHBOURS: f64 = 0.6;

/// (Share of candidates that are hits from `threshold` on, share of those that are wrong.)
pub fn truth(mix: &[Topic], threshold: f64) -> (f64, f64) {
    let all: f64 = mix.iter().map(|topic| topic.weight).sum();
    let mass = |topic: &Topic| {
        let right = (1.0 - topic.wrong) * from_on(threshold, topic.right_at.0, topic.right_at.1);
        let wrong = topic.wrong * from_on(threshold, topic.wrong_at.0, topic.wrong_at.1);
        (topic.weight * right / all, topic.weight * wrong / all)
    };
    let (right, wrong) = mix.iter().map(mass).fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    (right + wrong, wrong / (right + wrong))
}

/// The most hits that any threshold from 0.70 to 0.99 serves within the budget: what somebody who knew everything would serve.
fn oracle(mix: &[Topic]) -> f64 {
    let within =
        (700..=990).map(|step| truth(mix, f64::from(step) / 1000.0)).find(|(_, rate)| *rate <= BUDGET);
    within.map_or(0.0, |(hits, _)| hits)
}

pub struct World {
    pub budget: Budget,
    pub dice: Dice,
    /// Probability that a single verdict is mistaken.
    pub error: f64,
}

/// What a stretch of traffic came to.
#[derive(Debug, Default)]
pub struct Stretch {
    pub requests: u64,
    /// Requests until the served threshold was within the budget for the first time (exact counts as within).
    pub until_within: Option<u64>,
    /// Requests after that during which the served threshold's true rate was over the budget.
    pub over_after: u64,
    /// ... and over twice the budget.
    pub far_over_after: u64,
    pub exact: u64,
    pub hits: u64,
    pub wrong: u64,
    pub audits: u64,
    pub verdicts: u64,
    pub oracle_hits: f64,
}

impl Stretch {
    fn over(&self) -> f64 {
        self.over_after as f64 / self.requests as f64
    }
    pub fn wrong_rate(&self) -> f64 {
        self.wrong as f64 / self.hits.max(1) as f64
    }
    fn audit_share(&self) -> f64 {
        self.audits as f64 / self.hits.max(1) as f64
    }
    fn kept(&self) -> f64 {
        self.hits as f64 / self.oracle_hits.max(1.0)
    }
    pub fn print(&self, name: &str) {
        let _ = writeln!(
            std::io::stderr(),
            "{name:<34} within after {:>6}  over {:>5.2}% (2x {:>5.2}%)  wrong {:>5.2}%  audits {:>5.2}% ({:>5}, verdicts {:>6})  kept {:>5.1}%  exact {:>5.1}%",
            self.until_within.map_or("never".to_owned(), |n| n.to_string()),
            100.0 * self.over(),
            100.0 * self.far_over_after as f64 / self.requests as f64,
            100.0 * self.wrong_rate(),
            100.0 * self.audit_share(),
            self.audits,
            self.verdicts,
            100.0 * self.kept(),
            100.0 * self.exact as f64 / self.requests as f64,
        );
    }
}

impl World {
    pub fn new(settings: Settings, error: f64, seed: u64) -> World {
        World { budget: Budget::new(settings, seed).expect("fit"), dice: Dice(seed ^ 0xabcd), error }
    }

    fn candidate(&mut self, mix: &[Topic]) -> (f32, bool) {
        let all: f64 = mix.iter().map(|topic| topic.weight).sum();
        let mut at = self.dice.roll() * all;
        let topic = mix
            .iter()
            .find(|topic| {
                at -= topic.weight;
                at < 0.0
            })
            .unwrap_or(&mix[0]);
        let wrong = self.dice.roll() < topic.wrong;
        let (mean, sd) = if wrong { topic.wrong_at } else { topic.right_at };
        (self.dice.normal(mean, sd).min(1.0) as f32, wrong)
    }

    fn judge(&mut self, draw: Draw, wrong: bool) {
        let Draw::Audit(mut ticket) = draw else { return };
        loop {
            let differs = wrong != (self.dice.roll() < self.error);
            match self.budget.hear(ticket, if differs { Verdict::Differs } else { Verdict::Agrees }) {
                Heard::Settled => return,
                Heard::AskAgain(again) => ticket = again,
            }
        }
    }

    pub fn traffic(&mut self, mix: &[Topic], requests: u64) -> Stretch {
        let mut stretch = Stretch { requests, ..Stretch::default() };
        let before = self.budget.report().counts;
        let best = oracle(mix);
        let (mut serve, mut rate) = (Fallback::Exact, 0.0);
        for request in 0..requests {
            let now = self.budget.threshold();
            if now != serve || request == 0 {
                serve = now;
                rate = match serve {
                    Fallback::From(threshold) => truth(mix, f64::from(threshold)).1,
                    Fallback::Exact => 0.0,
                };
            }
            if rate <= BUDGET && stretch.until_within.is_none() {
                stretch.until_within = Some(request);
            }
            stretch.over_after += u64::from(rate > BUDGET);
            stretch.far_over_after += u64::from(rate > 2.0 * BUDGET);
            stretch.exact += u64::from(serve == Fallback::Exact);
            stretch.oracle_hits += NEIGHBOURS * best;
            if self.dice.roll() >= NEIGHBOURS {
                continue;
            }
            let (score, wrong) = self.candidate(mix);
            let hit = matches!(serve, Fallback::From(threshold) if score >= threshold);
            stretch.hits += u64::from(hit);
            stretch.wrong += u64::from(hit && wrong);
            let draw = if hit { self.budget.on_hit(score, None) } else { self.budget.on_miss(score, None) };
            self.judge(draw, wrong);
        }
        let after = self.budget.report().counts;
        stretch.audits = after.audits - before.audits;
        stretch.verdicts = after.verdicts - before.verdicts;
        stretch
    }
}
