//! The road behind a miss: deployments, and how a request is sent to one.
//!
//! | file | has |
//! |---|---|
//! | `client` | one HTTP exchange, with its time limits |
//! | `connect` | name lookup, TCP, TLS, and the limit on all of it |
//! | `connections` | kept connections, each driven by the request that uses it |
//! | `deployment` | one endpoint: its address, prefix and credential |
//! | `headers` | which headers end at each hop |

pub mod client;
mod connect;
mod connections;
mod deployment;
pub mod headers;

pub use client::{Unusable, Upstream};

use crate::base::fault::Fault;
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
    pub deployment: Arc<str>,
    pub body: Chunks,
}
