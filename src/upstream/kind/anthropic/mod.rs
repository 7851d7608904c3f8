//! Anthropic's Messages API.
//!
//! From its public reference: a request names `max_tokens` in any case, takes the system prompt beside
//! the messages and the results of tools inside a user's message; `input_tokens` does not count what
//! its prompt cache read or wrote; a stream ends with `message_stop`.
//!
//! | file | has |
//! |---|---|
//! | `request` | a chat request as a Messages request |
//! | `answer` | a whole message as a chat completion |
//! | `stream` | its events as chunks |

mod answer;
mod request;
mod stream;

pub(super) use answer::body;
pub(super) use request::request;
pub(super) use stream::Stream;

use super::completion::{Counts, Finish};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

pub(super) const PROVIDER: &str = "Anthropic's API";

/// A block of content: `kind` tells which members count.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    text: Option<String>,
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a serde_json::value::RawValue>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
}

/// Token counts, as last reported.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

impl Usage {
    /// What a later event says goes before what an earlier one said.
    fn update(&mut self, later: Usage) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
    }

    /// OpenAI's counts, whose prompt includes what the cache read and wrote; the cache's own counts
    /// stay beside them under Anthropic's names. `None` where nothing was counted.
    fn json(self) -> Option<Value> {
        let (written, read) = (self.cache_creation_input_tokens, self.cache_read_input_tokens);
        let fresh = self.input_tokens?;
        let prompt = fresh.saturating_add(written.unwrap_or(0)).saturating_add(read.unwrap_or(0));
        let completion = self.output_tokens.unwrap_or(0);
        let mut usage = Counts { prompt, completion, cached: read, reasoning: None }.json();
        for (name, count) in [("cache_creation_input_tokens", written), ("cache_read_input_tokens", read)] {
            if let Some(count) = count {
                usage[name] = count.into();
            }
        }
        Some(usage)
    }
}

/// `pause_turn`, and whatever we do not know, count as cut short: such an answer is never kept.
fn finish(stop_reason: &str) -> Finish {
    match stop_reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        _ => Finish::Length,
    }
}
