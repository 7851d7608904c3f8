//! Token counts, by kind.

use serde_json::Value;

/// Tokens as the upstream reported them. `prompt` includes `cached`; `completion` includes `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt: u64,
    pub completion: u64,
    pub cached: u64,
    pub reasoning: u64,
}

impl Usage {
    /// Reads OpenAI's `usage` object. `None` for anything that is not an object with at least
    /// `prompt_tokens`; missing details are zero.
    pub fn read(value: &Value) -> Option<Usage> {
        let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64);
        Some(Usage {
            prompt: number("/prompt_tokens")?,
            completion: number("/completion_tokens").unwrap_or(0),
            cached: number("/prompt_tokens_details/cached_tokens").unwrap_or(0),
            reasoning: number("/completion_tokens_details/reasoning_tokens").unwrap_or(0),
        })
    }

    /// Both together.
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            prompt: self.prompt.saturating_add(other.prompt),
            completion: self.completion.saturating_add(other.completion),
            cached: self.cached.saturating_add(other.cached),
            reasoning: self.reasoning.saturating_add(other.reasoning),
        }
    }
}
