//! Token counts, by kind.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

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

    /// The same from its text, which is read once, without a tree, where every count is a plain number.
    pub fn of_text(text: &RawValue) -> Option<Usage> {
        let text = text.get();
        match serde_json::from_str::<Reported>(text) {
            Ok(reported) if text.starts_with('{') => reported.usage(),
            _ => Usage::read(&serde_json::from_str(text).ok()?),
        }
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

#[derive(Deserialize)]
struct Reported {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl Reported {
    fn usage(self) -> Option<Usage> {
        Some(Usage {
            prompt: self.prompt_tokens?,
            completion: self.completion_tokens.unwrap_or(0),
            cached: self.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0),
            reasoning: self
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_tree_are_read_alike() {
        for text in [
            r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#,
            r#"{"prompt_tokens":3,"completion_tokens":null,"prompt_tokens_details":{"cached_tokens":2}}"#,
            r#"{"prompt_tokens":3,"completion_tokens_details":{"reasoning_tokens":9},"prompt_tokens_details":null}"#,
            r#"{"prompt_tokens":3,"completion_tokens":"four"}"#,
            r#"{"prompt_tokens":3.5}"#,
            r#"{"prompt_tokens":-3}"#,
            r#"{"completion_tokens":4}"#,
            r#"{"prompt_tokens":3,"prompt_tokens_details":[]}"#,
            "[3]",
            "[3,4]",
            "null",
            "7",
        ] {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            assert_eq!(Usage::of_text(raw), Usage::read(&serde_json::from_str(text).unwrap()), "{text}");
        }
    }
}
