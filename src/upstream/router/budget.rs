//! How often and how soon a request may be tried again.

use super::dice::Dice;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Retries in ten seconds that are allowed however few the requests.
const ALWAYS: u64 = 10;
const SECONDS: usize = 10;

/// Retries as a share of the requests of the last ten seconds, so that an upstream that fails is not
/// asked many times over by everybody at once.
#[derive(Debug)]
pub struct RetryBudget {
    share: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    origin: Instant,
    at: u64,
    /// Requests and retries of each second.
    seconds: [(u64, u64); SECONDS],
}

impl RetryBudget {
    pub fn new(share: f64) -> RetryBudget {
        let state = State { origin: Instant::now(), at: 0, seconds: [(0, 0); SECONDS] };
        RetryBudget { share, state: Mutex::new(state) }
    }

    /// One more request.
    pub fn request(&self) {
        self.state.lock().now().0 += 1;
    }

    /// Takes one retry, if the share allows it.
    pub fn retry(&self) -> bool {
        let mut state = self.state.lock();
        state.now();
        let (requests, retries) =
            state.seconds.iter().fold((0, 0), |sum, second| (sum.0 + second.0, sum.1 + second.1));
        let allowed = ALWAYS + (requests as f64 * self.share) as u64;
        if retries < allowed {
            state.now().1 += 1;
        }
        retries < allowed
    }
}

impl State {
    /// The second that is being counted.
    fn now(&mut self) -> &mut (u64, u64) {
        let at = self.origin.elapsed().as_secs();
        for passed in (self.at + 1)..=at.min(self.at + SECONDS as u64) {
            self.seconds[(passed % SECONDS as u64) as usize] = (0, 0);
        }
        self.at = at;
        &mut self.seconds[(at % SECONDS as u64) as usize]
    }
}

/// The wait before retry `number`, from 1: a random part of `base` · 2^(number - 1), but of `most` at
/// most ("full jitter": Brooker, Exponential Backoff and Jitter, 2015).
pub fn backoff(base: Duration, most: Duration, number: u32, dice: &Dice) -> Duration {
    let doubled = base.saturating_mul(1u32.checked_shl(number.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(most).mul_f64(dice.unit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_share_of_requests() {
        let budget = RetryBudget::new(0.2);
        (0..100).for_each(|_| budget.request());
        let granted = (0..100).filter(|_| budget.retry()).count();
        assert_eq!(granted, 30, "a fifth of a hundred, and ten");
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(!budget.retry());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..100).filter(|_| budget.retry()).count(), 10, "ten seconds later");
    }

    #[test]
    fn a_wait_is_any_part_of_a_span_that_doubles_up_to_the_most() {
        let (dice, ms) = (Dice::seeded(5), Duration::from_millis);
        for (number, span) in [(1, 50), (2, 100), (3, 200), (6, 1_600), (7, 2_000), (40, 2_000)] {
            let waits: Vec<Duration> =
                (0..1_000).map(|_| backoff(ms(50), ms(2_000), number, &dice)).collect();
            let mean = waits.iter().sum::<Duration>().as_secs_f64() / 1_000.0;
            assert!(waits.iter().all(|wait| *wait < ms(span)), "retry {number}");
            assert!((mean / ms(span).as_secs_f64() - 0.5).abs() < 0.05, "retry {number}: mean {mean}");
        }
    }
}
