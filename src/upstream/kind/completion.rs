//! Answers in OpenAI's chat dialect: a body, or the chunks of a stream.

use crate::wire::request::Form;
use crate::wire::sse::{self, Event};
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// What every chunk repeats.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    pub model: String,
}

/// A message, or the part of one that a chunk brings.
#[derive(Default, Serialize)]
pub(super) struct Message {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// In a body it is there in any case, null where nothing was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Pictures, as `image_url` parts with `data:` URLs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Value>,
    /// Anthropic's thinking with its signatures: a client that sends it back continues the thought.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thinking_blocks: Vec<Value>,
    /// Google's place for its signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<Value>,
}

#[derive(Serialize)]
pub(super) struct ToolCall {
    /// In chunks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    pub function: Function,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<Value>,
}

#[derive(Serialize)]
pub(super) struct Function {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub arguments: String,
}

/// Why a choice ended, in OpenAI's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finish {
    Stop,
    Length,
    ToolCalls,
    ContentFilter,
}

pub(super) struct Choice {
    pub index: u64,
    pub message: Message,
    pub finish: Finish,
}

impl Message {
    /// As a body has it: with a role, and content in any case.
    pub fn whole(mut self) -> Message {
        self.role = Some("assistant");
        self.content = Some(self.content.flatten());
        self
    }

    pub fn said(text: String) -> Message {
        Message { content: Some(Some(text)), ..Message::default() }
    }

    /// The first delta of a choice.
    pub fn opening() -> Message {
        Message { role: Some("assistant"), ..Message::said(String::new()) }
    }
}

impl ToolCall {
    /// Its beginning, or all of it.
    pub fn named(index: Option<usize>, id: String, name: String, arguments: String) -> ToolCall {
        let function = Function { name: Some(name), arguments };
        ToolCall { index, id: Some(id), kind: Some("function"), function, extra_content: None }
    }

    /// More of its arguments.
    pub fn more(index: usize, arguments: String) -> ToolCall {
        let function = Function { name: None, arguments };
        ToolCall { index: Some(index), id: None, kind: None, function, extra_content: None }
    }

    pub fn signed(mut self, signature: Option<String>) -> ToolCall {
        self.extra_content = signature.map(google_signature);
        self
    }
}

pub(super) fn google_signature(signature: String) -> Value {
    json!({"google": {"thought_signature": signature}})
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<BodyChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<&'a Value>,
}

#[derive(Serialize)]
struct BodyChoice<'a> {
    index: u64,
    message: &'a Message,
    logprobs: (),
    finish_reason: Finish,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [ChunkChoice<'a>],
    /// Null in every chunk but the last, where usage was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<&'a Value>>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u64,
    delta: &'a Message,
    logprobs: (),
    finish_reason: Option<Finish>,
}

/// A whole answer.
pub(super) fn body(
    envelope: &Envelope,
    choices: &[Choice],
    usage: Option<&Value>,
) -> serde_json::Result<Bytes> {
    let choices = choices.iter().map(|Choice { index, message, finish }| BodyChoice {
        index: *index,
        message,
        logprobs: (),
        finish_reason: *finish,
    });
    let Envelope { id, created, model } = envelope;
    let body =
        Body { id, object: "chat.completion", created: *created, model, choices: choices.collect(), usage };
    serde_json::to_vec(&body).map(Bytes::from)
}

/// Writes chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    envelope: Envelope,
    include_usage: bool,
}

impl Chunks {
    pub fn new(envelope: Envelope, form: Form) -> Chunks {
        Chunks { envelope, include_usage: form.include_usage }
    }

    pub fn id(&self) -> &str {
        &self.envelope.id
    }

    pub fn delta(&self, index: u64, delta: &Message, out: &mut BytesMut) {
        let choice = ChunkChoice { index, delta, logprobs: (), finish_reason: None };
        self.write(&[choice], None, out);
    }

    pub fn finish(&self, index: u64, finish: Finish, out: &mut BytesMut) {
        let delta = &Message::default();
        let choice = ChunkChoice { index, delta, logprobs: (), finish_reason: Some(finish) };
        self.write(&[choice], None, out);
    }

    /// The end, after the chunk with the usage where that was asked for.
    pub fn done(&self, usage: Option<&Value>, out: &mut BytesMut) {
        if self.include_usage && usage.is_some() {
            self.write(&[], usage, out);
        }
        sse::encode(&Event::of_data(Bytes::from_static(b"[DONE]")), out);
    }

    fn write(&self, choices: &[ChunkChoice<'_>], usage: Option<&Value>, out: &mut BytesMut) {
        let Envelope { id, created, model } = &self.envelope;
        let usage = self.include_usage.then_some(usage);
        let object = "chat.completion.chunk";
        let chunk = Chunk { id, object, created: *created, model, choices, usage };
        // Strings, numbers and lists of them: there is nothing in it that cannot be written.
        let data = serde_json::to_vec(&chunk).unwrap_or_default();
        sse::encode(&Event::of_data(data), out);
    }
}

/// Counts under OpenAI's names. `prompt` includes `cached`, `completion` includes `reasoning`; a part that
/// the provider does not tell apart is `None`, and not in the usage.
pub(super) struct Counts {
    pub prompt: u64,
    pub completion: u64,
    pub cached: Option<u64>,
    pub reasoning: Option<u64>,
}

impl Counts {
    pub fn json(&self) -> Value {
        let Counts { prompt, completion, cached, reasoning } = self;
        let mut usage = json!({
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt.saturating_add(*completion),
        });
        if let Some(cached) = cached {
            usage["prompt_tokens_details"] = json!({"cached_tokens": cached});
        }
        if let Some(reasoning) = reasoning {
            usage["completion_tokens_details"] = json!({"reasoning_tokens": reasoning});
        }
        usage
    }
}

/// A model's arguments as the text that OpenAI's dialect has them in.
pub(super) fn arguments(raw: Option<&RawValue>) -> String {
    raw.map_or("{}", RawValue::get).to_owned()
}
