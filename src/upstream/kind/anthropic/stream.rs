//! The events of a message as chunks.

use super::super::completion::{self, Chunks, Envelope, Finish, Message, ToolCall};
use super::super::translate::Broken;
use super::{Block, Usage, finish};
use crate::wire::request::Form;
use crate::wire::{Dialect, errors};
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bytes of thinking that one block may hold, and blocks that may be open: bounds against an upstream
/// that never ends what it began. The longest answer of any model is a small part of it.
const MOST_THOUGHT: usize = 8 << 20;
const MOST_OPEN: usize = 1_024;

/// Follows one message. Holds no text but the thinking of a block that has not ended.
#[derive(Debug)]
pub(in super::super) struct Stream {
    form: Form,
    created: u64,
    /// From `message_start` on.
    chunks: Option<Chunks>,
    open: BTreeMap<u64, Open>,
    calls: usize,
    usage: Usage,
    finish: Option<Finish>,
    over: bool,
}

/// A block that has begun.
#[derive(Debug)]
enum Open {
    Call { index: usize, written: bool },
    Thinking { text: String, signature: String },
    Redacted { data: String },
    Other,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    message: Option<Start>,
    index: Option<u64>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    usage: Option<Usage>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Start {
    id: String,
    model: String,
    usage: Option<Usage>,
}

/// Of a block, or of the message: that one has a stop reason and no type.
#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    text: Option<String>,
    partial_json: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "type")]
    kind: String,
    message: String,
}

impl Stream {
    pub fn new(form: Form, created: u64) -> Stream {
        Stream {
            form,
            created,
            chunks: None,
            open: BTreeMap::new(),
            calls: 0,
            usage: Usage::default(),
            finish: None,
            over: false,
        }
    }

    /// Writes what one event amounts to; what comes after the end counts for nothing.
    pub fn event(&mut self, data: &[u8], out: &mut BytesMut) -> Result<(), Broken> {
        if self.over {
            return Ok(());
        }
        let data: Data<'_> = serde_json::from_slice(data).map_err(|_| Broken::NotReadable)?;
        match data.kind.as_ref() {
            "message_start" => self.start(data.message.ok_or(Broken::NotReadable)?, out),
            "content_block_start" => {
                self.begin(data.index.unwrap_or(0), data.content_block.ok_or(Broken::NotReadable)?, out)
            }
            "content_block_delta" => {
                self.delta(data.index.unwrap_or(0), data.delta.ok_or(Broken::NotReadable)?, out)
            }
            "content_block_stop" => self.close(data.index.unwrap_or(0), out),
            "message_delta" => {
                self.usage.update(data.usage.unwrap_or_default());
                let reason = data.delta.and_then(|delta| delta.stop_reason);
                self.finish = reason.as_deref().map(finish).or(self.finish);
                Ok(())
            }
            "message_stop" => self.stop(out),
            "error" => {
                let error = data.error.ok_or(Broken::NotReadable)?;
                let frame = errors::stream_error(Dialect::ChatCompletions, &error.kind, &error.message);
                out.extend_from_slice(&frame);
                self.over = true;
                Ok(())
            }
            // `ping`, and by their versioning policy whatever one does not know.
            _ => Ok(()),
        }
    }

    /// The connection has ended.
    pub fn end(&self) -> Result<(), Broken> {
        if self.over { Ok(()) } else { Err(Broken::Cut) }
    }

    fn start(&mut self, start: Start, out: &mut BytesMut) -> Result<(), Broken> {
        let Start { id, model, usage } = start;
        self.usage.update(usage.unwrap_or_default());
        let chunks = Chunks::new(Envelope { id, created: self.created, model }, self.form);
        chunks.delta(0, &Message::opening(), out);
        self.chunks = Some(chunks);
        Ok(())
    }

    fn chunks(&self) -> Result<&Chunks, Broken> {
        self.chunks.as_ref().ok_or(Broken::OutOfOrder)
    }

    fn begin(&mut self, index: u64, block: Block<'_>, out: &mut BytesMut) -> Result<(), Broken> {
        let chunks = self.chunks()?;
        let open = match block.kind.as_ref() {
            "text" => {
                let text = block.text.filter(|text| !text.is_empty());
                text.into_iter().for_each(|text| chunks.delta(0, &Message::said(text), out));
                Open::Other
            }
            "tool_use" => {
                let (id, name) = block.id.zip(block.name).ok_or(Broken::NotReadable)?;
                let call = ToolCall::named(Some(self.calls), id, name, String::new());
                chunks.delta(0, &calling(call), out);
                let index = self.calls;
                // An input that is there from the start (it is `{}` where deltas follow).
                let whole = block.input.filter(|input| input.get() != "{}");
                if let Some(input) = whole {
                    let more = ToolCall::more(index, completion::arguments(Some(input)));
                    chunks.delta(0, &calling(more), out);
                }
                self.calls += 1;
                Open::Call { index, written: whole.is_some() }
            }
            "thinking" => Open::Thinking {
                text: block.thinking.unwrap_or_default(),
                signature: block.signature.unwrap_or_default(),
            },
            "redacted_thinking" => Open::Redacted { data: block.data.unwrap_or_default() },
            _ => Open::Other,
        };
        self.open.insert(index, open);
        if self.open.len() > MOST_OPEN { Err(Broken::TooBig) } else { Ok(()) }
    }

    fn delta(&mut self, index: u64, delta: Delta<'_>, out: &mut BytesMut) -> Result<(), Broken> {
        let chunks = self.chunks.as_ref().ok_or(Broken::OutOfOrder)?;
        let open = self.open.get_mut(&index).ok_or(Broken::OutOfOrder)?;
        match (delta.kind.as_deref().unwrap_or_default(), open) {
            ("text_delta", _) => {
                chunks.delta(0, &Message::said(delta.text.unwrap_or_default()), out);
            }
            ("input_json_delta", Open::Call { index, written }) => {
                let part = delta.partial_json.filter(|part| !part.is_empty());
                if let Some(part) = part {
                    *written = true;
                    chunks.delta(0, &calling(ToolCall::more(*index, part)), out);
                }
            }
            ("thinking_delta", Open::Thinking { text, .. }) => {
                let thought = delta.thinking.unwrap_or_default();
                text.push_str(&thought);
                if text.len() > MOST_THOUGHT {
                    return Err(Broken::TooBig);
                }
                let message = Message { reasoning_content: Some(thought), ..Message::default() };
                chunks.delta(0, &message, out);
            }
            ("signature_delta", Open::Thinking { signature, .. }) => {
                signature.push_str(&delta.signature.unwrap_or_default());
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, index: u64, out: &mut BytesMut) -> Result<(), Broken> {
        let chunks = self.chunks.as_ref().ok_or(Broken::OutOfOrder)?;
        let message = match self.open.remove(&index) {
            // A call without arguments: their text is an empty object all the same.
            Some(Open::Call { index, written: false }) => calling(ToolCall::more(index, "{}".to_owned())),
            Some(Open::Thinking { text, signature }) => {
                let block = json!({"type": "thinking", "thinking": text, "signature": signature});
                Message { thinking_blocks: vec![block], ..Message::default() }
            }
            Some(Open::Redacted { data }) => {
                let block = json!({"type": "redacted_thinking", "data": data});
                Message { thinking_blocks: vec![block], ..Message::default() }
            }
            _ => return Ok(()),
        };
        chunks.delta(0, &message, out);
        Ok(())
    }

    fn stop(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        let chunks = self.chunks()?;
        chunks.finish(0, self.finish.ok_or(Broken::OutOfOrder)?, out);
        chunks.done(self.usage.json().as_ref(), out);
        self.over = true;
        Ok(())
    }
}

fn calling(call: ToolCall) -> Message {
    Message { tool_calls: vec![call], ..Message::default() }
}
