//! One request from end to end, free of transport. The order of things is decided here and nowhere
//! else; `http` only carries bytes in and out.

use crate::base::fault::Fault;
use crate::upstream::Chunks;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, StatusCode};

/// A request as the front received it.
pub struct Ask {
    pub method: Method,
    pub target: PathAndQuery,
    pub headers: HeaderMap,
    pub body: AskBody,
}

/// `Whole` where `Dialect::of_path` knows a `POST`'s path, and where there is no body (then empty);
/// everything else flows through.
pub enum AskBody {
    Whole(Bytes),
    Flow(Chunks),
}

/// What goes back. Headers are complete but for what the transport adds (`date`, framing).
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: ReplyBody,
}

pub enum ReplyBody {
    /// All there, in a few pieces; the front sends a `content-length`.
    Whole(Vec<Bytes>),
    /// Still coming. An error ends the connection, so that the client sees a cut, not an end.
    Flow(Chunks),
}

impl Reply {
    pub fn whole(status: StatusCode, headers: HeaderMap, body: Bytes) -> Reply {
        Reply { status, headers, body: ReplyBody::Whole(vec![body]) }
    }
}

/// The decided path of every request. `Err` is what the front turns into the dialect's error body.
pub struct Gateway {}

impl Gateway {
    pub async fn serve(&self, ask: Ask) -> Result<Reply, Fault> {
        let _ = ask;
        todo!()
    }
}
