//! A breaker in plain words: it is *flowing*, *shut* or *probing*.
//!
//! ```text
//! flowing ── failures in a row, or their share ──> shut ── `shut_for` is over ──> probing
//!    ^                                              ^                               │
//!    │                                              └──────── one probe fails ──────┤
//!    └──────────────────────── `probes` of them have succeeded ────────────────────┘
//! ```

use crate::config::routing::Breaker as Rules;
use std::time::Duration;
use tokio::time::Instant;

/// Parts of the window in which failures are counted.
const PARTS: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Flowing,
    /// Nothing passes until then.
    Shut(Instant),
    /// One passes, and once it has succeeded as many more as must.
    Probing,
}

/// What a request that was let through is to the breaker. Its result counts in the state that let
/// it through, and not in a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    round: u64,
}

/// Guarded by its owner's lock. Pure but for the time it is given.
#[derive(Debug)]
pub struct Breaker {
    rules: Rules,
    state: State,
    /// Counts changes of state.
    round: u64,
    /// Failures since the last success, while flowing.
    in_a_row: u32,
    recent: Recent,
    /// Probes let through, and those of them that have succeeded.
    probing: u32,
    passed: u32,
}

impl Breaker {
    pub fn new(rules: Rules, now: Instant) -> Breaker {
        let recent = Recent::new(rules.window, now);
        Breaker { rules, state: State::Flowing, round: 0, in_a_row: 0, recent, probing: 0, passed: 0 }
    }

    pub fn state(&mut self, now: Instant) -> State {
        if let State::Shut(until) = self.state
            && now >= until
        {
            self.turn(State::Probing);
        }
        self.state
    }

    /// Whether a request may pass now.
    pub fn lets_through(&mut self, now: Instant) -> bool {
        match self.state(now) {
            State::Flowing => true,
            State::Shut(_) => false,
            // One goes ahead, so that a deployment that is still ill costs one request, not all.
            State::Probing if self.passed == 0 => self.probing == 0,
            State::Probing => self.probing < self.rules.probes,
        }
    }

    /// Takes a place; `lets_through` must have said yes under the same lock.
    pub fn enter(&mut self) -> Grant {
        if self.state == State::Probing {
            self.probing += 1;
        }
        Grant { round: self.round }
    }

    pub fn succeeded(&mut self, grant: Grant, now: Instant) {
        if grant.round != self.round {
            return;
        }
        match self.state(now) {
            State::Flowing => {
                self.in_a_row = 0;
                self.recent.count(now, false);
            }
            State::Probing => {
                self.passed += 1;
                if self.passed >= self.rules.probes {
                    self.turn(State::Flowing);
                    self.recent = Recent::new(self.rules.window, now);
                }
            }
            State::Shut(_) => {}
        }
    }

    pub fn failed(&mut self, grant: Grant, now: Instant) {
        if grant.round != self.round {
            return;
        }
        match self.state(now) {
            State::Flowing => {
                self.in_a_row += 1;
                self.recent.count(now, true);
                let (all, failed) = self.recent.sum(now);
                let many = all >= self.rules.min_requests
                    && f64::from(failed) >= self.rules.error_rate * f64::from(all);
                if self.in_a_row >= self.rules.failures || many {
                    self.shut(now);
                }
            }
            State::Probing => self.shut(now),
            State::Shut(_) => {}
        }
    }

    /// Nothing was learned from it: its client left, or another answer came first.
    pub fn given_back(&mut self, grant: Grant) {
        if grant.round == self.round && self.state == State::Probing {
            self.probing = self.probing.saturating_sub(1);
        }
    }

    fn shut(&mut self, now: Instant) {
        self.turn(State::Shut(now + self.rules.shut_for));
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.round += 1;
        (self.in_a_row, self.probing, self.passed) = (0, 0, 0);
    }
}

/// Requests and failures of the last window, in ten parts.
#[derive(Debug)]
struct Recent {
    part: Duration,
    origin: Instant,
    counts: [(u32, u32); PARTS],
    at: u128,
}

impl Recent {
    fn new(window: Duration, now: Instant) -> Recent {
        let part = (window / PARTS as u32).max(Duration::from_millis(1));
        Recent { part, origin: now, counts: [(0, 0); PARTS], at: 0 }
    }

    fn count(&mut self, now: Instant, failed: bool) {
        self.turn(now);
        let (all, bad) = &mut self.counts[(self.at % PARTS as u128) as usize];
        *all += 1;
        *bad += u32::from(failed);
    }

    fn sum(&mut self, now: Instant) -> (u32, u32) {
        self.turn(now);
        self.counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    }

    fn turn(&mut self, now: Instant) {
        let at = now.saturating_duration_since(self.origin).as_nanos() / self.part.as_nanos();
        for passed in (self.at + 1)..=at.min(self.at + PARTS as u128) {
            self.counts[(passed % PARTS as u128) as usize] = (0, 0);
        }
        self.at = self.at.max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn breaker() -> (Breaker, Instant) {
        let now = Instant::now();
        (Breaker::new(Rules::default(), now), now)
    }

    fn fail(breaker: &mut Breaker, now: Instant) {
        assert!(breaker.lets_through(now));
        let grant = breaker.enter();
        breaker.failed(grant, now);
    }

    fn succeed(breaker: &mut Breaker, now: Instant) {
        assert!(breaker.lets_through(now));
        let grant = breaker.enter();
        breaker.succeeded(grant, now);
    }

    #[tokio::test]
    async fn five_failures_in_a_row_shut_it_and_four_do_not() {
        let (mut breaker, now) = breaker();
        (0..4).for_each(|_| fail(&mut breaker, now));
        succeed(&mut breaker, now);
        (0..4).for_each(|_| fail(&mut breaker, now));
        assert_eq!(breaker.state(now), State::Flowing);
        fail(&mut breaker, now);
        assert_eq!(breaker.state(now), State::Shut(now + 30 * S));
        assert!(!breaker.lets_through(now + 30 * S - Duration::from_nanos(1)));
    }

    #[tokio::test]
    async fn a_share_of_failures_shuts_it_once_there_are_enough_requests() {
        let (mut breaker, now) = breaker();
        for _ in 0..9 {
            succeed(&mut breaker, now);
            fail(&mut breaker, now);
        }
        succeed(&mut breaker, now);
        assert_eq!(breaker.state(now), State::Flowing, "nineteen are too few to judge by");
        fail(&mut breaker, now);
        assert_eq!(breaker.state(now), State::Shut(now + 30 * S));
    }

    #[tokio::test]
    async fn failures_of_long_ago_do_not_count() {
        let (mut breaker, now) = breaker();
        for _ in 0..9 {
            fail(&mut breaker, now);
            succeed(&mut breaker, now);
        }
        let later = now + 11 * S;
        for _ in 0..9 {
            fail(&mut breaker, later);
            succeed(&mut breaker, later);
        }
        assert_eq!(breaker.state(later), State::Flowing);
    }

    #[tokio::test]
    async fn after_thirty_seconds_three_probes_open_it_or_one_shuts_it_again() {
        let (mut breaker, now) = breaker();
        (0..5).for_each(|_| fail(&mut breaker, now));
        let then = now + 30 * S;
        assert_eq!(breaker.state(then), State::Probing);
        assert!(breaker.lets_through(then));
        let first = breaker.enter();
        assert!(!breaker.lets_through(then), "one goes ahead");
        breaker.succeeded(first, then);
        let probes: Vec<Grant> = (0..2)
            .map(|_| {
                assert!(breaker.lets_through(then));
                breaker.enter()
            })
            .collect();
        assert!(!breaker.lets_through(then), "three in all");
        breaker.succeeded(probes[0], then);
        assert_eq!(breaker.state(then), State::Probing);
        breaker.succeeded(probes[1], then);
        assert_eq!(breaker.state(then), State::Flowing);

        (0..5).for_each(|_| fail(&mut breaker, then));
        let again = then + 30 * S;
        assert!(breaker.lets_through(again));
        let first = breaker.enter();
        breaker.succeeded(first, again);
        let (one, other) = (breaker.enter(), breaker.enter());
        breaker.failed(one, again);
        assert_eq!(breaker.state(again), State::Shut(again + 30 * S));
        breaker.succeeded(other, again);
        assert_eq!(breaker.state(again), State::Shut(again + 30 * S), "the other's word comes too late");
    }

    #[tokio::test]
    async fn a_probe_whose_client_left_makes_room_for_another() {
        let (mut breaker, now) = breaker();
        (0..5).for_each(|_| fail(&mut breaker, now));
        let then = now + 30 * S;
        assert!(breaker.lets_through(then));
        let probe = breaker.enter();
        assert!(!breaker.lets_through(then));
        breaker.given_back(probe);
        assert!(breaker.lets_through(then));
    }

    #[tokio::test]
    async fn what_began_before_it_shut_neither_opens_nor_shuts_it_later() {
        let (mut breaker, now) = breaker();
        assert!(breaker.lets_through(now));
        let old = breaker.enter();
        (0..5).for_each(|_| fail(&mut breaker, now));
        let then = now + 30 * S;
        assert_eq!(breaker.state(then), State::Probing);
        breaker.failed(old, then);
        assert_eq!(breaker.state(then), State::Probing);
        (0..3).for_each(|_| succeed(&mut breaker, then));
        assert_eq!(breaker.state(then), State::Flowing);
    }
}
