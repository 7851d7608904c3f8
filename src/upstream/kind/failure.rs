//! A provider's error in OpenAI's form, and its headers under OpenAI's names.

use super::Kind;
use crate::wire::{Dialect, errors};
use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde::Deserialize;

/// What OpenAI calls a request that is longer than the model can read.
const CONTEXT: &str = "context_length_exceeded";

/// What an error says.
pub(super) struct Failure {
    pub status: StatusCode,
    pub code: String,
    pub message: String,
    /// Seconds, where the body names them.
    pub retry_after: Option<u64>,
}

#[derive(Deserialize)]
struct Body {
    error: Said,
}

/// Anthropic has a type, Google a status and details.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    message: String,
    details: Vec<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    reason: String,
    /// `39s`, or `39.5s`
    retry_delay: String,
}

/// Reads an error. One that is not of its API (a gateway's page before it) keeps its status alone.
pub(super) fn read(kind: Kind, status: StatusCode, body: &[u8]) -> Failure {
    // Google's streaming method may wrap it in an array.
    let said = match body.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice::<[Body; 1]>(body).map(|[body]| body.error),
        _ => serde_json::from_slice::<Body>(body).map(|body| body.error),
    };
    let Ok(Said { kind: theirs, status: word, message, details }) = said else {
        let message = format!("the upstream answered {} without saying why", status.as_u16());
        return Failure { status, code: "upstream_error".to_owned(), message, retry_after: None };
    };
    let retry = details.iter().find_map(|detail| {
        let seconds: f64 = detail.retry_delay.strip_suffix('s')?.parse().ok()?;
        (seconds >= 0.0).then(|| seconds.ceil() as u64)
    });
    let bad_key = details.iter().any(|detail| detail.reason == "API_KEY_INVALID");
    let mut failure = match kind {
        Kind::Gemini if bad_key => Failure {
            status: StatusCode::UNAUTHORIZED,
            code: "invalid_api_key".to_owned(),
            message,
            retry_after: None,
        },
        Kind::Gemini => Failure { status, code: word.to_ascii_lowercase(), message, retry_after: retry },
        _ => Failure { status, code: theirs, message, retry_after: None },
    };
    // Anthropic's own status for an overload, which HTTP does not know.
    if status.as_u16() == 529 {
        failure.status = StatusCode::SERVICE_UNAVAILABLE;
    }
    if too_long(status, &failure.message) {
        failure.code = CONTEXT.to_owned();
    }
    if failure.code.is_empty() {
        failure.code = "upstream_error".to_owned();
    }
    failure
}

/// Both providers say it in words only.
fn too_long(status: StatusCode, message: &str) -> bool {
    let signs = ["prompt is too long", "exceed context limit", "input token count"];
    let message = message.to_ascii_lowercase();
    matches!(status.as_u16(), 400 | 413)
        && signs.iter().any(|sign| message.contains(sign))
        && (message.contains("maximum") || message.contains("exceed"))
}

impl Failure {
    pub fn body(&self) -> Bytes {
        errors::body(Dialect::ChatCompletions, self.status.as_u16(), &self.code, &self.message)
    }

    /// Says when to try again, unless the answer's headers did.
    pub fn retry_after(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.retry_after {
            headers.entry(RETRY_AFTER).or_insert(HeaderValue::from(seconds));
        }
    }
}

/// What Anthropic's headers tell under the names that OpenAI's have: limit and rest, of requests and
/// tokens, and the request's id.
pub(super) fn rename(headers: &mut HeaderMap) {
    for (theirs, ours) in [
        ("anthropic-ratelimit-requests-limit", "x-ratelimit-limit-requests"),
        ("anthropic-ratelimit-requests-remaining", "x-ratelimit-remaining-requests"),
        ("anthropic-ratelimit-tokens-limit", "x-ratelimit-limit-tokens"),
        ("anthropic-ratelimit-tokens-remaining", "x-ratelimit-remaining-tokens"),
        ("request-id", "x-request-id"),
    ] {
        if let Some(value) = headers.get(theirs).cloned() {
            headers.entry(HeaderName::from_static(ours)).or_insert(value);
        }
    }
}
