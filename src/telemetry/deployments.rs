//! The numbers of each deployment. Their labels are names of the config, so their count is bounded.
//!
//! | name | labels | what |
//! |---|---|---|
//! | `deployment_requests_total` | model, deployment | attempts sent to it |
//! | `deployment_failures_total` | model, deployment, class | attempts that failed |
//! | `deployment_first_byte_seconds` | model, deployment | from the request to the first byte of the answer |
//! | `deployment_tokens_total` | model, deployment, kind | tokens as it counted them |
//! | `deployment_in_flight` | model, deployment | requests in progress |
//! | `deployment_state` | model, deployment, state | 1 for the state it is in |
//! | `fallbacks_total` | model, to, why | requests that went to another model |
//! | `escalations_total` | model, to, why | answers that a larger model was asked to better |

use super::metrics::Seconds;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// Every state that `deployment_state` knows.
pub const STATES: [&str; 6] = ["open", "shut", "slow", "resting", "limited", "full"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    model: String,
    deployment: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NamedClass {
    model: String,
    deployment: String,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NamedKind {
    model: String,
    deployment: String,
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NamedState {
    model: String,
    deployment: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fallback {
    model: String,
    to: String,
    why: &'static str,
}

/// All of them. Clones share the numbers.
#[derive(Clone)]
pub struct Deployments {
    requests: Family<Named, Counter>,
    failures: Family<NamedClass, Counter>,
    first_byte: Family<Named, Histogram, Seconds>,
    tokens: Family<NamedKind, Counter>,
    in_flight: Family<Named, Gauge>,
    states: Family<NamedState, Gauge>,
    fallbacks: Family<Fallback, Counter>,
    escalations: Family<Fallback, Counter>,
}

impl Default for Deployments {
    fn default() -> Self {
        Deployments {
            requests: Family::default(),
            failures: Family::default(),
            first_byte: Family::new_with_constructor(Seconds),
            tokens: Family::default(),
            in_flight: Family::default(),
            states: Family::default(),
            fallbacks: Family::default(),
            escalations: Family::default(),
        }
    }
}

impl Deployments {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("deployment_requests", "Attempts sent to a deployment", self.requests.clone());
        registry.register("deployment_failures", "Attempts that failed", self.failures.clone());
        registry.register(
            "deployment_first_byte_seconds",
            "From the request to the first byte of the answer",
            self.first_byte.clone(),
        );
        registry.register("deployment_tokens", "Tokens as a deployment counted them", self.tokens.clone());
        registry.register("deployment_in_flight", "Requests in progress", self.in_flight.clone());
        registry.register("deployment_state", "1 for the state it is in", self.states.clone());
        registry.register("fallbacks", "Requests that went to another model", self.fallbacks.clone());
        let escalations = "Answers that a larger model was asked to better";
        registry.register("escalations", escalations, self.escalations.clone());
    }

    /// The numbers of one deployment, looked up once.
    pub fn of(&self, model: &str, deployment: &str) -> DeploymentMetrics {
        let named = Named { model: model.to_owned(), deployment: deployment.to_owned() };
        let kind = |kind| NamedKind { model: model.to_owned(), deployment: deployment.to_owned(), kind };
        DeploymentMetrics {
            requests: self.requests.get_or_create_owned(&named),
            first_byte: self.first_byte.get_or_create_owned(&named),
            in_flight: self.in_flight.get_or_create_owned(&named),
            input: self.tokens.get_or_create_owned(&kind("input")),
            output: self.tokens.get_or_create_owned(&kind("output")),
            named,
            all: self.clone(),
        }
    }

    pub fn fell_back(&self, model: &str, to: &str, why: &'static str) {
        self.fallbacks.get_or_create(&Fallback { model: model.to_owned(), to: to.to_owned(), why }).inc();
    }

    pub fn escalated(&self, model: &str, to: &str, why: &'static str) {
        self.escalations.get_or_create(&Fallback { model: model.to_owned(), to: to.to_owned(), why }).inc();
    }

    /// Forgets the states of deployments that are no more.
    pub fn forget_states(&self) {
        self.states.clear();
    }
}

/// The numbers of one deployment.
#[derive(Clone)]
pub struct DeploymentMetrics {
    requests: Counter,
    first_byte: Histogram,
    in_flight: Gauge,
    input: Counter,
    output: Counter,
    named: Named,
    all: Deployments,
}

impl DeploymentMetrics {
    pub fn sent(&self) {
        self.requests.inc();
    }

    pub fn failed(&self, class: &'static str) {
        let Named { model, deployment } = self.named.clone();
        self.all.failures.get_or_create(&NamedClass { model, deployment, class }).inc();
    }

    pub fn first_byte(&self, took: Duration) {
        self.first_byte.observe(took.as_secs_f64());
    }

    pub fn busy(&self, requests: usize) {
        self.in_flight.set(i64::try_from(requests).unwrap_or(i64::MAX));
    }

    pub fn tokens(&self, input: u64, output: u64) {
        self.input.inc_by(input);
        self.output.inc_by(output);
    }

    /// One of `STATES`.
    pub fn state(&self, now: &'static str) {
        for state in STATES {
            let Named { model, deployment } = self.named.clone();
            let gauge = self.all.states.get_or_create_owned(&NamedState { model, deployment, state });
            gauge.set(i64::from(state == now));
        }
    }
}
