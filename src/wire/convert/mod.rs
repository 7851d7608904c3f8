//! A stream folded into a body, and a body split into a stream, for the two dialects with `choices`.
//!
//! Events are the `data` of their frames. Nothing is dropped but `obfuscation` (padding): fields that
//! nobody here knows survive by the rules in `fold`. Numbers keep their value, members their names;
//! key order and white space are not kept.
//!
//! | file | has |
//! |---|---|
//! | `fold` | chunks -> body |
//! | `split` | body -> chunks |
//! | `coalesce` | chunks -> fewer chunks, for storage |

mod coalesce;
mod fold;
mod split;

pub use coalesce::coalesce;
pub use fold::fold;
pub use split::split;

use super::Dialect;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// What cannot be turned into the other form; it can still be served in its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot be converted: {0}")]
pub struct Unconvertible(pub String);

/// Where a dialect says what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Chat,
    Completion,
}

impl Kind {
    fn of(dialect: Dialect) -> Result<Kind, Unconvertible> {
        match dialect {
            Dialect::ChatCompletions => Ok(Kind::Chat),
            Dialect::Completions => Ok(Kind::Completion),
            Dialect::Embeddings | Dialect::Responses | Dialect::Messages => {
                Err(Unconvertible(format!("{} has no choices", dialect.word())))
            }
        }
    }
}

/// The strings of a message that are streamed bit by bit and shown as text.
const TEXTS: [&str; 4] = ["reasoning_content", "reasoning", "content", "refusal"];

/// Whether an event is the extra chunk that `include_usage` asks for: usage, and no choices.
pub fn is_usage_chunk(event: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        choices: Vec<IgnoredAny>,
        usage: Map<String, Value>,
    }
    // Most chunks are told by their bytes alone.
    let named = memchr::memmem::find(event, b"usage").is_some();
    named
        && serde_json::from_slice::<Probe>(event)
            .is_ok_and(|chunk| chunk.choices.is_empty() && !chunk.usage.is_empty())
}

/// Adds one chunk's `logprobs` to those so far: arrays are joined key by key.
fn join_logprobs(into: &mut Map<String, Value>, more: Map<String, Value>) {
    for (name, value) in more {
        match (into.get_mut(&name), value) {
            (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
            (Some(_), Value::Null) => {}
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}
