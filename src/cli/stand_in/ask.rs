//! What the stand-in reads of a request: the fields that shape its answers. It does not share the
//! proxy's own reader, so that a mistake there cannot hide behind the same mistake here.

use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

#[derive(Debug, Deserialize)]
pub struct ChatAsk {
    pub model: String,
    pub messages: Vec<Message>,
    #[serde(default)]
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    pub n: Option<usize>,
    pub max_tokens: Option<usize>,
    pub max_completion_tokens: Option<usize>,
    #[serde(default)]
    pub tools: Option<Vec<Tool>>,
    pub tool_choice: Option<Value>,
    pub parallel_tool_calls: Option<bool>,
    pub response_format: Option<Value>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<usize>,
    pub reasoning_effort: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub struct Message {
    pub role: String,
    pub content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
pub struct Part {
    pub text: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct StreamOptions {
    pub include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub struct Tool {
    pub function: Option<Function>,
}

#[derive(Debug, Deserialize)]
pub struct Function {
    pub name: String,
    pub parameters: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub struct CompletionAsk {
    pub model: String,
    pub prompt: Prompt,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    pub n: Option<usize>,
    pub max_tokens: Option<usize>,
    pub logprobs: Option<usize>,
    pub echo: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Prompt {
    One(String),
    Many(Vec<String>),
}

impl Prompt {
    pub fn texts(&self) -> &[String] {
        match self {
            Prompt::One(text) => std::slice::from_ref(text),
            Prompt::Many(texts) => texts,
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct EmbeddingAsk {
    pub model: String,
    pub input: Input,
    pub encoding_format: Option<String>,
    pub dimensions: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Input {
    Text(String),
    Texts(Vec<String>),
    Ids(Vec<u64>),
    ManyIds(Vec<Vec<u64>>),
}

impl Message {
    /// The message's text; the texts of several parts are joined by a line break.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.content {
            None => Cow::Borrowed(""),
            Some(Content::Text(text)) => Cow::Borrowed(text),
            Some(Content::Parts(parts)) => {
                let texts: Vec<&str> = parts.iter().filter_map(|part| part.text.as_deref()).collect();
                Cow::Owned(texts.join("\n"))
            }
        }
    }
}

impl ChatAsk {
    /// The last user message's text; empty without one.
    pub fn question(&self) -> Cow<'_, str> {
        self.messages
            .iter()
            .rev()
            .find(|message| message.role == "user")
            .map(Message::text)
            .unwrap_or_default()
    }

    /// The most tokens that one choice may have.
    pub fn cap(&self) -> Option<usize> {
        self.max_completion_tokens.or(self.max_tokens)
    }

    pub fn include_usage(&self) -> bool {
        self.stream_options.and_then(|options| options.include_usage).unwrap_or(false)
    }
}
