//! One API request: into an `Ask`, and its `Reply` back.

use super::body::{Download, Expects, Upload, read_whole};
use super::face;
use super::listen::{self, Accept, Drained};
use crate::base::fault::{Fault, Kind, Side};
use crate::base::tasks::Tasks;
use crate::config::Limits;
use crate::gateway::{Ask, AskBody, Reply, ReplyBody};
use crate::wire::Dialect;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// The API side. HTTP/1.1, one task for each connection.
pub struct Front;

impl Front {
    /// Serves until `stop` completes, then drains for `drain` at most and says how many connections
    /// it had to cut.
    ///
    /// `service` gets each request: its body whole for a `POST` to a path that `Dialect::of_path`
    /// knows and for a request without one, flowing otherwise. Its future and its reply's body are
    /// dropped as soon as the client leaves. A fault becomes the dialect's error body; a panic
    /// becomes a 500.
    pub async fn run<L, S, F>(
        listener: L,
        service: S,
        limits: Limits,
        drain: Duration,
        tasks: &Tasks,
        stop: impl Future<Output = ()>,
    ) -> Drained
    where
        L: Accept,
        S: Fn(Ask) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Reply, Fault>> + Send + 'static,
    {
        let limits = Arc::new(limits);
        let shared = limits.clone();
        let handler = service_fn(move |request| {
            let (service, limits) = (service.clone(), shared.clone());
            async move { Ok::<_, Infallible>(handle(request, service, &limits).await) }
        });
        listen::run(listener, handler, &limits, drain, tasks, stop).await
    }
}

async fn handle<S, F>(request: Request<Incoming>, service: S, limits: &Limits) -> Response<Download>
where
    S: Fn(Ask) -> F,
    F: Future<Output = Result<Reply, Fault>>,
{
    let (head, body) = request.into_parts();
    if let Some(refusal) = no_tunnel(&head.method, &head.headers) {
        return write(refusal);
    }
    let target = head.uri.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let dialect = if head.method == Method::POST { Dialect::of_path(target.path()) } else { None };

    let body = if body.is_end_stream() {
        AskBody::Whole(Bytes::new())
    } else if dialect.is_some() {
        let expects = if head.headers.contains_key(EXPECT) { Expects::Continue } else { Expects::Nothing };
        match read_whole(body, expects, limits).await {
            Ok(bytes) => AskBody::Whole(bytes),
            Err(fault) => return write(refuse(&fault, dialect, Rest::Unread)),
        }
    } else {
        AskBody::Flow(Upload::flow(body, limits.body_timeout))
    };

    let ask = Ask { method: head.method, target, headers: head.headers, body };
    // The service owns everything that it was given, so nothing half-changed is seen after a panic.
    let served = AssertUnwindSafe(async { service(ask).await }).catch_unwind().await;
    write(match served {
        Ok(Ok(reply)) => reply,
        Ok(Err(fault)) => refuse(&fault, dialect, Rest::Read),
        Err(_) => {
            let fault =
                Fault::new(Kind::Internal, "a defect of the proxy stopped this request; its log says where");
            refuse(&fault, dialect, Rest::Read)
        }
    })
}

/// Whether all of the request has been read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Read,
    Unread,
}

fn refuse(fault: &Fault, dialect: Option<Dialect>, rest: Rest) -> Reply {
    let code = fault.kind.code();
    match fault.kind.side() {
        Side::Client => tracing::debug!(code, %fault, "request refused"),
        Side::Upstream | Side::Ours => tracing::warn!(code, %fault, "request failed"),
    }
    let mut reply = face::of(fault, dialect);
    if rest == Rest::Unread {
        reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

/// `CONNECT` and WebSockets would turn the connection into a tunnel, which is not supported. Any other
/// `upgrade` is an offer that a server may leave unanswered (RFC 9110 §7.8), as some clients make
/// with every request (`h2c`).
fn no_tunnel(method: &Method, headers: &HeaderMap) -> Option<Reply> {
    let websocket = headers
        .get_all(UPGRADE)
        .iter()
        .any(|value| value.as_bytes().to_ascii_lowercase().windows(9).any(|word| word == b"websocket"));
    let message = match (method == Method::CONNECT, websocket) {
        (true, _) => "CONNECT is not supported; send requests to this address as to the API itself",
        (_, true) => "WebSocket upgrades are not supported; open WebSockets to the upstream directly",
        (false, false) => return None,
    };
    let mut reply = face::error(None, StatusCode::NOT_IMPLEMENTED, "upgrade_not_supported", message);
    reply.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Some(reply)
}

/// The transport counts a whole body itself; a flowing one keeps the length that its headers have.
fn write(reply: Reply) -> Response<Download> {
    let Reply { status, mut headers, body } = reply;
    headers.remove(TRANSFER_ENCODING);
    if matches!(body, ReplyBody::Whole(_)) {
        headers.remove(CONTENT_LENGTH);
    }
    let mut response = Response::new(Download::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
