//! Chunks -> fewer chunks, for storage: a stream of single tokens is mostly envelope.

use super::super::{Dialect, tree};
use super::{Kind, TEXTS, join_logprobs};
use bytes::Bytes;
use serde_json::{Map, Value};

/// Characters of text in a merged chunk at most.
const MOST_CHARS: usize = 256;

/// Merges neighbours that differ in one choice's text only (content, reasoning, refusal, or the
/// arguments of one tool call), with their logprobs; `obfuscation` is dropped from merged chunks.
/// Folding the result gives the same body. What it does not understand stays as it is, byte for byte.
pub fn coalesce(dialect: Dialect, events: Vec<Bytes>) -> Vec<Bytes> {
    let Ok(kind) = Kind::of(dialect) else { return events };
    let mut out = Vec::new();
    let mut open: Option<Run> = None;
    for event in events {
        match (Run::start(kind, &event), &mut open) {
            (Some(next), Some(run)) if run.takes(&next) => run.add(next),
            (Some(next), _) => out.extend(open.replace(next).map(Run::end)),
            (None, _) => {
                out.extend(open.take().map(Run::end));
                out.push(event);
            }
        }
    }
    out.extend(open.map(Run::end));
    out
}

/// Where in a chunk the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// `choices[0].text`
    Text,
    /// `choices[0].delta.<name>`
    Delta(&'static str),
    /// `choices[0].delta.tool_calls[0].function.arguments`
    Arguments,
}

/// One chunk, or several merged, taken apart.
struct Run {
    /// The bytes of the first; what is written as long as it is the only one.
    original: Bytes,
    merged: bool,
    /// The chunk without text, logprobs and padding.
    skeleton: Value,
    place: Place,
    text: String,
    chars: usize,
    logprobs: Option<Map<String, Value>>,
}

impl Run {
    /// `None`: not a chunk that can be merged.
    fn start(kind: Kind, event: &Bytes) -> Option<Run> {
        let mut skeleton = tree::parse(event).ok()?;
        let whole = skeleton.as_object_mut()?;
        whole.remove("obfuscation");
        if whole.contains_key("error") {
            return None;
        }
        let [Value::Object(choice)] = whole.get_mut("choices")?.as_array_mut()?.as_mut_slice() else {
            return None;
        };
        if choice.get("finish_reason").is_some_and(|reason| !reason.is_null()) {
            return None;
        }
        let logprobs = match choice.get_mut("logprobs") {
            Some(Value::Object(logprobs)) => Some(std::mem::take(logprobs)),
            _ => None,
        };
        if logprobs.iter().flat_map(|keys| keys.values()).any(|value| !value.is_array() && !value.is_null()) {
            return None;
        }
        let place = match kind {
            Kind::Completion => Place::Text,
            Kind::Chat => place(choice.get("delta")?.as_object()?)?,
        };
        let text = std::mem::take(slot(&mut skeleton, place)?);
        let chars = text.chars().count();
        let run = Run { original: event.clone(), merged: false, skeleton, place, text, chars, logprobs };
        (!run.text.is_empty()).then_some(run)
    }

    fn takes(&self, next: &Run) -> bool {
        self.place == next.place && self.chars + next.chars <= MOST_CHARS && self.skeleton == next.skeleton
    }

    /// Both have logprobs or neither: the skeletons are equal.
    fn add(&mut self, next: Run) {
        self.merged = true;
        self.text.push_str(&next.text);
        self.chars += next.chars;
        if let (Some(sofar), Some(more)) = (&mut self.logprobs, next.logprobs) {
            join_logprobs(sofar, more);
        }
    }

    fn end(mut self) -> Bytes {
        if !self.merged {
            return self.original;
        }
        if let Some(slot) = slot(&mut self.skeleton, self.place) {
            *slot = self.text;
        }
        if let Some(logprobs) = self.logprobs {
            self.skeleton["choices"][0]["logprobs"] = Value::Object(logprobs);
        }
        Bytes::from(self.skeleton.to_string())
    }
}

/// The one member of a delta that has text. Every other must be such that saying it once or twice
/// folds to the same: null, empty, or the role.
fn place(delta: &Map<String, Value>) -> Option<Place> {
    let mut found = None;
    for (name, value) in delta {
        let here = match value {
            Value::Null => continue,
            Value::String(text) if text.is_empty() || name == "role" => continue,
            Value::String(_) => Place::Delta(TEXTS.into_iter().find(|text| text == name)?),
            Value::Array(calls) if name == "tool_calls" && is_continued(calls) => Place::Arguments,
            _ => return None,
        };
        if found.replace(here).is_some() {
            return None;
        }
    }
    found
}

/// One tool call that is known by its index and has arguments, and besides only what folds the same
/// said once or twice.
fn is_continued(calls: &[Value]) -> bool {
    let [Value::Object(call)] = calls else { return false };
    let Some(Value::Object(function)) = call.get("function") else { return false };
    let known = call.keys().all(|name| matches!(name.as_str(), "index" | "id" | "type" | "function"));
    let plain = function.keys().all(|name| matches!(name.as_str(), "name" | "arguments"));
    known && plain && call.get("index").is_some_and(Value::is_u64)
}

fn slot(chunk: &mut Value, place: Place) -> Option<&mut String> {
    let choice = chunk.get_mut("choices")?.get_mut(0)?;
    let slot = match place {
        Place::Text => choice.get_mut("text")?,
        Place::Delta(name) => choice.get_mut("delta")?.get_mut(name)?,
        Place::Arguments => choice.pointer_mut("/delta/tool_calls/0/function/arguments")?,
    };
    match slot {
        Value::String(text) => Some(text),
        _ => None,
    }
}
