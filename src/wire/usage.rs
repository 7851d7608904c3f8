//! Token counts, by kind.

use serde_json::Value;

/// Tokens as the upstream reported them. `prompt` includes `cached` and `cache_write`; `completion`
/// includes `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt: u64,
    pub completion: u64,
    pub cached: u64,
    pub reasoning: u64,
    /// Of the prompt, what the provider put into its own cache; some charge more for it.
    pub cache_write: u64,
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
            // As OpenRouter says it, and as LiteLLM does.
            cache_write: number("/prompt_tokens_details/cache_write_tokens")
                .or_else(|| number("/cache_creation_input_tokens"))
                .unwrap_or(0),
        })
    }

    /// Both together.
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            prompt: self.prompt.saturating_add(other.prompt),
            completion: self.completion.saturating_add(other.completion),
            cached: self.cached.saturating_add(other.cached),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            cache_write: self.cache_write.saturating_add(other.cache_write),
        }
    }
}
