//! What LiteLLM's providers are here: by LiteLLM's public list of providers, those that speak one of our
//! kinds and take a key.

use crate::config::Kind;

pub(super) struct Provider {
    /// What stands before the model: `groq/llama-3.3-70b`.
    pub prefix: &'static str,
    pub kind: Kind,
    /// Where it is without an `api_base`; `None` where each user has their own.
    pub url: Option<&'static str>,
    /// The variable that LiteLLM reads without an `api_key`; `None` for servers that need none.
    pub variable: Option<&'static str>,
}

const fn hosted(prefix: &'static str, url: &'static str, variable: &'static str) -> Provider {
    Provider { prefix, kind: Kind::OpenAi, url: Some(url), variable: Some(variable) }
}

const fn own(prefix: &'static str, url: Option<&'static str>) -> Provider {
    Provider { prefix, kind: Kind::OpenAi, url, variable: None }
}

static PROVIDERS: [Provider; 24] = [
    hosted("openai", "https://api.openai.com", "OPENAI_API_KEY"),
    hosted("text-completion-openai", "https://api.openai.com", "OPENAI_API_KEY"),
    Provider { prefix: "azure", kind: Kind::AzureOpenAi, url: None, variable: Some("AZURE_API_KEY") },
    Provider {
        prefix: "anthropic",
        kind: Kind::Anthropic,
        url: Kind::Anthropic.default_url(),
        variable: Some("ANTHROPIC_API_KEY"),
    },
    Provider {
        prefix: "gemini",
        kind: Kind::Gemini,
        url: Kind::Gemini.default_url(),
        variable: Some("GEMINI_API_KEY"),
    },
    hosted("groq", "https://api.groq.com/openai", "GROQ_API_KEY"),
    hosted("mistral", "https://api.mistral.ai", "MISTRAL_API_KEY"),
    hosted("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    hosted("openrouter", "https://openrouter.ai/api", "OPENROUTER_API_KEY"),
    hosted("together_ai", "https://api.together.xyz", "TOGETHERAI_API_KEY"),
    hosted("fireworks_ai", "https://api.fireworks.ai/inference", "FIREWORKS_AI_API_KEY"),
    hosted("xai", "https://api.x.ai", "XAI_API_KEY"),
    hosted("cerebras", "https://api.cerebras.ai", "CEREBRAS_API_KEY"),
    hosted("sambanova", "https://api.sambanova.ai", "SAMBANOVA_API_KEY"),
    hosted("nvidia_nim", "https://integrate.api.nvidia.com", "NVIDIA_NIM_API_KEY"),
    own("ollama", Some("http://localhost:11434")),
    own("ollama_chat", Some("http://localhost:11434")),
    own("hosted_vllm", None),
    own("vllm", None),
    own("lm_studio", None),
    own("llamafile", None),
    own("openai_like", None),
    own("custom_openai", None),
    own("litellm_proxy", None),
];

/// Of LiteLLM's `model` and `custom_llm_provider`: whose it is, and the model's name there.
///
/// # Errors
/// The provider's name, where it speaks none of our kinds.
pub(super) fn of<'m>(model: &'m str, custom: Option<&str>) -> Result<(&'static Provider, &'m str), String> {
    let known = |prefix: &str| PROVIDERS.iter().find(|provider| provider.prefix == prefix);
    if let Some(custom) = custom {
        let name = model.strip_prefix(custom).and_then(|rest| rest.strip_prefix('/')).unwrap_or(model);
        return known(custom).map(|provider| (provider, name)).ok_or_else(|| custom.to_owned());
    }
    match model.split_once('/') {
        Some((prefix, name)) => {
            known(prefix).map(|provider| (provider, name)).ok_or_else(|| prefix.to_owned())
        }
        // Without a prefix LiteLLM goes by the names that it knows.
        None if model.starts_with("claude") => Ok((&PROVIDERS[3], model)),
        None if model.starts_with("gemini") => Err("vertex_ai".to_owned()),
        None => Ok((&PROVIDERS[0], model)),
    }
}
