//! A request body, read into a view.

use super::{Dialect, tree};
use serde_json::{Map, Value};

/// Why a body could not be read. The request is then passed on as it is: the upstream says what is
/// wrong with it, in its own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// `POST /v1/chat/completions`. A field that is absent is `None`; one that is present keeps its JSON,
/// `null` included. Only `model`, `messages` and `stream` are checked for their type here.
#[derive(Clone, Debug, Default)]
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
#[derive(Clone, Debug, Default)]
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
#[derive(Clone, Debug, Default)]
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
    Chat(Box<ChatRequest>),
    Completion(Box<CompletionRequest>),
    Embedding(EmbeddingRequest),
}

/// The form in which the client wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    pub stream: bool,
    /// `stream_options.include_usage`; always false when `stream` is.
    pub include_usage: bool,
}

/// Reads a body. Cost: one pass, one allocation for each string and object.
///
/// Refused, so that the upstream sees it and says what is wrong with it: a body that is not one JSON
/// object in UTF-8; a key named twice; `model` or what is asked (`messages`, `prompt`, `input`) absent
/// or of another type; a `stream` that is neither a boolean nor null (null is false); the dialects
/// that are not read yet.
pub fn read(dialect: Dialect, body: &[u8]) -> Result<Request, Unreadable> {
    let view: fn(Map<String, Value>) -> Result<Request, Unreadable> = match dialect {
        Dialect::ChatCompletions => chat,
        Dialect::Completions => completion,
        Dialect::Embeddings => embedding,
        Dialect::Responses | Dialect::Messages => {
            return Err(Unreadable(format!("the dialect {} is passed through unread", dialect.word())));
        }
    };
    match tree::parse(body) {
        Ok(Value::Object(fields)) => view(fields),
        Ok(_) => Err(Unreadable("the body is JSON but not an object".to_owned())),
        Err(error) => Err(Unreadable(format!("the body is not JSON: {error}"))),
    }
}

impl Request {
    pub fn model(&self) -> &str {
        match self {
            Request::Chat(chat) => &chat.model,
            Request::Completion(completion) => &completion.model,
            Request::Embedding(embedding) => &embedding.model,
        }
    }

    pub fn form(&self) -> Form {
        let (stream, options) = match self {
            Request::Chat(chat) => (chat.stream, &chat.stream_options),
            Request::Completion(completion) => (completion.stream, &completion.stream_options),
            Request::Embedding(_) => (false, &None),
        };
        let asked = options.as_ref().and_then(|options| options.get("include_usage"));
        Form { stream, include_usage: stream && asked == Some(&Value::Bool(true)) }
    }
}

fn chat(fields: Map<String, Value>) -> Result<Request, Unreadable> {
    let (mut model, mut messages) = (None, None);
    let mut chat = ChatRequest::default();
    for (name, value) in fields {
        match name.as_str() {
            "model" => model = Some(text(&name, value)?),
            "messages" => messages = Some(list(&name, value)?),
            "stream" => chat.stream = flag(&name, &value)?,
            "stream_options" => chat.stream_options = Some(value),
            "temperature" => chat.temperature = Some(value),
            "top_p" => chat.top_p = Some(value),
            "n" => chat.n = Some(value),
            "stop" => chat.stop = Some(value),
            "max_tokens" => chat.max_tokens = Some(value),
            "max_completion_tokens" => chat.max_completion_tokens = Some(value),
            "presence_penalty" => chat.presence_penalty = Some(value),
            "frequency_penalty" => chat.frequency_penalty = Some(value),
            "logit_bias" => chat.logit_bias = Some(value),
            "logprobs" => chat.logprobs = Some(value),
            "top_logprobs" => chat.top_logprobs = Some(value),
            "seed" => chat.seed = Some(value),
            "response_format" => chat.response_format = Some(value),
            "tools" => chat.tools = Some(value),
            "tool_choice" => chat.tool_choice = Some(value),
            "parallel_tool_calls" => chat.parallel_tool_calls = Some(value),
            "functions" => chat.functions = Some(value),
            "function_call" => chat.function_call = Some(value),
            "reasoning_effort" => chat.reasoning_effort = Some(value),
            "modalities" => chat.modalities = Some(value),
            "audio" => chat.audio = Some(value),
            "prediction" => chat.prediction = Some(value),
            "web_search_options" => chat.web_search_options = Some(value),
            "verbosity" => chat.verbosity = Some(value),
            "user" => chat.user = Some(value),
            "safety_identifier" => chat.safety_identifier = Some(value),
            "prompt_cache_key" => chat.prompt_cache_key = Some(value),
            "metadata" => chat.metadata = Some(value),
            "store" => chat.store = Some(value),
            "service_tier" => chat.service_tier = Some(value),
            _ => {
                chat.rest.insert(name, value);
            }
        }
    }
    chat.model = model.ok_or_else(|| absent("model"))?;
    chat.messages = messages.ok_or_else(|| absent("messages"))?;
    Ok(Request::Chat(Box::new(chat)))
}

fn completion(fields: Map<String, Value>) -> Result<Request, Unreadable> {
    let (mut model, mut prompt) = (None, None);
    let mut completion = CompletionRequest::default();
    for (name, value) in fields {
        match name.as_str() {
            "model" => model = Some(text(&name, value)?),
            "prompt" => prompt = Some(texts_or_tokens(&name, value)?),
            "stream" => completion.stream = flag(&name, &value)?,
            "stream_options" => completion.stream_options = Some(value),
            "temperature" => completion.temperature = Some(value),
            "top_p" => completion.top_p = Some(value),
            "n" => completion.n = Some(value),
            "best_of" => completion.best_of = Some(value),
            "stop" => completion.stop = Some(value),
            "max_tokens" => completion.max_tokens = Some(value),
            "presence_penalty" => completion.presence_penalty = Some(value),
            "frequency_penalty" => completion.frequency_penalty = Some(value),
            "logit_bias" => completion.logit_bias = Some(value),
            "logprobs" => completion.logprobs = Some(value),
            "echo" => completion.echo = Some(value),
            "suffix" => completion.suffix = Some(value),
            "seed" => completion.seed = Some(value),
            "user" => completion.user = Some(value),
            "metadata" => completion.metadata = Some(value),
            "store" => completion.store = Some(value),
            "service_tier" => completion.service_tier = Some(value),
            _ => {
                completion.rest.insert(name, value);
            }
        }
    }
    completion.model = model.ok_or_else(|| absent("model"))?;
    completion.prompt = prompt.ok_or_else(|| absent("prompt"))?;
    Ok(Request::Completion(Box::new(completion)))
}

fn embedding(fields: Map<String, Value>) -> Result<Request, Unreadable> {
    let (mut model, mut input) = (None, None);
    let mut embedding = EmbeddingRequest::default();
    for (name, value) in fields {
        match name.as_str() {
            "model" => model = Some(text(&name, value)?),
            "input" => input = Some(texts_or_tokens(&name, value)?),
            "encoding_format" => embedding.encoding_format = Some(value),
            "dimensions" => embedding.dimensions = Some(value),
            "user" => embedding.user = Some(value),
            _ => {
                embedding.rest.insert(name, value);
            }
        }
    }
    embedding.model = model.ok_or_else(|| absent("model"))?;
    embedding.input = input.ok_or_else(|| absent("input"))?;
    Ok(Request::Embedding(embedding))
}

fn absent(name: &str) -> Unreadable {
    Unreadable(format!("`{name}` is absent"))
}

fn text(name: &str, value: Value) -> Result<String, Unreadable> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(Unreadable(format!("`{name}` is not a string"))),
    }
}

fn list(name: &str, value: Value) -> Result<Vec<Value>, Unreadable> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(Unreadable(format!("`{name}` is not an array"))),
    }
}

fn flag(name: &str, value: &Value) -> Result<bool, Unreadable> {
    match value {
        Value::Null => Ok(false),
        Value::Bool(on) => Ok(*on),
        _ => Err(Unreadable(format!("`{name}` is neither true nor false"))),
    }
}

/// A string, an array of strings, a list of token ids, or an array of such lists.
fn texts_or_tokens(name: &str, value: Value) -> Result<Value, Unreadable> {
    let tokens = |value: &Value| value.as_array().is_some_and(|ids| ids.iter().all(Value::is_u64));
    let known = match &value {
        Value::String(_) => true,
        Value::Array(items) => {
            items.iter().all(Value::is_string) || tokens(&value) || items.iter().all(tokens)
        }
        _ => false,
    };
    match known {
        true => Ok(value),
        false => Err(Unreadable(format!("`{name}` is neither text nor token ids"))),
    }
}
