//! A whole message as a chat completion.

use super::super::completion::{self, Choice, Envelope, Message, ToolCall};
use super::super::translate::Broken;
use super::{Block, Usage, finish};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Answer<'a> {
    id: String,
    model: String,
    #[serde(borrow)]
    content: Vec<Block<'a>>,
    stop_reason: String,
    usage: Option<Usage>,
}

/// The chat completion.
pub(in super::super) fn body(text: &[u8], created: u64) -> Result<Bytes, Broken> {
    let answer = serde_json::from_slice(text).map_err(|_| Broken::NotReadable)?;
    let Answer { id, model, content, stop_reason, usage } = answer;
    let mut message = Message::default();
    let mut said = String::new();
    let mut reasoning = String::new();
    for block in content {
        match block.kind.as_ref() {
            "text" => said.push_str(&block.text.unwrap_or_default()),
            "tool_use" => message.tool_calls.push(ToolCall::named(
                None,
                block.id.ok_or(Broken::NotReadable)?,
                block.name.ok_or(Broken::NotReadable)?,
                completion::arguments(block.input),
            )),
            "thinking" => {
                let thought = block.thinking.unwrap_or_default();
                reasoning.push_str(&thought);
                message
                    .thinking_blocks
                    .push(json!({"type": "thinking", "thinking": thought, "signature": block.signature}));
            }
            "redacted_thinking" => {
                message.thinking_blocks.push(json!({"type": "redacted_thinking", "data": block.data}));
            }
            // Their versioning policy: kinds that one does not know are passed over.
            _ => {}
        }
    }
    let silent = said.is_empty() && !message.tool_calls.is_empty();
    message.content = Some((!silent).then_some(said));
    message.reasoning_content = (!reasoning.is_empty()).then_some(reasoning);
    let choice = Choice { index: 0, message: message.whole(), finish: finish(&stop_reason) };
    let usage = usage.and_then(Usage::json);
    completion::body(&Envelope { id, created, model }, &[choice], usage.as_ref())
        .map_err(|_| Broken::NotReadable)
}
