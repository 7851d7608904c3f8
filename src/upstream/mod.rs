//! The road behind a miss: deployments, and how a request is sent to one.
//!
//! | file | has |
//! |---|---|
//! | `client` | one HTTP exchange, with its time limits |
//! | `connect` | name lookup, TCP, TLS, and the limit on all of it |
//! | `connections` | kept connections, each driven by the request that uses it |
//! | `deployment` | one endpoint: its address, prefix and credential |
//! | `headers` | which headers end at each hop |
//! | `kind` | what each provider's API asks for, and its answers in the client's dialect |
//! | `roads` | the one upstream there is, or the router |
//! | `router` | models, balancing, limits, breaker, retry, fallback |
//!
//! With one upstream and nothing of the router configured, a request goes straight to `client`.

mod client;
mod connect;
mod connections;
mod deployment;
pub mod headers;
pub mod kind;
mod roads;
pub mod router;

pub use deployment::Unusable;
pub use roads::Upstream;

use crate::base::fault::Fault;
use crate::wire::usage::Usage;
use bytes::Bytes;
use futures_util::Stream;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode};
use std::pin::Pin;
use std::sync::Arc;

/// A body that flows: chunks as they come, and one fault at most, last.
pub type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, Fault>> + Send>>;

/// What is sent upstream.
pub struct Outgoing {
    pub method: Method,
    pub target: PathAndQuery,
    /// As the client sent them; the client's hop-by-hop headers and `host` are dropped on the way.
    pub headers: HeaderMap,
    pub body: OutgoingBody,
}

pub enum OutgoingBody {
    Whole(Bytes),
    Flow(Chunks),
}

/// The upstream's answer: its head is in, its body flows.
pub struct Incoming {
    pub status: StatusCode,
    /// End-to-end headers only.
    pub headers: HeaderMap,
    pub way: Way,
    pub body: Chunks,
}

/// How an answer came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub deployment: Arc<str>,
    /// Requests sent for it, hedges among them; 0 where nothing is routed, and so nothing counted.
    pub attempts: u32,
    /// Another model than the one asked for answered, which is not to be kept as an answer of that one.
    pub substitute: bool,
    /// The model's name here, where it is not the one that the client wrote.
    pub model: Option<Arc<str>>,
    /// What failed before it: `azure-eu 500, openai timeout`.
    pub tried: Option<Arc<str>>,
    /// A cheaper model answered first, and its answer would not do.
    pub escalated: Option<Box<Escalated>>,
}

/// The first answer of a cascade, which was paid for and not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalated {
    /// The model's name here.
    pub model: Box<str>,
    /// `None` where the upstream did not say.
    pub usage: Option<Usage>,
    /// What it showed, by the config's word.
    pub signal: &'static str,
}

impl Way {
    /// Sent, and answered: nothing was chosen.
    pub fn straight(deployment: Arc<str>) -> Way {
        Way { deployment, attempts: 0, substitute: false, model: None, tried: None, escalated: None }
    }
}
