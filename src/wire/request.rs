//! A request body, read into a view.

use super::Dialect;
use serde_json::{Map, Value};

/// Why a body could not be read. The request is then passed on as it is: the upstream says what is
/// wrong with it, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// `POST /v1/chat/completions`. A field that is absent is `None`; one that is present keeps its JSON,
/// `null` included. Only `model`, `messages` and `stream` are checked for their type here.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    pub model: String,
    pub messages: Vec<Value>,
    pub stream: bool,
    pub stream_options: Option<Value>,
    pub temperature: Option<Value>,
    pub top_p: Option<Value>,
    pub n: Option<Value>,
    pub stop: Option<Value>,
    pub max_tokens: Option<Value>,
    pub max_completion_tokens: Option<Value>,
    pub presence_penalty: Option<Value>,
    pub frequency_penalty: Option<Value>,
    pub logit_bias: Option<Value>,
    pub logprobs: Option<Value>,
    pub top_logprobs: Option<Value>,
    pub seed: Option<Value>,
    pub response_format: Option<Value>,
    pub tools: Option<Value>,
    pub tool_choice: Option<Value>,
    pub parallel_tool_calls: Option<Value>,
    pub functions: Option<Value>,
    pub function_call: Option<Value>,
    pub reasoning_effort: Option<Value>,
    pub modalities: Option<Value>,
    pub audio: Option<Value>,
    pub prediction: Option<Value>,
    pub web_search_options: Option<Value>,
    pub verbosity: Option<Value>,
    pub user: Option<Value>,
    pub safety_identifier: Option<Value>,
    pub prompt_cache_key: Option<Value>,
    pub metadata: Option<Value>,
    pub store: Option<Value>,
    pub service_tier: Option<Value>,
    /// Every field that is not named above, in the key like any other.
    pub rest: Map<String, Value>,
}

/// `POST /v1/completions`, likewise. `prompt` is a string, an array of strings, or token ids.
#[derive(Clone, Debug)]
pub struct CompletionRequest {
    pub model: String,
    pub prompt: Value,
    pub stream: bool,
    pub stream_options: Option<Value>,
    pub temperature: Option<Value>,
    pub top_p: Option<Value>,
    pub n: Option<Value>,
    pub best_of: Option<Value>,
    pub stop: Option<Value>,
    pub max_tokens: Option<Value>,
    pub presence_penalty: Option<Value>,
    pub frequency_penalty: Option<Value>,
    pub logit_bias: Option<Value>,
    pub logprobs: Option<Value>,
    pub echo: Option<Value>,
    pub suffix: Option<Value>,
    pub seed: Option<Value>,
    pub user: Option<Value>,
    pub metadata: Option<Value>,
    pub store: Option<Value>,
    pub service_tier: Option<Value>,
    pub rest: Map<String, Value>,
}

/// `POST /v1/embeddings`, likewise; never streamed.
#[derive(Clone, Debug)]
pub struct EmbeddingRequest {
    pub model: String,
    /// One text, several texts, one list of token ids, or several.
    pub input: Value,
    pub encoding_format: Option<Value>,
    pub dimensions: Option<Value>,
    pub user: Option<Value>,
    pub rest: Map<String, Value>,
}

/// A request whose dialect is read.
#[derive(Clone, Debug)]
pub enum Request {
    Chat(ChatRequest),
    Completion(CompletionRequest),
    Embedding(EmbeddingRequest),
}

/// The form in which the client wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    pub stream: bool,
    /// `stream_options.include_usage`; always false when `stream` is.
    pub include_usage: bool,
}
