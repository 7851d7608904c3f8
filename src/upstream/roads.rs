//! Where requests go: to the one upstream there is, or through the router.

use super::deployment::{Deployment, Unusable};
use super::router::{Behind, Binding, Exchange, Exchanging, Router};
use super::{Incoming, Outgoing};
use crate::base::fault::{Fault, Kind};
use crate::config::{self, Config};
use crate::telemetry::metrics::Metrics;
use http::HeaderMap;
use std::collections::HashMap;
use std::sync::Arc;

/// All roads that requests may take. Connections are kept open between requests (HTTP/1.1). Cheap to
/// clone.
#[derive(Clone)]
pub struct Upstream {
    roads: Roads,
}

#[derive(Clone)]
enum Roads {
    None,
    /// Nothing of the router is configured.
    One(Arc<Deployment>),
    Routed(Arc<Router>),
}

impl Upstream {
    /// Prepares a client for each upstream; connects to none of them.
    ///
    /// # Errors
    /// Where an URL or a key cannot be used, or no trusted certificates are found for `https`.
    pub fn new(config: &Config, metrics: &Arc<Metrics>) -> Result<Upstream, Unusable> {
        let mut behind = HashMap::new();
        let mut first = None;
        for upstream in &config.upstreams {
            let deployment = Arc::new(Deployment::of(upstream)?);
            let one = Behind {
                exchange: deployment.clone(),
                own_key: upstream.key.is_some(),
                first_byte: upstream.first_byte_timeout,
                whole: upstream.total_timeout,
            };
            behind.insert(upstream.name.clone(), one);
            first.get_or_insert(deployment);
        }
        let roads = match first {
            None => Roads::None,
            Some(only) if config.is_transparent() => Roads::One(only),
            Some(first) => {
                let (models, settings) = (config.routed_models(), config.router.clone());
                Roads::Routed(Arc::new(Router::new(models, settings, &behind, first, metrics.clone())))
            }
        };
        Ok(Upstream { roads })
    }

    /// The one upstream, whatever else is configured.
    ///
    /// # Errors
    /// As `new`.
    pub fn alone(upstream: &config::Upstream) -> Result<Upstream, Unusable> {
        Ok(Upstream { roads: Roads::One(Arc::new(Deployment::of(upstream)?)) })
    }

    /// One that asks through a router that was put together elsewhere.
    pub fn routed(router: Router) -> Upstream {
        Upstream { roads: Roads::Routed(Arc::new(router)) }
    }

    /// Sends one request and returns as soon as its answer is sure: see `Deployment::send` and
    /// `Router::send`, errors and costs included.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Incoming, Fault> {
        match &self.roads {
            Roads::One(deployment) => deployment.send(outgoing).await,
            // Boxed, so that the plain road does not carry the router's state about.
            Roads::Routed(router) => Box::pin(router.send(outgoing)).await,
            Roads::None => {
                Err(Fault::new(Kind::UpstreamUnreachable, "no upstream is configured; add an [[upstream]]"))
            }
        }
    }

    /// What binds the request to some of the deployments: a region, a rule. It divides the scope of
    /// what is cached.
    ///
    /// # Errors
    /// `InvalidHeader` for an `x-reprise-region` that cannot be kept.
    pub fn bind(&self, model: Option<&str>, headers: &HeaderMap) -> Result<Option<Binding>, Fault> {
        match &self.roads {
            Roads::Routed(router) => router.bind(model, headers).map(Some),
            Roads::One(_) | Roads::None if headers.contains_key(Binding::REGION) => Err(Fault::new(
                Kind::InvalidHeader,
                "x-reprise-region cannot be kept: no upstream says where it is; set `region` in [[upstream]]",
            )),
            Roads::One(_) | Roads::None => Ok(None),
        }
    }

    /// The names of all models; `None` where there is a wildcard, and the upstreams know more.
    pub fn model_names(&self) -> Option<Vec<&str>> {
        match &self.roads {
            Roads::Routed(router) if !router.has_wildcard() => Some(router.names()),
            Roads::Routed(_) | Roads::One(_) | Roads::None => None,
        }
    }

    /// Brings the state of each deployment into the metrics.
    pub fn show_states(&self) {
        if let Roads::Routed(router) = &self.roads {
            router.show_states();
        }
    }
}

impl Exchange for Deployment {
    fn exchange(&self, outgoing: Outgoing) -> Exchanging<'_> {
        Box::pin(self.send(outgoing))
    }
}
