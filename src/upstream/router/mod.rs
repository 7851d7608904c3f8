//! The router: from a model's name to an answer of one of its deployments.
//!
//! ```text
//! request ─ asked ─ binding ─ model ─> roads ─ choice ─> place ─ exchange ─> answer ─> client
//!             │        │                          ^         │         │         │
//!          body     rules, region              strategy   gate:    one HTTP   held till good,
//!                                                        breaker,  exchange   then watched
//!                                                        limits
//! ```
//!
//! | file | has |
//! |---|---|
//! | `journey` | one request's way: attempts, retries, fallbacks |
//! | `plan` | which roads a request may take: model, rules, region, context window |
//! | `asked` | what is read of a request: model, length, region, tags |
//! | `cascade` | a cheaper model first, and a larger one where its answer will not do |
//! | `fleet` | the roads of one model, and a place on one of them |
//! | `seat` | waiting for a place, and choosing it |
//! | `road` | one deployment: how it is reached, and how it has fared |
//! | `choice` | one of several roads, by a strategy |
//! | `breaker` | flowing, shut, probing |
//! | `limits` | requests and tokens a minute, our count and the provider's word |
//! | `budget` | how often and how soon a request may be tried again |
//! | `hedge` | a second attempt beside a late first one |
//! | `outcome` | what one attempt came to |
//! | `answer` | an answer on its way back: held until it is good, then watched |
//! | `usage` | token counts, picked out of an answer |
//! | `closed` | what a client is told where no road was left |
//! | `dice` | where every random choice comes from |

mod answer;
mod asked;
mod breaker;
mod budget;
mod cascade;
mod choice;
mod closed;
mod dice;
mod fleet;
mod hedge;
mod journey;
mod limits;
mod outcome;
mod plan;
mod road;
mod seat;
mod usage;

pub use plan::Binding;

use super::{Incoming, Outgoing, OutgoingBody};
use crate::base::fault::Fault;
use crate::config;
use crate::config::routing::Model;
use crate::telemetry::metrics::Metrics;
use crate::wire::Dialect;
use asked::Asked;
use budget::RetryBudget;
use dice::Dice;
use fleet::Fleet;
use http::{HeaderMap, Method};
use journey::Journey;
use plan::Catalogue;
use road::{Need, Reach, Road};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a deployment is asked through: an upstream over HTTP, or what a scene puts in its place.
pub trait Exchange: Send + Sync {
    /// Sends one request and returns as soon as the head of its answer is in. Dropping the future, or
    /// the answer's body, ends the exchange.
    fn exchange(&self, outgoing: Outgoing) -> Exchanging<'_>;
}

pub type Exchanging<'e> = Pin<Box<dyn Future<Output = Result<Incoming, Fault>> + Send + 'e>>;

/// One `[[upstream]]`, as the router sees it.
#[derive(Clone)]
pub struct Behind {
    pub exchange: Arc<dyn Exchange>,
    pub own_key: bool,
    pub first_byte: Duration,
    pub whole: Option<Duration>,
}

/// All models and what stands behind them. Shared by every request; no lock is held across a wait.
/// Without limits, hedges and failures a request costs a scan of its body, a lock and a few comparisons
/// for each deployment of its model.
pub struct Router {
    catalogue: Catalogue,
    settings: config::routing::Router,
    budget: RetryBudget,
    dice: Dice,
    /// Takes what names no model.
    first: Arc<dyn Exchange>,
    metrics: Arc<Metrics>,
}

impl Router {
    /// `upstreams` by name; every deployment's must be among them, or it is left out. `first` takes
    /// requests that name no model.
    pub fn new(
        models: Vec<Model>,
        settings: config::routing::Router,
        upstreams: &HashMap<String, Behind>,
        first: Arc<dyn Exchange>,
        metrics: Arc<Metrics>,
    ) -> Router {
        let rules = &settings.breaker;
        let fleets = models.into_iter().map(|model| {
            let roads = model.deployments.iter().filter_map(|one| {
                let behind = upstreams.get(&one.upstream)?.clone();
                let Behind { exchange, own_key, first_byte, whole } = behind;
                let shown = metrics.deployments.of(&model.name, &one.name);
                Some(Road::new(one.clone(), Reach { exchange, own_key, first_byte, whole }, rules, shown))
            });
            let roads = roads.collect();
            Arc::new(Fleet::new(model, roads, rules.slow_factor, rules.shut_for))
        });
        let dice = Dice::seeded(settings.seed.unwrap_or_else(rand::random));
        let budget = RetryBudget::new(settings.retry_budget);
        let catalogue = Catalogue::new(fleets.collect());
        Router { catalogue, settings, budget, dice, first, metrics }
    }

    /// What binds a request to some of the deployments.
    ///
    /// # Errors
    /// `InvalidHeader` for an `x-reprise-region` that is no region, or not the one that a rule says.
    pub fn bind(&self, model: Option<&str>, headers: &HeaderMap) -> Result<Binding, Fault> {
        Binding::of(&self.settings.rules, model, headers)
    }

    /// Asks until a deployment answers. A path that no dialect is known for, and a body that names no
    /// model, go to the first upstream as they are, once.
    ///
    /// # Errors
    /// `UnknownModel`, `ContextTooLong`, `InvalidHeader`, `InvalidRequest`; `UpstreamClosed` or
    /// `Overloaded`, with the time to try again; or the fault of the last attempt, with a list of all.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Incoming, Fault> {
        let Outgoing { method, target, headers, body } = outgoing;
        let known = method == Method::POST && Dialect::of_path(target.path()).is_some();
        let (body, asked) = match body {
            OutgoingBody::Whole(body) if known => match Asked::read(&body) {
                Some(asked) => (body, asked),
                None => return self.pass(method, target, headers, OutgoingBody::Whole(body)).await,
            },
            body => return self.pass(method, target, headers, body).await,
        };
        let binding = self.bind(Some(&asked.model), &headers)?;
        Journey::new(self, (method, target, headers), body, asked, binding).run().await
    }

    async fn pass(
        &self,
        method: Method,
        target: http::uri::PathAndQuery,
        headers: HeaderMap,
        body: OutgoingBody,
    ) -> Result<Incoming, Fault> {
        self.first.exchange(Outgoing { method, target, headers, body }).await
    }

    /// The names that clients may ask for, in the config's order; wildcards are none.
    pub fn names(&self) -> Vec<&str> {
        self.catalogue.names()
    }

    /// Whether clients may ask for other names too.
    pub fn has_wildcard(&self) -> bool {
        self.catalogue.has_wildcard()
    }

    /// Brings the state of each deployment into the metrics.
    pub fn show_states(&self) {
        self.metrics.deployments.forget_states();
        let now = Instant::now();
        for road in self.catalogue.fleets.iter().flat_map(|fleet| &fleet.roads) {
            road.shown.state(road.gate(now, Need::default()).word());
        }
    }
}
