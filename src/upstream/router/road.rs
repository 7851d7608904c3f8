//! One road: a deployment of a model, how it is reached, and how it has fared.

use super::Exchange;
use super::breaker::{Breaker, Grant, State};
use super::choice::Candidate;
use super::limits::{self, Minute, Told, What};
use super::outcome::Failure;
use crate::base::money::NanoUsd;
use crate::config::routing::{Breaker as Rules, Deployment, Strategy};
use crate::telemetry::deployments::DeploymentMetrics;
use http::HeaderMap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How fast what was slow is forgotten: after so many seconds a latency counts for a third.
const FORGET: f64 = 10.0;
/// Answers from which a road may be called slow; fewer for one that has been before.
const SAMPLES: u32 = 20;
const SAMPLES_AGAIN: u32 = 5;
/// The rest after a 429 that does not say how long; twice as long after each further one in a row.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Tokens of an answer that a price is compared by where the client sets no limit.
const USUAL_ANSWER: u64 = 500;

/// What a request needs of a road.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Tokens of the request, as estimated.
    pub input: u64,
    /// Tokens of the answer at most; 0 where the client does not say.
    pub output: u64,
}

/// Which roads are good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    Usual,
    /// None is open by the usual one: far slower than its peers is better than nothing.
    EvenSlow,
}

/// Whether a road takes a request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// Its breaker is shut.
    Shut(Instant),
    /// Far slower than its peers.
    Slow(Instant),
    /// It asked to be left alone.
    Resting(Instant),
    /// At its requests or tokens a minute.
    Limited(Instant),
    /// At its concurrency, or its probes are on their way.
    Full,
}

impl Gate {
    /// The word in metrics and messages.
    pub fn word(self) -> &'static str {
        match self {
            Gate::Open => "open",
            Gate::Shut(_) => "shut",
            Gate::Slow(_) => "slow",
            Gate::Resting(_) => "resting",
            Gate::Limited(_) => "limited",
            Gate::Full => "full",
        }
    }

    /// When it may open by itself.
    pub fn opens(self) -> Option<Instant> {
        match self {
            Gate::Open | Gate::Full => None,
            Gate::Shut(at) | Gate::Slow(at) | Gate::Resting(at) | Gate::Limited(at) => Some(at),
        }
    }

    /// Whether it is worth waiting for: the road is well and only busy.
    pub fn is_busy(self) -> bool {
        matches!(self, Gate::Resting(_) | Gate::Limited(_) | Gate::Full)
    }
}

/// How a road is reached.
pub struct Reach {
    pub exchange: Arc<dyn Exchange>,
    /// Whether a key of ours goes there in place of the client's.
    pub own_key: bool,
    /// To the first byte of the answer's body.
    pub first_byte: Duration,
    /// To its last.
    pub whole: Option<Duration>,
}

pub struct Road {
    pub name: Arc<str>,
    pub settings: Deployment,
    pub reach: Reach,
    pub shown: DeploymentMetrics,
    busy: AtomicUsize,
    vitals: Mutex<Vitals>,
}

struct Vitals {
    breaker: Breaker,
    resting: Option<Instant>,
    /// 429s in a row that did not say how long.
    rests: u32,
    slow: Option<Instant>,
    slowed: u32,
    requests: Minute,
    tokens: Minute,
    told_requests: Option<Told>,
    told_tokens: Option<Told>,
    speed: Speed,
}

/// Time to the first byte, in two ways.
#[derive(Clone, Copy, Debug)]
struct Speed {
    /// Peak EWMA (Finagle): what is slower counts at once, what is faster by and by.
    peak: f64,
    at: Instant,
    /// The plain moving average, by which a road is called slow.
    mean: f64,
    samples: u32,
}

impl Road {
    pub fn new(settings: Deployment, reach: Reach, rules: &Rules, shown: DeploymentMetrics) -> Road {
        let now = Instant::now();
        let vitals = Vitals {
            breaker: Breaker::new(rules.clone(), now),
            resting: None,
            rests: 0,
            slow: None,
            slowed: 0,
            requests: Minute::new(now),
            tokens: Minute::new(now),
            told_requests: None,
            told_tokens: None,
            speed: Speed { peak: 0.0, at: now, mean: 0.0, samples: 0 },
        };
        let name = settings.name.as_str().into();
        Road { name, settings, reach, shown, busy: AtomicUsize::new(0), vitals: Mutex::new(vitals) }
    }

    pub fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    pub fn gate(&self, now: Instant, need: Need) -> Gate {
        self.gate_of(&mut self.vitals.lock(), now, need, Standard::Usual)
    }

    fn gate_of(&self, vitals: &mut Vitals, now: Instant, need: Need, standard: Standard) -> Gate {
        let later = |at: Option<Instant>| at.filter(|at| *at > now);
        if let State::Shut(until) = vitals.breaker.state(now) {
            return Gate::Shut(until);
        }
        if standard == Standard::Usual
            && let Some(until) = later(vitals.slow)
        {
            return Gate::Slow(until);
        }
        if let Some(until) = later(vitals.resting) {
            return Gate::Resting(until);
        }
        if let Some(until) = vitals.limited(&self.settings, now, need) {
            return Gate::Limited(until);
        }
        let full = self.settings.max_concurrency.is_some_and(|most| self.busy() >= most);
        if full || !vitals.breaker.lets_through(now) { Gate::Full } else { Gate::Open }
    }

    /// What it is like now, if it is open: what `strategy` goes by, and nothing else.
    pub fn look(
        &self,
        at: usize,
        now: Instant,
        need: Need,
        standard: Standard,
        strategy: Strategy,
    ) -> Result<Candidate, Gate> {
        let mut vitals = self.vitals.lock();
        match self.gate_of(&mut vitals, now, need, standard) {
            Gate::Open => {}
            closed => return Err(closed),
        }
        let mut one = Candidate::plain(at, self.settings.weight);
        match strategy {
            Strategy::Shuffle => {}
            Strategy::LeastBusy => one.busy = self.busy(),
            Strategy::Latency => (one.latency, one.busy) = (vitals.speed.now(now), self.busy()),
            Strategy::Usage => {
                (one.headroom, one.spent) = (vitals.headroom(&self.settings, now), vitals.tokens.used(now));
            }
            Strategy::Cost => one.cost = self.cost(need),
        }
        Ok(one)
    }

    fn cost(&self, need: Need) -> u64 {
        let Some(price) = self.settings.price else { return 0 };
        let output = if need.output == 0 { USUAL_ANSWER } else { need.output };
        let NanoUsd(input) = NanoUsd::of(need.input, price.input);
        let NanoUsd(output) = NanoUsd::of(output, price.output);
        input.saturating_add(output)
    }

    /// Takes a place, if there still is one.
    pub fn enter(&self, now: Instant, need: Need, standard: Standard) -> Option<Grant> {
        let vitals = &mut *self.vitals.lock();
        if self.gate_of(vitals, now, need, standard) != Gate::Open {
            return None;
        }
        let grant = vitals.breaker.enter();
        vitals.requests.add(now, 1);
        vitals.tokens.add(now, signed(need.input + need.output));
        // The provider's word is older than this request.
        let asked = [(1, &mut vitals.told_requests), (need.input + need.output, &mut vitals.told_tokens)];
        for (amount, told) in asked {
            if let Some(told) = told {
                told.remaining = told.remaining.saturating_sub(amount);
            }
        }
        let busy = self.busy.fetch_add(1, Ordering::Relaxed) + 1;
        self.shown.busy(busy);
        Some(grant)
    }

    pub(super) fn leave(&self) {
        let busy = self.busy.fetch_sub(1, Ordering::Relaxed).saturating_sub(1);
        self.shown.busy(busy);
    }

    pub(super) fn succeeded(&self, grant: Grant) {
        let mut vitals = self.vitals.lock();
        vitals.rests = 0;
        vitals.breaker.succeeded(grant, Instant::now());
    }

    /// `after`: how long it asks to be left alone.
    pub(super) fn failed(&self, grant: Grant, failure: Failure, after: Option<Duration>) {
        self.shown.failed(failure.word());
        let (mut vitals, now) = (self.vitals.lock(), Instant::now());
        let rest = match (after, failure) {
            (Some(after), _) => Some(after),
            (None, Failure::RateLimited) => {
                let rest = REST.saturating_mul(1 << vitals.rests.min(6));
                vitals.rests += 1;
                Some(rest)
            }
            (None, _) => None,
        };
        if let Some(rest) = rest {
            let until = now + rest.min(LONGEST_REST);
            vitals.resting = vitals.resting.max(Some(until));
        }
        match failure.is_ill() {
            true => vitals.breaker.failed(grant, now),
            false => vitals.breaker.given_back(grant),
        }
    }

    pub(super) fn given_back(&self, grant: Grant) {
        self.vitals.lock().breaker.given_back(grant);
    }

    /// The head of an answer says what is left of its limits.
    pub fn learn(&self, headers: &HeaderMap) {
        let now = Instant::now();
        let told = [What::Requests, What::Tokens].map(|what| limits::told(headers, what, now));
        if let [None, None] = told {
            return;
        }
        let mut vitals = self.vitals.lock();
        let [requests, tokens] = told;
        vitals.told_requests = requests.or(vitals.told_requests);
        vitals.told_tokens = tokens.or(vitals.told_tokens);
    }

    /// The first byte came so long after the request.
    pub(super) fn first_byte(&self, took: Duration) {
        self.shown.first_byte(took);
        self.vitals.lock().speed.took(took.as_secs_f64(), Instant::now());
    }

    /// Tokens as the provider counted them, in place of the estimate.
    pub(super) fn spent(&self, need: Need, input: u64, output: u64) {
        self.shown.tokens(input, output);
        let difference = signed(input + output) - signed(need.input + need.output);
        self.vitals.lock().tokens.add(Instant::now(), difference);
    }

    /// Its mean time to the first byte in seconds, once there are enough answers to judge by.
    pub fn pace(&self) -> Option<f64> {
        let vitals = self.vitals.lock();
        (vitals.speed.samples >= vitals.enough()).then_some(vitals.speed.mean)
    }

    /// The same, where it is time to compare it with its peers: at every eighth answer.
    pub fn pace_to_judge(&self) -> Option<f64> {
        let vitals = self.vitals.lock();
        let more = vitals.speed.samples.checked_sub(vitals.enough())?;
        more.is_multiple_of(8).then_some(vitals.speed.mean)
    }

    /// Sets it aside; afterwards it is judged by new answers.
    pub fn slow_until(&self, until: Instant) {
        let mut vitals = self.vitals.lock();
        vitals.slow = Some(until);
        vitals.slowed += 1;
        vitals.speed = Speed { peak: 0.0, at: Instant::now(), mean: 0.0, samples: 0 };
    }
}

impl Vitals {
    /// Answers from which it may be called slow.
    fn enough(&self) -> u32 {
        if self.slowed == 0 { SAMPLES } else { SAMPLES_AGAIN }
    }

    fn limited(&mut self, settings: &Deployment, now: Instant, need: Need) -> Option<Instant> {
        let out = |told: Option<Told>, need: u64| {
            told.filter(|told| told.until > now && told.remaining < need).map(|told| told.until)
        };
        // A request that alone is more than what is left still waits no longer than the reset.
        let tokens = (need.input + need.output).max(1);
        let told = out(self.told_requests, 1).max(out(self.told_tokens, tokens));
        let requests = settings.rpm.map(|rpm| self.requests.fits_at(now, 1, rpm));
        let spent = settings.tpm.map(|tpm| self.tokens.fits_at(now, tokens, tpm));
        told.max(requests).max(spent).filter(|at| *at > now)
    }

    fn headroom(&mut self, settings: &Deployment, now: Instant) -> f64 {
        let left = |used: u64, limit: u64| 1.0 - used as f64 / limit.max(1) as f64;
        let told = |told: Option<Told>| match told {
            Some(Told { limit: Some(limit), remaining, until }) if until > now => {
                remaining as f64 / limit.max(1) as f64
            }
            _ => 1.0,
        };
        let requests = settings.rpm.map_or(1.0, |rpm| left(self.requests.used(now), rpm));
        let tokens = settings.tpm.map_or(1.0, |tpm| left(self.tokens.used(now), tpm));
        let least = [requests, tokens, told(self.told_requests), told(self.told_tokens)];
        least.into_iter().fold(1.0, f64::min).max(0.0)
    }
}

impl Speed {
    fn took(&mut self, seconds: f64, now: Instant) {
        let old = self.now(now);
        let kept = (-now.saturating_duration_since(self.at).as_secs_f64() / FORGET).exp();
        self.peak = if seconds > old { seconds } else { self.peak * kept + seconds * (1.0 - kept) };
        self.at = now;
        self.samples = self.samples.saturating_add(1);
        let share = 1.0 / f64::from(self.samples.min(10));
        self.mean += (seconds - self.mean) * share;
    }

    /// Falls while nothing is heard, so that a road that was slow is tried again.
    fn now(&self, now: Instant) -> f64 {
        self.peak * (-now.saturating_duration_since(self.at).as_secs_f64() / FORGET).exp()
    }
}

fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX / 4)
}
