//! Which text is compared by meaning, and when it may be.

use super::{Bypass, continuation};
use crate::config::FuzzyPolicy;
use crate::wire::request::{ChatRequest, CompletionRequest};
use serde_json::Value;

/// The last user turn's text, as the client wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question(pub String);

/// The texts of the last message, if it is a user's and holds nothing but text. The form, a string or
/// parts, belongs to the context. Empty where there is no question.
pub(super) fn of_chat(messages: &[Value]) -> Vec<&str> {
    let Some(last) = messages.last() else { return Vec::new() };
    if last.get("role").and_then(Value::as_str) != Some("user") {
        return Vec::new();
    }
    match last.get("content") {
        Some(Value::String(text)) => vec![text.as_str()],
        Some(Value::Array(parts)) => {
            parts.iter().map(text_of_part).collect::<Option<_>>().unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn text_of_part(part: &Value) -> Option<&str> {
    match part.get("type").and_then(Value::as_str) {
        Some("text") => part.get("text").and_then(Value::as_str),
        _ => None,
    }
}

/// The prompt, if it is one text.
pub(super) fn of_completion(prompt: &Value) -> Option<&str> {
    match prompt {
        Value::String(text) => Some(text),
        Value::Array(prompts) => match prompts.as_slice() {
            [Value::String(text)] => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a chat's question may be compared by meaning. The first reason in this order wins: tools,
/// image, audio, file, no question, turns, temperature, choices, length, continuation. The language
/// is judged elsewhere, by the model that would embed it.
pub(super) fn judge_chat(
    chat: &ChatRequest,
    texts: &[&str],
    policy: &FuzzyPolicy,
) -> Result<Question, Bypass> {
    if !policy.tools && offers_tools(chat) {
        return Err(Bypass::HasTools);
    }
    if let Some(bypass) = media(chat) {
        return Err(bypass);
    }
    let question = joined(texts)?;
    if turns(&chat.messages) > policy.max_turns {
        return Err(Bypass::MultiTurn);
    }
    judge_sampling(&chat.temperature, &[&chat.n], policy)?;
    judge_text(question, policy)
}

/// The same for a completion, where there are neither tools nor turns.
pub(super) fn judge_completion(
    completion: &CompletionRequest,
    texts: &[&str],
    policy: &FuzzyPolicy,
) -> Result<Question, Bypass> {
    if let Value::Array(prompts) = &completion.prompt
        && prompts.len() > 1
        && prompts.iter().any(|prompt| !prompt.is_u64())
    {
        return Err(Bypass::ManyChoices);
    }
    let question = joined(texts)?;
    judge_sampling(&completion.temperature, &[&completion.n, &completion.best_of], policy)?;
    judge_text(question, policy)
}

fn joined(texts: &[&str]) -> Result<String, Bypass> {
    match texts.iter().all(|text| text.trim().is_empty()) {
        true => Err(Bypass::NoQuestion),
        false => Ok(texts.join("\n")),
    }
}

/// A value of an unexpected type is doubt, and doubt refuses.
fn judge_sampling(
    temperature: &Option<Value>,
    counts: &[&Option<Value>],
    policy: &FuzzyPolicy,
) -> Result<(), Bypass> {
    let cool = match temperature {
        None | Some(Value::Null) => true,
        Some(value) => value.as_f64().is_some_and(|degree| degree <= policy.max_temperature),
    };
    if !cool {
        return Err(Bypass::Temperature);
    }
    let single = |count: &&Option<Value>| match count {
        None | Some(Value::Null) => true,
        Some(value) => value.as_f64().is_some_and(|number| number <= 1.0),
    };
    match counts.iter().all(single) {
        true => Ok(()),
        false => Err(Bypass::ManyChoices),
    }
}

fn judge_text(question: String, policy: &FuzzyPolicy) -> Result<Question, Bypass> {
    if question.chars().count() > policy.max_chars {
        return Err(Bypass::TooLong);
    }
    match continuation::is_continuation(&question) {
        true => Err(Bypass::Continuation),
        false => Ok(Question(question)),
    }
}

/// Tools, functions, or the built-in web search.
fn offers_tools(chat: &ChatRequest) -> bool {
    let offered = |field: &Option<Value>| match field {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    offered(&chat.tools) || offered(&chat.functions) || offered(&chat.web_search_options)
}

/// What is not text in any message, or in the answer that is asked for.
fn media(chat: &ChatRequest) -> Option<Bypass> {
    let (mut audio, mut file) = (speaks(chat), false);
    for message in &chat.messages {
        audio |= message.get("audio").is_some_and(|audio| !audio.is_null());
        let Some(Value::Array(parts)) = message.get("content") else { continue };
        for part in parts {
            match part.get("type").and_then(Value::as_str) {
                Some("image_url" | "image" | "input_image") => return Some(Bypass::HasImage),
                Some("input_audio" | "audio" | "audio_url") => audio = true,
                Some("file" | "input_file" | "file_url" | "document") => file = true,
                _ => {}
            }
        }
    }
    match (audio, file) {
        (true, _) => Some(Bypass::HasAudio),
        (false, true) => Some(Bypass::HasFile),
        (false, false) => None,
    }
}

/// Whether the answer shall be spoken.
fn speaks(chat: &ChatRequest) -> bool {
    let spoken = |modalities: &Vec<Value>| modalities.iter().any(|modality| modality == "audio");
    chat.modalities.as_ref().and_then(Value::as_array).is_some_and(spoken)
}

/// Turns, the question included: user messages, or runs of answers (assistant, tool) and the question
/// after them, whichever are more. System and developer messages are no turns.
fn turns(messages: &[Value]) -> usize {
    let (mut users, mut runs, mut in_run) = (0, 0, false);
    for message in messages {
        match message.get("role").and_then(Value::as_str) {
            Some("system" | "developer") => {}
            Some("user") => {
                users += 1;
                in_run = false;
            }
            _ if in_run => {}
            _ => {
                runs += 1;
                in_run = true;
            }
        }
    }
    users.max(runs + 1)
}
