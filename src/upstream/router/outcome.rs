//! What one attempt came to, and what that means for the next.

use super::limits;
use crate::base::fault::{Fault, Kind};
use crate::upstream::Incoming;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Why an attempt counts as failed. The word is the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    Unreachable,
    /// No first byte in time, or silence after it.
    Timeout,
    /// It broke off, spoke no HTTP, or its answer was not whole.
    Broke,
    /// 429: it has enough for now.
    RateLimited,
    /// 503, 529: it has too much to do.
    Overloaded,
    /// Any other 5xx, 408 and 409 among them.
    ServerError,
    /// 401, 403 or 404 to a key or a model name of ours: another deployment may well take it.
    Misconfigured,
    /// An error in place of the first event of a stream.
    StreamError,
}

impl Failure {
    pub fn word(self) -> &'static str {
        match self {
            Failure::Unreachable => "unreachable",
            Failure::Timeout => "timeout",
            Failure::Broke => "broke",
            Failure::RateLimited => "rate_limited",
            Failure::Overloaded => "overloaded",
            Failure::ServerError => "server_error",
            Failure::Misconfigured => "misconfigured",
            Failure::StreamError => "stream_error",
        }
    }

    /// `None`: the fault is the client's, and no other deployment would do better.
    pub fn of_fault(fault: &Fault) -> Option<Failure> {
        match fault.kind {
            Kind::UpstreamUnreachable => Some(Failure::Unreachable),
            Kind::UpstreamTimeout => Some(Failure::Timeout),
            Kind::UpstreamBroke => Some(Failure::Broke),
            _ => None,
        }
    }

    /// `None`: an answer to the request as it is, good or bad. `ours`: the key or the model's name there
    /// is ours, so that the client cannot be to blame for it.
    pub fn of_status(status: StatusCode, ours: bool) -> Option<Failure> {
        match status.as_u16() {
            429 => Some(Failure::RateLimited),
            503 | 529 => Some(Failure::Overloaded),
            408 | 409 | 500..=599 => Some(Failure::ServerError),
            401 | 403 | 404 if ours => Some(Failure::Misconfigured),
            _ => None,
        }
    }

    /// Whether it shuts the breaker. A deployment at its limit is well; it is left alone as long as
    /// it asks.
    pub fn is_ill(self) -> bool {
        self != Failure::RateLimited
    }
}

/// Why a request was refused that another model may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    ContextWindow,
    ContentPolicy,
}

impl Refusal {
    pub fn word(self) -> &'static str {
        match self {
            Refusal::ContextWindow => "context_window",
            Refusal::ContentPolicy => "content_policy",
        }
    }

    /// Reads the body of a 400, 413 or 422 for the codes and phrases of the providers' own references.
    pub fn of_body(body: &[u8]) -> Option<Refusal> {
        const TOO_LONG: [&str; 6] = [
            "context_length_exceeded",
            "maximum context length",
            "prompt is too long",
            "context window",
            "exceeds the maximum number of tokens",
            "input is too long",
        ];
        const REFUSED: [&str; 5] = [
            "content_policy_violation",
            "content_filter",
            "ResponsibleAIPolicyViolation",
            "content management policy",
            "invalid_prompt",
        ];
        let has =
            |words: &[&str]| words.iter().any(|word| memchr::memmem::find(body, word.as_bytes()).is_some());
        if has(&TOO_LONG) {
            Some(Refusal::ContextWindow)
        } else if has(&REFUSED) {
            Some(Refusal::ContentPolicy)
        } else {
            None
        }
    }
}

/// One failed attempt, for the client and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    pub deployment: Arc<str>,
    pub failure: Failure,
    pub status: Option<StatusCode>,
}

impl Tried {
    fn text(&self) -> String {
        match self.status {
            Some(status) => format!("{} {}", self.deployment, status.as_u16()),
            None => format!("{} {}", self.deployment, self.failure.word()),
        }
    }

    /// `azure-eu 500, openai timeout`
    pub fn list(tried: &[Tried]) -> String {
        tried.iter().map(Tried::text).collect::<Vec<_>>().join(", ")
    }
}

/// What one attempt came to.
pub enum Outcome {
    /// It goes to the client.
    Answered(Incoming),
    /// Refused for what another model may take.
    Refused(Refusal, Incoming),
    Failed(Failed),
    /// This deployment has no counterpart for what is asked; another may.
    Declined(Fault),
    /// The client's side broke off, or we failed it.
    Unsendable(Fault),
}

/// A failed attempt, with what the client gets if none does better.
pub struct Failed {
    pub failure: Failure,
    pub last: Last,
}

/// The upstream's own word, or a fault where it had none.
pub enum Last {
    Answer(Incoming),
    Fault(Fault),
}

impl Failed {
    pub fn status(&self) -> Option<StatusCode> {
        match &self.last {
            Last::Answer(incoming) => Some(incoming.status),
            Last::Fault(_) => None,
        }
    }
}

/// How long a failing deployment asks to be left alone.
pub fn asked_to_wait(failure: Failure, headers: &HeaderMap) -> Option<Duration> {
    match failure {
        Failure::RateLimited | Failure::Overloaded | Failure::ServerError => limits::retry_after(headers),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_other_bad_requests() {
        let openai = br#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
        let azure =
            br#"{"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#;
        let anthropic = br#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#;
        assert_eq!(Refusal::of_body(openai), Some(Refusal::ContextWindow));
        assert_eq!(Refusal::of_body(azure), Some(Refusal::ContentPolicy));
        assert_eq!(Refusal::of_body(anthropic), Some(Refusal::ContextWindow));
        assert_eq!(Refusal::of_body(br#"{"error":{"message":"`n` must be positive"}}"#), None);
    }

    #[test]
    fn statuses_are_judged_by_whose_doing_they_are() {
        let judge = |status, ours| Failure::of_status(StatusCode::from_u16(status).unwrap(), ours);
        for status in [200, 201, 400, 413, 422] {
            assert_eq!(judge(status, true), None, "{status}");
        }
        assert_eq!(judge(401, false), None, "the client's own key");
        assert_eq!(judge(401, true), Some(Failure::Misconfigured));
        assert_eq!(judge(429, false), Some(Failure::RateLimited));
        assert_eq!(judge(529, false), Some(Failure::Overloaded));
        assert_eq!(judge(500, false), Some(Failure::ServerError));
    }
}
