//! What the router is told: models, their deployments, and how to choose among them.

use super::{Config, fits};
use crate::base::money::NanoUsd;
use std::borrow::Cow;
use std::time::Duration;

/// `[[model]]`: a name that clients use, and what stands behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The exact name, or a prefix that ends in `*`, whose models pass under their own names.
    pub name: String,
    /// Other names that clients use for it.
    pub aliases: Vec<String>,
    /// In place of the router's.
    pub strategy: Option<Strategy>,
    /// Tried in this order once this model has failed, whatever the reason.
    pub fallback: Vec<String>,
    /// Tried where the request is too long for this model.
    pub fallback_context_window: Vec<String>,
    /// Tried where the provider's content policy refused it.
    pub fallback_content_policy: Vec<String>,
    pub cascade: Option<Cascade>,
    pub deployments: Vec<Deployment>,
}

/// `[model.cascade]`: the larger model that is asked where an answer of this one shows a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    pub to: String,
    /// In the order in which they are looked for.
    pub on: Vec<Signal>,
    /// The least geometric mean of the tokens' probabilities, 0.0 to 1.0. Default 0.7.
    pub min_confidence: f64,
}

/// What may be wrong with the answer of a cheaper model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// The model, or a filter behind it, would not answer.
    Refusal,
    /// It was cut at the model's own limit, not at the client's.
    Truncated,
    /// It is not the JSON that was asked for, or calls a function with arguments that it does not take.
    Schema,
    /// The model was not sure of its tokens.
    LowConfidence,
}

impl Signal {
    pub const WORDS: [(&str, Signal); 4] = [
        ("refusal", Signal::Refusal),
        ("truncated", Signal::Truncated),
        ("schema", Signal::Schema),
        ("low_confidence", Signal::LowConfidence),
    ];

    pub fn word(self) -> &'static str {
        word_of(&Signal::WORDS, self)
    }
}

/// `[[model.deployment]]`: one road to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// What headers, metrics and logs show.
    pub name: String,
    /// The `[[upstream]]` that serves it, by name.
    pub upstream: String,
    /// The model's name there; a `*` at its end stands for what the one of a wildcard stands for. `None`: the name
    /// under which the model is known here.
    pub model: Option<String>,
    /// Its share among those of the same priority. Default 1.
    pub weight: u32,
    /// Lower goes first; the next is used where no lower one is open. Default 1.
    pub priority: u32,
    /// Of its own, or of its upstream.
    pub region: Option<String>,
    /// Requests a minute.
    pub rpm: Option<u64>,
    /// Tokens a minute.
    pub tpm: Option<u64>,
    /// Requests at once.
    pub max_concurrency: Option<usize>,
    /// Tokens that a request and its answer may have together.
    pub context_window: Option<u64>,
    pub price: Option<Price>,
}

/// For a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub input: NanoUsd,
    pub output: NanoUsd,
}

/// How one of several deployments is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// At random, by weight.
    #[default]
    Shuffle,
    /// The fewest requests in progress for its weight.
    LeastBusy,
    /// The better of two drawn at random, by time to the first byte and requests in progress.
    Latency,
    /// The most room left in its limits.
    Usage,
    /// The lowest price for this request.
    Cost,
}

/// `[router]`
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    pub strategy: Strategy,
    /// Attempts after the first, for one model. Default 2.
    pub retries: u32,
    /// The first retry waits for a random part of this, each later one for a part of twice as much.
    /// Default 50 ms.
    pub backoff: Duration,
    /// No retry waits longer. Default 2 s.
    pub max_backoff: Duration,
    /// Retries as a share of requests, beside ten in ten seconds that are always allowed. Default 0.2.
    pub retry_budget: f64,
    /// Requests of one model that may wait while all its deployments are at their limits. Default 128.
    pub queue: usize,
    /// The longest that a request waits so. Default 2 s.
    pub queue_timeout: Duration,
    /// Without a first byte by then, another deployment is asked too. Default: never.
    pub hedge_after: Option<Duration>,
    pub breaker: Breaker,
    /// In the file's order; the first that matches binds the request.
    pub rules: Vec<Rule>,
    /// Where every random choice begins. `None`: each start anew.
    pub seed: Option<u64>,
    /// Whether the file says anything of all this.
    pub given: bool,
}

/// `[router.breaker]`
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    /// Failures in a row that shut a deployment. Default 5.
    pub failures: u32,
    /// The share of failures that shuts it, of at least `min_requests`. Default 0.5.
    pub error_rate: f64,
    /// Default 20.
    pub min_requests: u32,
    /// How far back `error_rate` looks. Default 10 s.
    pub window: Duration,
    /// How long it stays shut. Default 30 s.
    pub shut_for: Duration,
    /// Requests that must succeed before it flows again. Default 3.
    pub probes: u32,
    /// A deployment so many times slower than the median of its peers is set aside for `shut_for`,
    /// unless it is the last that is open. Default 4.
    pub slow_factor: f64,
}

/// `[[router.rule]]`: which requests, and what they are bound to.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub name: String,
    /// All that are given must match.
    pub header: Option<(String, String)>,
    /// Of `x-reprise-tags`.
    pub tag: Option<(String, String)>,
    pub model: Option<String>,
    /// Only deployments there.
    pub region: Option<String>,
    /// Only these, each an exact name or a prefix that ends in `*`.
    pub deployments: Vec<String>,
    /// Another model in place of the one asked for.
    pub to: Option<String>,
}

impl Strategy {
    pub const WORDS: [(&str, Strategy); 5] = [
        ("shuffle", Strategy::Shuffle),
        ("least-busy", Strategy::LeastBusy),
        ("latency", Strategy::Latency),
        ("usage", Strategy::Usage),
        ("cost", Strategy::Cost),
    ];

    pub fn word(self) -> &'static str {
        word_of(&Strategy::WORDS, self)
    }
}

fn word_of<T: PartialEq>(words: &[(&'static str, T)], of: T) -> &'static str {
    words.iter().find(|(_, value)| *value == of).map_or("", |(word, _)| word)
}

impl Default for Router {
    fn default() -> Self {
        Router {
            strategy: Strategy::default(),
            retries: 2,
            backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(2),
            retry_budget: 0.2,
            queue: 128,
            queue_timeout: Duration::from_secs(2),
            hedge_after: None,
            breaker: Breaker::default(),
            rules: Vec::new(),
            seed: None,
            given: false,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Breaker {
            failures: 5,
            error_rate: 0.5,
            min_requests: 20,
            window: Duration::from_secs(10),
            shut_for: Duration::from_secs(30),
            probes: 3,
            slow_factor: 4.0,
        }
    }
}

impl Model {
    /// A wildcard over these upstreams: what several `[[upstream]]` without a `[[model]]` mean.
    pub fn over<'n>(upstreams: impl Iterator<Item = (&'n str, Option<&'n str>)>) -> Model {
        let deployments = upstreams.map(|(name, region)| Deployment::of(name, region)).collect();
        Model {
            name: "*".to_owned(),
            aliases: Vec::new(),
            strategy: None,
            fallback: Vec::new(),
            fallback_context_window: Vec::new(),
            fallback_content_policy: Vec::new(),
            cascade: None,
            deployments,
        }
    }

    /// The model's name here, where a client calls it `name`: its own, or of a wildcard's the client's.
    pub fn known_as<'n>(&'n self, name: &'n str) -> &'n str {
        if self.name.ends_with('*') { name } else { &self.name }
    }

    /// Under which name a deployment is asked for the model that a client calls `name`.
    pub fn name_there<'n>(&'n self, deployment: &'n Deployment, name: &'n str) -> Cow<'n, str> {
        let Some(there) = deployment.model.as_deref() else { return Cow::Borrowed(self.known_as(name)) };
        let Some(before) = there.strip_suffix('*') else { return Cow::Borrowed(there) };
        let own = std::iter::once(&self.name).chain(&self.aliases).filter_map(|own| own.strip_suffix('*'));
        let rest = own.filter_map(|prefix| name.strip_prefix(prefix)).min_by_key(|rest| rest.len());
        Cow::Owned(format!("{before}{}", rest.unwrap_or(name)))
    }

    pub fn answers_to(&self, name: &str) -> bool {
        fits(&self.name, name) || self.aliases.iter().any(|alias| alias == name)
    }
}

impl Deployment {
    /// One that takes every model under its own name, with no limits.
    pub fn of(upstream: &str, region: Option<&str>) -> Deployment {
        Deployment {
            name: upstream.to_owned(),
            upstream: upstream.to_owned(),
            model: None,
            weight: 1,
            priority: 1,
            region: region.map(str::to_owned),
            rpm: None,
            tpm: None,
            max_concurrency: None,
            context_window: None,
            price: None,
        }
    }
}

impl Config {
    /// Whether requests simply go to the one upstream there is: no models, no `[router]`, and nothing
    /// that only the router heeds.
    pub fn is_transparent(&self) -> bool {
        self.models.is_empty()
            && !self.router.given
            && self.upstreams.len() <= 1
            && self.upstreams.iter().all(|one| one.region.is_none() && one.total_timeout.is_none())
    }

    /// Whether requests take the same roads as by `other`.
    pub fn routes_like(&self, other: &Config) -> bool {
        self.upstreams == other.upstreams && self.models == other.models && self.router == other.router
    }

    /// The models that are routed: those of the file, or all upstreams behind one wildcard.
    pub fn routed_models(&self) -> Vec<Model> {
        if !self.models.is_empty() {
            return self.models.clone();
        }
        let all = self.upstreams.iter().map(|one| (one.name.as_str(), one.region.as_deref()));
        vec![Model::over(all)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_knows_a_model_by_its_own_name() {
        let there = |own: &str, there: Option<&str>, asked: &str| {
            let deployment = Deployment { model: there.map(str::to_owned), ..Deployment::of("a", None) };
            let model = Model { name: own.to_owned(), ..Model::over(std::iter::empty()) };
            model.name_there(&deployment, asked).into_owned()
        };
        assert_eq!(there("m", None, "alias"), "m");
        assert_eq!(there("m", Some("m-2024"), "m"), "m-2024");
        assert_eq!(there("gpt-*", None, "gpt-4o"), "gpt-4o");
        assert_eq!(there("gpt-*", Some("one"), "gpt-4o"), "one");
        assert_eq!(there("anthropic/*", Some("*"), "anthropic/claude"), "claude");
        assert_eq!(there("fast/*", Some("acme/*"), "fast/m"), "acme/m");
    }
}
