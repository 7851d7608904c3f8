//! Token counts, by kind.

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::fmt;

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
    /// `prompt_tokens`; missing details are zero, and so is whatever is no count.
    pub fn read(value: &Value) -> Option<Usage> {
        Told::deserialize(value).ok()?.usage()
    }

    /// For a field of an answer; fails where its text is no JSON, or none that can be read (a number out of range).
    /// Makes no tree.
    pub fn of_field<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Usage>, D::Error> {
        Told::deserialize(field).map(Told::usage)
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

/// What stands where counts are told: one count, or an object that names several. Providers put strings,
/// nulls and lists there too, so all JSON is read, and what is something else tells nothing.
#[derive(Default)]
struct Told {
    count: Option<u64>,
    prompt: Option<u64>,
    completion: Option<u64>,
    cached: Option<u64>,
    reasoning: Option<u64>,
    /// As OpenRouter says it, among the details.
    cache_write: Option<u64>,
    /// As LiteLLM does.
    cache_creation: Option<u64>,
    prompt_details: Option<Box<Told>>,
    completion_details: Option<Box<Told>>,
}

impl Told {
    fn usage(self) -> Option<Usage> {
        let details = self.prompt_details.as_deref();
        let written = details.and_then(|details| details.cache_write);
        Some(Usage {
            prompt: self.prompt?,
            completion: self.completion.unwrap_or(0),
            cached: details.and_then(|details| details.cached).unwrap_or(0),
            reasoning: self.completion_details.and_then(|details| details.reasoning).unwrap_or(0),
            cache_write: written.or(self.cache_creation).unwrap_or(0),
        })
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Name {
    PromptTokens,
    CompletionTokens,
    CachedTokens,
    ReasoningTokens,
    CacheWriteTokens,
    CacheCreationInputTokens,
    PromptTokensDetails,
    CompletionTokensDetails,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(told: D) -> Result<Told, D::Error> {
        told.deserialize_any(Tell)
    }
}

struct Tell;

impl<'de> Visitor<'de> for Tell {
    type Value = Told;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Told, A::Error> {
        let mut told = Told::default();
        // Of a name that comes twice the last one counts, as in a tree.
        while let Some(name) = members.next_key()? {
            match name {
                Name::PromptTokens => told.prompt = members.next_value::<Told>()?.count,
                Name::CompletionTokens => told.completion = members.next_value::<Told>()?.count,
                Name::CachedTokens => told.cached = members.next_value::<Told>()?.count,
                Name::ReasoningTokens => told.reasoning = members.next_value::<Told>()?.count,
                Name::CacheWriteTokens => told.cache_write = members.next_value::<Told>()?.count,
                Name::CacheCreationInputTokens => told.cache_creation = members.next_value::<Told>()?.count,
                Name::PromptTokensDetails => told.prompt_details = Some(Box::new(members.next_value()?)),
                Name::CompletionTokensDetails => {
                    told.completion_details = Some(Box::new(members.next_value()?))
                }
                Name::Other => _ = members.next_value::<IgnoredAny>()?,
            }
        }
        Ok(told)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Told, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Told::default())
    }

    fn visit_u64<E>(self, count: u64) -> Result<Told, E> {
        Ok(Told { count: Some(count), ..Told::default() })
    }

    fn visit_i64<E>(self, _: i64) -> Result<Told, E> {
        Ok(Told::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Told, E> {
        Ok(Told::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Told, E> {
        Ok(Told::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Told, E> {
        Ok(Told::default())
    }

    fn visit_unit<E>(self) -> Result<Told, E> {
        Ok(Told::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Usage> {
        let value: Value = serde_json::from_str(text).unwrap();
        let of_text = Usage::of_field(&mut serde_json::Deserializer::from_str(text)).unwrap();
        assert_eq!(of_text, Usage::read(&value), "{text}");
        of_text
    }

    #[test]
    fn what_is_told_is_read_and_what_is_no_count_is_none() {
        let usage = |prompt| Usage { prompt, ..Usage::default() };
        for (text, told) in [
            (
                r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#,
                Some(Usage { completion: 4, ..usage(3) }),
            ),
            (
                r#"{"prompt_tokens":3,"completion_tokens":null,"prompt_tokens_details":{"cached_tokens":2}}"#,
                Some(Usage { cached: 2, ..usage(3) }),
            ),
            (
                r#"{"prompt_tokens":3,"completion_tokens_details":{"reasoning_tokens":9},"prompt_tokens_details":null}"#,
                Some(Usage { reasoning: 9, ..usage(3) }),
            ),
            (r#"{"prompt_tokens":3,"completion_tokens":"four"}"#, Some(usage(3))),
            (
                r#"{"prompt_tokens":3,"prompt_tokens_details":{"cache_write_tokens":2},"cache_creation_input_tokens":5}"#,
                Some(Usage { cache_write: 2, ..usage(3) }),
            ),
            (
                r#"{"prompt_tokens":3,"prompt_tokens_details":{"cache_write_tokens":"2"},"cache_creation_input_tokens":5}"#,
                Some(Usage { cache_write: 5, ..usage(3) }),
            ),
            (r#"{"prompt_tokens":3,"cached_tokens":5,"x":{"cached_tokens":[6]}}"#, Some(usage(3))),
            (r#"{"prompt_tokens":2,"prompt_tokens":3}"#, Some(usage(3))),
            (r#"{"prompt_tokens":3,"prompt_tokens_details":[{}]}"#, Some(usage(3))),
            (r#"{"prompt_tokens":{"prompt_tokens":3}}"#, None),
            (r#"{"prompt_tokens":3.5}"#, None),
            (r#"{"prompt_tokens":-3}"#, None),
            (r#"{"completion_tokens":4}"#, None),
            ("[3,4]", None),
            ("null", None),
            ("true", None),
            ("7", None),
        ] {
            assert_eq!(read(text), told, "{text}");
        }
    }
}
