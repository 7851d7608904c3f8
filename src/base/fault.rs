//! What went wrong. A fault carries facts; only `http` chooses its face (status and body).

use std::error::Error;
use std::time::Duration;

/// Whose doing it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Upstream,
    Ours,
}

/// What happened, one variant for each outcome that somebody may want to `match` on. The snake-case
/// word of each (`Kind::code`) is the stable `code` in error bodies and the label in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A header of ours that cannot be understood.
    InvalidHeader,
    /// A path or a body that is not HTTP, or that must not be forwarded.
    InvalidRequest,
    /// The body is over `server.max_body`.
    BodyTooLarge,
    /// The client did not finish its request in time.
    RequestTimeout,
    /// `Cache-Control: only-if-cached` and nothing stored.
    OnlyIfCached,
    /// A virtual key that is none of ours.
    KeyUnknown,
    /// A key that is disabled, has expired or was replaced.
    KeyStopped,
    /// The key may not use this model, or this path.
    ModelNotAllowed,
    /// Over a key's rate or concurrency.
    RateLimited,
    /// A key's budget is used up.
    OverBudget,
    /// No `[[model]]` answers to the name asked for.
    UnknownModel,
    /// The request is longer than every deployment of the model takes.
    ContextTooLong,
    /// No connection to the upstream.
    UpstreamUnreachable,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream broke off or spoke no HTTP.
    UpstreamBroke,
    /// Every deployment that could take the request is shut.
    UpstreamClosed,
    /// We are going down and take nothing new.
    Draining,
    /// A queue of ours is full.
    Overloaded,
    /// A defect of ours.
    Internal,
}

impl Kind {
    pub fn code(self) -> &'static str {
        match self {
            Kind::InvalidHeader => "invalid_header",
            Kind::InvalidRequest => "invalid_request",
            Kind::BodyTooLarge => "body_too_large",
            Kind::RequestTimeout => "request_timeout",
            Kind::OnlyIfCached => "only_if_cached",
            Kind::KeyUnknown => "invalid_api_key",
            Kind::KeyStopped => "key_stopped",
            Kind::ModelNotAllowed => "model_not_allowed",
            Kind::RateLimited => "rate_limited",
            Kind::OverBudget => "budget_exceeded",
            Kind::UnknownModel => "model_not_found",
            Kind::ContextTooLong => "context_length_exceeded",
            Kind::UpstreamClosed => "upstream_closed",
            Kind::UpstreamUnreachable => "upstream_unreachable",
            Kind::UpstreamTimeout => "upstream_timeout",
            Kind::UpstreamBroke => "upstream_broke",
            Kind::Draining => "draining",
            Kind::Overloaded => "overloaded",
            Kind::Internal => "internal",
        }
    }

    pub fn side(self) -> Side {
        match self {
            Kind::InvalidHeader
            | Kind::InvalidRequest
            | Kind::BodyTooLarge
            | Kind::RequestTimeout
            | Kind::KeyUnknown
            | Kind::KeyStopped
            | Kind::ModelNotAllowed
            | Kind::RateLimited
            | Kind::OverBudget
            | Kind::OnlyIfCached
            | Kind::UnknownModel
            | Kind::ContextTooLong => Side::Client,
            Kind::UpstreamUnreachable
            | Kind::UpstreamTimeout
            | Kind::UpstreamBroke
            | Kind::UpstreamClosed => Side::Upstream,
            Kind::Draining | Kind::Overloaded | Kind::Internal => Side::Ours,
        }
    }
}

/// One failure on its way to the client. `message` is lower case, without a full stop, and ends in
/// a remedy where there is one; it never holds a prompt, an answer or a credential.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub kind: Kind,
    pub message: String,
    /// When trying again makes sense.
    pub retry: Option<Duration>,
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    pub fn new(kind: Kind, message: impl Into<String>) -> Fault {
        Fault { kind, message: message.into(), retry: None, source: None }
    }

    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Fault {
        self.source = Some(source.into());
        self
    }

    pub fn retry_after(mut self, after: Duration) -> Fault {
        self.retry = Some(after);
        self
    }
}
