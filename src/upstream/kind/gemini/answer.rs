//! A whole answer as a chat completion.

use super::super::completion::{self, Choice, Envelope, Finish, Message, ToolCall, google_signature};
use super::super::translate::Broken;
use super::{Answer, Candidate, Part, call_id, finish};
use bytes::Bytes;

/// The chat completion. A prompt that was refused is one without content, ended by the filter.
pub(in super::super) fn body(text: &[u8], created: u64) -> Result<Bytes, Broken> {
    let answer: Answer<'_> = serde_json::from_slice(text).map_err(|_| Broken::NotReadable)?;
    let Answer { candidates, prompt_feedback, usage_metadata, model_version, response_id, error } = answer;
    if error.is_some() {
        return Err(Broken::NotReadable);
    }
    let mut choices = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        choices.push(choice(candidate, &response_id)?);
    }
    if choices.is_empty() {
        prompt_feedback.and_then(|feedback| feedback.block_reason).ok_or(Broken::NotReadable)?;
        choices.push(Choice { index: 0, message: Message::default().whole(), finish: Finish::ContentFilter });
    }
    let envelope = Envelope { id: response_id, created, model: model_version };
    let usage = usage_metadata.map(super::Usage::json);
    completion::body(&envelope, &choices, usage.as_ref()).map_err(|_| Broken::NotReadable)
}

fn choice(candidate: Candidate<'_>, response: &str) -> Result<Choice, Broken> {
    let Candidate { index, content, finish_reason } = candidate;
    let mut message = Message::default();
    let (mut said, mut reasoning) = (String::new(), String::new());
    for part in content.map(|content| content.parts).unwrap_or_default() {
        let Part { text, thought, thought_signature, function_call, inline_data } = part;
        if let Some(call) = function_call {
            let id = call_id(call.id, response, message.tool_calls.len());
            let arguments = completion::arguments(call.args);
            let call = ToolCall::named(None, id, call.name, arguments).signed(thought_signature);
            message.tool_calls.push(call);
            continue;
        }
        if let Some(signature) = thought_signature {
            message.extra_content = Some(google_signature(signature));
        }
        if let Some(text) = text {
            if thought { reasoning.push_str(&text) } else { said.push_str(&text) }
        }
        message.images.extend(inline_data.iter().map(super::Blob::image));
    }
    let reason = finish_reason.ok_or(Broken::NotReadable)?;
    let finish = finish(&reason, !message.tool_calls.is_empty())?;
    let silent = said.is_empty() && (finish != Finish::Stop || !message.images.is_empty());
    message.content = Some((!silent).then_some(said));
    message.reasoning_content = (!reasoning.is_empty()).then_some(reasoning);
    Ok(Choice { index, message: message.whole(), finish })
}
