//! What goes over the wire: the dialects that clients and upstreams speak.
//!
//! Type what is decided on, carry the rest: a request view names every field of the public API that
//! we know, and keeps unknown ones in `rest`. On a miss the client's own bytes are forwarded, never
//! a view written out again.
//!
//! | file | has |
//! |---|---|
//! | `request` | reads a body into a view: `ChatRequest`, `CompletionRequest`, `EmbeddingRequest` |
//! | `sse` | server-sent events, split at any byte, and written |
//! | `answer` | what an answer or an event stream amounts to: finish reasons, usage, errors, the end |
//! | `convert` | a stream folded into a body, and a body split into a stream |
//! | `embeddings` | per-input requests and the merged answer of `/v1/embeddings` |
//! | `errors` | each dialect's error body |
//! | `tree` | JSON text read strictly, into a tree too |
//! | `usage` | token counts, by kind |

pub mod answer;
pub mod convert;
pub mod embeddings;
pub mod errors;
pub mod request;
pub mod sse;
mod tree;
pub mod usage;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

/// Whether an answer with these headers is a stream of server-sent events.
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    const KIND: &[u8] = b"text/event-stream";
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.get(..KIND.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(KIND))
}

/// The length that a sender declared, if it did.
pub fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// One API that we know by its path. `Responses` and `Messages` are named so that everything that
/// switches on a dialect has their seat; until they are read they pass through uncached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    ChatCompletions,
    Completions,
    Embeddings,
    Responses,
    Messages,
}

impl Dialect {
    /// The dialect of a `POST` to `path` (without query). `None`: an unknown path, passed through.
    pub fn of_path(path: &str) -> Option<Dialect> {
        match path {
            "/v1/chat/completions" => Some(Dialect::ChatCompletions),
            "/v1/completions" => Some(Dialect::Completions),
            "/v1/embeddings" => Some(Dialect::Embeddings),
            "/v1/responses" => Some(Dialect::Responses),
            "/v1/messages" => Some(Dialect::Messages),
            _ => None,
        }
    }

    /// The word used in keys, metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Dialect::ChatCompletions => "chat_completions",
            Dialect::Completions => "completions",
            Dialect::Embeddings => "embeddings",
            Dialect::Responses => "responses",
            Dialect::Messages => "messages",
        }
    }
}
