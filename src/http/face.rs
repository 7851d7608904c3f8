//! The face of a fault: its status, and the dialect's own error body.

use crate::base::fault::{Fault, Kind};
use crate::gateway::Reply;
use crate::wire::{Dialect, errors};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};

/// The one table of status codes.
pub(super) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::InvalidHeader | Kind::InvalidRequest | Kind::ContextTooLong => StatusCode::BAD_REQUEST,
        Kind::KeyUnknown | Kind::KeyStopped => StatusCode::UNAUTHORIZED,
        Kind::ModelNotAllowed => StatusCode::FORBIDDEN,
        Kind::RateLimited | Kind::OverBudget => StatusCode::TOO_MANY_REQUESTS,
        Kind::UnknownModel => StatusCode::NOT_FOUND,
        Kind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        Kind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::UpstreamUnreachable | Kind::UpstreamBroke => StatusCode::BAD_GATEWAY,
        Kind::Draining | Kind::Overloaded | Kind::UpstreamClosed => StatusCode::SERVICE_UNAVAILABLE,
        Kind::OnlyIfCached | Kind::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// What the client is told of a fault. `retry-after` is in whole seconds, rounded up.
pub(super) fn of(fault: &Fault, dialect: Option<Dialect>) -> Reply {
    let mut reply = error(dialect, status(fault.kind), fault.kind.code(), &fault.message);
    if let Some(after) = fault.retry {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        reply.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

/// An error of this module's own.
pub(super) fn error(dialect: Option<Dialect>, status: StatusCode, code: &str, message: &str) -> Reply {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // A path that no dialect is known for gets the form that most clients read.
    let dialect = dialect.unwrap_or(Dialect::ChatCompletions);
    Reply::whole(status, headers, errors::body(dialect, status.as_u16(), code, message))
}
