//! What one key has used: requests and tokens of this minute, requests in progress, money by period.
//!
//! In memory. Where replicas share a fleet, `joint` asks it besides, and what it says of the others is kept here:
//! it counts on while the fleet is away.

use super::estimate::Estimate;
use super::fleet::ByPeriod;
use super::period;
use crate::base::clock::Millis;
use crate::base::fault::{Fault, Kind};
use crate::base::money::NanoUsd;
use crate::config::keys::{Grant, Over};
use parking_lot::Mutex;
use std::time::Duration;

use super::part::Part;
pub use super::part::{Hurry, Permit};

const MINUTE: u64 = 60_000;

#[derive(Debug, Default)]
pub struct Meter {
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub minute: u64,
    pub requests: u64,
    /// Used in this minute, and held for requests in progress.
    tokens: u64,
    in_progress: u64,
    pub periods: ByPeriod,
    /// By this replica.
    pub spent: ByPeriod,
    /// By the others, as far as is known.
    pub others: ByPeriod,
    /// Nano-dollars held for requests in progress.
    held: u64,
    /// The period in which a warning was last given.
    warned: [Option<u64>; 4],
    /// What only matters where there are other replicas.
    pub part: Part,
}

/// What is kept for one request until it is known what it used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    pub(super) tokens: u64,
    minute: u64,
    /// What it may cost; taken as its cost where nobody says what it was.
    pub cost: NanoUsd,
    /// Where it is held in the fleet too: its name there.
    pub id: Option<u64>,
}

/// A soft limit that was passed just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub period: &'static str,
    pub spent: NanoUsd,
    pub limit: NanoUsd,
}

impl Meter {
    /// Lets a request in, or says why not. One that is let in is to be `settle`d, however it ends.
    pub fn enter(&self, grant: &Grant, now: Millis) -> Result<(), Fault> {
        let mut state = self.state.lock();
        state.turn(now);
        if grant.rpm.is_some_and(|most| state.requests >= most) {
            return Err(too_many_requests(grant, now));
        }
        if grant.concurrency.is_some_and(|most| state.in_progress >= most) {
            return Err(too_many_at_once(grant));
        }
        if grant.over == Over::Refuse
            && let Some(at) = state.short_of(grant, 0)
        {
            return Err(over_budget(at));
        }
        state.requests += 1;
        state.in_progress += 1;
        state.part.used();
        Ok(())
    }

    /// Holds tokens and money before the upstream is asked. What is spent and held together never passes a
    /// hard limit, so that parallel requests overrun it only by what each costs above its own hold.
    pub fn hold(&self, grant: &Grant, now: Millis, tokens: Estimate, cost: NanoUsd) -> Result<Hold, Fault> {
        let tokens = tokens.prompt.saturating_add(tokens.completion);
        let mut state = self.state.lock();
        state.turn(now);
        // A single request above the limit is let through by itself, or it never could be.
        if grant.tpm.is_some_and(|most| state.tokens > 0 && state.tokens.saturating_add(tokens) > most) {
            return Err(too_many_tokens(grant, now));
        }
        if let Some(at) = state.short_of(grant, cost.0) {
            return Err(over_budget(at));
        }
        state.tokens = state.tokens.saturating_add(tokens);
        state.held = state.held.saturating_add(cost.0);
        Ok(Hold { tokens, minute: state.minute, cost, id: None })
    }

    /// The request is over: `used` tokens and `cost`, in place of what was held.
    pub fn settle(&self, now: Millis, hold: Option<Hold>, used: Option<u64>, cost: NanoUsd) {
        let mut state = self.state.lock();
        state.turn(now);
        state.in_progress = state.in_progress.saturating_sub(1);
        for spent in &mut state.spent {
            *spent = spent.saturating_add(cost.0);
        }
        let Some(hold) = hold else { return };
        state.held = state.held.saturating_sub(hold.cost.0);
        if hold.minute == state.minute {
            state.tokens = (state.tokens + used.unwrap_or(hold.tokens)).saturating_sub(hold.tokens);
        }
        if let Some(id) = hold.id {
            state.part.end(id, used);
        }
    }

    /// What was spent on a day before this process began.
    pub fn recall(&self, day: u64, spent: NanoUsd, now: Millis) {
        let mut state = self.state.lock();
        state.turn(now);
        let (then, current) = (period::of_day(day), state.periods);
        for at in 0..4 {
            if then[at] == current[at] {
                state.spent[at] = state.spent[at].saturating_add(spent.0);
                state.part.recalled[at] = state.part.recalled[at].saturating_add(spent.0);
            }
        }
    }

    /// Spent in this day, week, month and on the whole, by all replicas as far as is known here.
    pub fn spent(&self, now: Millis) -> [NanoUsd; 4] {
        let mut state = self.state.lock();
        state.turn(now);
        [0, 1, 2, 3].map(|at| NanoUsd(state.spent_by_all(at)))
    }

    /// The soft limits that are passed, and of these the one that was passed since the last call.
    pub fn warnings(&self, grant: &Grant, now: Millis) -> (Vec<Passed>, Option<Passed>) {
        if grant.warn.is_none() {
            return (Vec::new(), None);
        }
        let mut state = self.state.lock();
        state.turn(now);
        let (mut passed, mut fresh) = (Vec::new(), None);
        for (at, limit) in grant.warn.limits().into_iter().enumerate() {
            let spent = NanoUsd(state.spent_by_all(at));
            let Some(limit) = limit.filter(|limit| spent >= *limit) else { continue };
            let one = Passed { period: period::WORDS[at], spent, limit };
            passed.push(one);
            let this = Some(state.periods[at]);
            if std::mem::replace(&mut state.warned[at], this) != this {
                fresh = Some(one);
            }
        }
        (passed, fresh)
    }
}

impl State {
    /// Begins what has begun since.
    pub fn turn(&mut self, now: Millis) {
        let minute = now.0 / MINUTE;
        if self.minute != minute {
            (self.minute, self.requests, self.tokens) = (minute, 0, 0);
            self.part.begin_minute();
        }
        let periods = period::of(now);
        for (at, period) in periods.into_iter().enumerate() {
            if self.periods[at] != period {
                (self.periods[at], self.spent[at], self.others[at]) = (period, 0, 0);
                self.part.begin_period(at);
            }
        }
    }

    fn spent_by_all(&self, at: usize) -> u64 {
        self.spent[at].saturating_add(self.others[at])
    }

    /// The first period whose budget has no room for `more`; with nothing more, one that is used up.
    fn short_of(&self, grant: &Grant, more: u64) -> Option<usize> {
        let limits = grant.budget.limits();
        (0..4).find(|at| {
            let spent = self.spent_by_all(*at);
            let committed = spent.saturating_add(self.held).saturating_add(more);
            match limits[*at] {
                None => false,
                Some(limit) if more == 0 => spent >= limit.0,
                Some(limit) => committed > limit.0,
            }
        })
    }
}

fn next_minute(now: Millis) -> Duration {
    Duration::from_millis(MINUTE - now.0 % MINUTE)
}

pub(super) fn too_many_requests(grant: &Grant, now: Millis) -> Fault {
    too_many("requests a minute", grant.rpm, next_minute(now))
}

pub(super) fn too_many_tokens(grant: &Grant, now: Millis) -> Fault {
    too_many("tokens a minute", grant.tpm, next_minute(now))
}

pub(super) fn too_many_at_once(grant: &Grant) -> Fault {
    too_many("requests at once", grant.concurrency, Duration::from_secs(1))
}

fn too_many(what: &str, limit: Option<u64>, after: Duration) -> Fault {
    let limit = limit.unwrap_or_default();
    Fault::new(Kind::RateLimited, format!("this key may have {limit} {what}; wait, or have its limit raised"))
        .retry_after(after)
}

pub(super) fn over_budget(at: usize) -> Fault {
    let budget = match period::WORDS[at] {
        "whole" => "budget".to_owned(),
        word => format!("budget of this {word} (UTC)"),
    };
    Fault::new(Kind::OverBudget, format!("the {budget} of this key is used up; wait, or have it raised"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Budget;

    const NOW: Millis = Millis(1_000 * MINUTE);
    const CENT: NanoUsd = NanoUsd(10_000_000);
    const FEW: Estimate = Estimate { prompt: 50, completion: 50 };

    fn kind(outcome: Result<impl std::fmt::Debug, Fault>) -> Kind {
        outcome.unwrap_err().kind
    }

    #[test]
    fn rates_begin_anew_with_the_minute() {
        let (meter, grant) = (Meter::default(), Grant { rpm: Some(2), tpm: Some(150), ..Grant::default() });
        meter.enter(&grant, NOW).unwrap();
        meter.enter(&grant, NOW).unwrap();
        let refused = meter.enter(&grant, Millis(NOW.0 + 15_000)).unwrap_err();
        assert_eq!((refused.kind, refused.retry), (Kind::RateLimited, Some(Duration::from_secs(45))));
        let hold = meter.hold(&grant, NOW, FEW, NanoUsd(0)).unwrap();
        assert_eq!(kind(meter.hold(&grant, NOW, FEW, NanoUsd(0))), Kind::RateLimited);
        meter.settle(NOW, Some(hold), Some(20), NanoUsd(0));
        meter.hold(&grant, NOW, FEW, NanoUsd(0)).unwrap();
        meter.enter(&grant, Millis(NOW.0 + MINUTE)).unwrap();
    }

    #[test]
    fn what_is_held_and_spent_never_passes_a_budget() {
        let budget = Budget { day: Some(NanoUsd(CENT.0 * 3)), ..Budget::default() };
        let (meter, grant) = (Meter::default(), Grant { budget, ..Grant::default() });
        let first = meter.hold(&grant, NOW, FEW, CENT).unwrap();
        let second = meter.hold(&grant, NOW, FEW, CENT).unwrap();
        meter.hold(&grant, NOW, FEW, CENT).unwrap();
        assert_eq!(kind(meter.hold(&grant, NOW, FEW, CENT)), Kind::OverBudget);
        // One cost nothing, one cost twice its hold: it is full again.
        meter.settle(NOW, Some(first), Some(0), NanoUsd(0));
        meter.settle(NOW, Some(second), None, NanoUsd(CENT.0 * 2));
        assert_eq!(kind(meter.hold(&grant, NOW, FEW, NanoUsd(1))), Kind::OverBudget);
        assert_eq!(meter.spent(NOW)[0], NanoUsd(CENT.0 * 2));
        meter.hold(&grant, Millis(NOW.0 + 86_400_000), FEW, CENT).unwrap();
    }

    #[test]
    fn a_key_that_is_used_up_is_refused_or_lives_from_the_cache() {
        let budget = Budget { whole: Some(CENT), ..Budget::default() };
        for (over, let_in) in [(Over::Refuse, false), (Over::CacheOnly, true)] {
            let (meter, grant) = (Meter::default(), Grant { budget, over, ..Grant::default() });
            meter.recall(3, CENT, NOW);
            assert_eq!(meter.enter(&grant, NOW).is_ok(), let_in);
            assert_eq!(kind(meter.hold(&grant, NOW, FEW, NanoUsd(1))), Kind::OverBudget);
        }
    }

    #[test]
    fn a_soft_limit_warns_on_every_request_and_is_news_once_a_period() {
        let warn = Budget { day: Some(CENT), month: Some(NanoUsd(CENT.0 * 9)), ..Budget::default() };
        let (meter, grant) = (Meter::default(), Grant { warn, ..Grant::default() });
        assert_eq!(meter.warnings(&grant, NOW), (vec![], None));
        meter.settle(NOW, None, None, CENT);
        let passed = Passed { period: "day", spent: CENT, limit: CENT };
        assert_eq!(meter.warnings(&grant, NOW), (vec![passed], Some(passed)));
        assert_eq!(meter.warnings(&grant, NOW), (vec![passed], None));
        assert_eq!(meter.warnings(&grant, Millis(NOW.0 + 86_400_000)), (vec![], None));
    }

    #[test]
    fn only_so_many_at_once() {
        let (meter, grant) = (Meter::default(), Grant { concurrency: Some(1), ..Grant::default() });
        meter.enter(&grant, NOW).unwrap();
        assert_eq!(kind(meter.enter(&grant, NOW)), Kind::RateLimited);
        meter.settle(NOW, None, None, NanoUsd(0));
        meter.enter(&grant, NOW).unwrap();
    }
}
