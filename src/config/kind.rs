//! The API that a deployment speaks, and the words for it.

use super::reader::{Report, Section};
use super::values;

/// What a deployment speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// OpenAI, and everything that speaks its API: vLLM, SGLang, TGI, Ollama, LiteLLM, OpenRouter, …
    #[default]
    OpenAi,
    /// Azure OpenAI, by its deployment paths and `api-version`.
    AzureOpenAi,
    /// Anthropic's Messages.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::OpenAi, Kind::AzureOpenAi, Kind::Anthropic, Kind::Gemini];

    /// The word in the config.
    pub fn word(self) -> &'static str {
        match self {
            Kind::OpenAi => "openai",
            Kind::AzureOpenAi => "azure-openai",
            Kind::Anthropic => "anthropic",
            Kind::Gemini => "gemini",
        }
    }

    /// Reads the word in the config.
    ///
    /// # Errors
    /// What to write instead, as a config problem says it.
    pub fn of_word(word: &str) -> Result<Kind, String> {
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.word() == word) {
            return Ok(kind);
        }
        let why = match word {
            "bedrock" | "aws-bedrock" => {
                "Amazon Bedrock (its signatures and event stream) is not served in this version; put a gateway that speaks OpenAI's API before it, and write \"openai\""
            }
            "vertex" | "vertex_ai" | "vertex-ai" => {
                "Vertex AI (its service accounts) is not served in this version; write \"gemini\" for the Gemini API with a key"
            }
            "azure" | "azure_openai" => "expected \"azure-openai\"",
            "google" => "expected \"gemini\"",
            _ => {
                "expected \"openai\" (and whatever speaks its API), \"azure-openai\", \"anthropic\" or \"gemini\""
            }
        };
        Err(why.to_owned())
    }

    /// Whether its answers can tell how sure the model was of each token.
    pub const fn gives_logprobs(self) -> bool {
        matches!(self, Kind::OpenAi | Kind::AzureOpenAi)
    }

    /// The provider's own address; `None` where each customer has another.
    pub const fn default_url(self) -> Option<&'static str> {
        match self {
            Kind::OpenAi => Some("https://api.openai.com"),
            Kind::AzureOpenAi => None,
            Kind::Anthropic => Some("https://api.anthropic.com"),
            Kind::Gemini => Some("https://generativelanguage.googleapis.com"),
        }
    }
}

/// The limit that is sent to Anthropic, whose API asks for one, where the client set none. Every model
/// of theirs takes it.
pub const MAX_TOKENS: u64 = 4_096;

/// `[[upstream]]`, the part that says what it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    pub kind: Kind,
    /// Azure's `api-version`, such as `2024-10-21`. Without one its paths are those of its v1 API.
    pub api_version: Option<String>,
    /// The limit for Anthropic where the client set none.
    pub max_tokens: u64,
}

/// Reads `kind` and what belongs to it.
pub(super) fn read(report: &Report<'_>, section: &mut Section<'_>) -> Api {
    let kind = section.get("kind", |given| Kind::of_word(&values::text(given)?)).unwrap_or_default();
    let api_version = section.get("api_version", values::header_value);
    let max_tokens = section.get("max_tokens", |given| values::count(given, 1..=1_000_000_000));
    for (key, of) in [("api_version", Kind::AzureOpenAi), ("max_tokens", Kind::Anthropic)] {
        if section.has(key) && kind != of {
            let message = format!("is for kind = \"{}\" alone; remove it", of.word());
            report.problem(&section.at(key), message);
        }
    }
    Api { kind, api_version, max_tokens: max_tokens.map_or(MAX_TOKENS, |tokens| tokens as u64) }
}

impl Default for Api {
    fn default() -> Self {
        Api { kind: Kind::default(), api_version: None, max_tokens: MAX_TOKENS }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn each_word_reads_back_and_what_is_not_served_says_so() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_word(kind.word()), Ok(kind));
        }
        assert!(Kind::of_word("bedrock").unwrap_err().contains("not served"));
        assert!(Kind::of_word("cohere").unwrap_err().contains("\"anthropic\""));
    }
}
