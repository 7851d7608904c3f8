//! Body -> chunks.

use super::super::answer::DONE;
use super::super::{Dialect, tree};
use super::{Kind, TEXTS, Unconvertible};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// A piece of text is cut at the first blank from here on, in characters.
const PIECE: usize = 40;
/// And here at the latest.
const PIECE_MOST: usize = 80;

/// Members that every chunk of a stream repeats.
const ENVELOPE: [&str; 5] = ["id", "created", "model", "system_fingerprint", "service_tier"];

/// Splits a body into the events of a stream, `[DONE]` last. Each choice goes by itself: its role
/// first; reasoning, content and refusal in pieces of some 40 to 80 characters; tool calls, name and
/// id before the arguments; its finish reason last. `include_usage` adds the chunk with the usage, if
/// the body has one, and a null usage to the others. Fails on what is no such body.
pub fn split(dialect: Dialect, body: &[u8], include_usage: bool) -> Result<Vec<Bytes>, Unconvertible> {
    let kind = Kind::of(dialect)?;
    let Ok(Value::Object(mut body)) = tree::parse(body) else {
        return Err(Unconvertible("it is no JSON object".to_owned()));
    };
    let choices = match (body.remove("choices"), body.get("error")) {
        (Some(Value::Array(choices)), None | Some(Value::Null)) if !choices.is_empty() => choices,
        _ => return Err(Unconvertible("it has no `choices`, or an error".to_owned())),
    };
    let usage = body.remove("usage").filter(|usage| include_usage && !usage.is_null());
    body.remove("object");
    let mut out = Chunks::new(kind, body, include_usage);
    for (at, choice) in choices.into_iter().enumerate() {
        let Value::Object(mut choice) = choice else {
            return Err(Unconvertible("a choice is no object".to_owned()));
        };
        let index = choice.remove("index").unwrap_or_else(|| Value::from(at));
        let mut one = Choice { kind, index, logprobs: choice.remove("logprobs"), out: &mut out };
        match (kind, choice.remove("message"), choice.remove("text")) {
            (Kind::Chat, Some(Value::Object(message)), None) => one.message(message),
            (Kind::Completion, None, Some(Value::String(text))) => one.completion(&text),
            _ => return Err(Unconvertible("a choice says nothing".to_owned())),
        }
        one.finish(choice);
    }
    if let Some(usage) = usage {
        out.push(Vec::new(), usage);
    }
    out.events.push(Bytes::from_static(DONE));
    Ok(out.events)
}

/// The events so far, and what each repeats.
struct Chunks {
    envelope: Map<String, Value>,
    /// Members that the first chunk alone has.
    extra: Map<String, Value>,
    include_usage: bool,
    events: Vec<Bytes>,
}

impl Chunks {
    fn new(kind: Kind, body: Map<String, Value>, include_usage: bool) -> Chunks {
        let (mut envelope, extra): (Map<_, _>, Map<_, _>) =
            body.into_iter().partition(|(name, _)| ENVELOPE.contains(&name.as_str()));
        let object = match kind {
            Kind::Chat => "chat.completion.chunk",
            Kind::Completion => "text_completion",
        };
        envelope.insert("object".to_owned(), Value::from(object));
        Chunks { envelope, extra, include_usage, events: Vec::new() }
    }

    fn push(&mut self, choices: Vec<Value>, usage: Value) {
        let mut chunk = self.envelope.clone();
        chunk.append(&mut self.extra);
        chunk.insert("choices".to_owned(), Value::Array(choices));
        if self.include_usage {
            chunk.insert("usage".to_owned(), usage);
        }
        self.events.push(Bytes::from(Value::Object(chunk).to_string()));
    }
}

/// One choice on its way out.
struct Choice<'a> {
    kind: Kind,
    index: Value,
    /// What is still to be sent of them; null where they were null, or have all been sent.
    logprobs: Option<Value>,
    out: &'a mut Chunks,
}

impl Choice<'_> {
    fn message(&mut self, mut message: Map<String, Value>) {
        let mut opening = Map::new();
        let role = message.remove("role").unwrap_or_else(|| Value::from("assistant"));
        opening.insert("role".to_owned(), role);
        for (name, value) in &message {
            let open = match value {
                Value::Null => Value::Null,
                Value::String(text) if name == "content" || text.is_empty() => Value::from(""),
                Value::Array(items) if items.is_empty() => json!([]),
                _ => continue,
            };
            opening.insert(name.clone(), open);
        }
        message.retain(|name, _| opening.get(name).is_none_or(|open| name == "content" && open.is_string()));
        self.say(Value::Object(opening), Value::Null);
        let mut texts = Vec::new();
        for name in TEXTS {
            if let Some(Value::String(text)) = message.get_mut(name) {
                texts.push((name, std::mem::take(text)));
                message.remove(name);
            }
        }
        let (tools, function) = (message.remove("tool_calls"), message.remove("function_call"));
        if !message.is_empty() {
            self.say(Value::Object(message), Value::Null);
        }
        for (name, text) in texts {
            for (piece, logprobs) in self.pieces_of(name, &text) {
                self.say(json!({ name: piece }), logprobs);
            }
        }
        self.tool_calls(tools);
        if let Some(function) = function {
            for part in calls_parts(function) {
                self.say(json!({"function_call": part}), Value::Null);
            }
        }
    }

    fn completion(&mut self, text: &str) {
        for piece in pieces(text) {
            // Offsets and tokens of the whole text go out with its first piece.
            let logprobs = self.take_logprobs();
            self.emit("text", Value::from(piece), logprobs, Value::Null, Map::new());
        }
    }

    fn tool_calls(&mut self, calls: Option<Value>) {
        let Some(Value::Array(calls)) = calls else {
            if let Some(other) = calls {
                self.say(json!({"tool_calls": other}), Value::Null);
            }
            return;
        };
        for (index, call) in calls.into_iter().enumerate() {
            let Value::Object(mut call) = call else { continue };
            call.insert("index".to_owned(), Value::from(index));
            let mut parts = call.remove("function").map(calls_parts).unwrap_or_default().into_iter();
            if let Some(head) = parts.next() {
                call.insert("function".to_owned(), head);
            }
            self.say(json!({"tool_calls": [call]}), Value::Null);
            for part in parts {
                self.say(json!({"tool_calls": [{"index": index, "function": part}]}), Value::Null);
            }
        }
    }

    /// The finish reason, with what is left: members nobody knows, and logprobs without a text.
    fn finish(&mut self, mut rest: Map<String, Value>) {
        let reason = rest.remove("finish_reason").unwrap_or_default();
        let logprobs = self.take_logprobs();
        match self.kind {
            Kind::Chat => self.emit("delta", json!({}), logprobs, reason, rest),
            Kind::Completion => self.emit("text", json!(""), logprobs, reason, rest),
        }
    }

    fn say(&mut self, delta: Value, logprobs: Value) {
        self.emit("delta", delta, logprobs, Value::Null, Map::new());
    }

    fn emit(&mut self, name: &str, said: Value, logprobs: Value, reason: Value, rest: Map<String, Value>) {
        let mut choice = rest;
        choice.insert("index".to_owned(), self.index.clone());
        choice.insert(name.to_owned(), said);
        choice.insert("finish_reason".to_owned(), reason);
        if self.logprobs.is_some() {
            choice.insert("logprobs".to_owned(), logprobs);
        }
        self.out.push(vec![Value::Object(choice)], Value::Null);
    }

    fn take_logprobs(&mut self) -> Value {
        self.logprobs.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The pieces of a text, each with its tokens' logprobs. Where the tokens do not spell the text
    /// (one that ends inside a character is escaped), all of them go with the first piece.
    fn pieces_of(&mut self, name: &str, text: &str) -> Vec<(String, Value)> {
        if text.is_empty() {
            return Vec::new();
        }
        let tokens = match self.logprobs.as_mut().and_then(|logprobs| logprobs.get_mut(name)) {
            Some(tokens @ Value::Array(_)) => std::mem::replace(tokens, json!([])),
            _ => Value::Null,
        };
        let Value::Array(tokens) = tokens else {
            return pieces(text).into_iter().map(|piece| (piece.to_owned(), Value::Null)).collect();
        };
        let groups = groups(&tokens, text).unwrap_or_else(|| {
            let mut tokens = Some(tokens);
            pieces(text)
                .into_iter()
                .map(|piece| (piece.to_owned(), tokens.take().unwrap_or_default()))
                .collect()
        });
        // The first piece takes the other keys along, the rest have this one alone.
        let mut frame = self.take_logprobs();
        let mut out = Vec::with_capacity(groups.len());
        for (piece, tokens) in groups {
            let mut logprobs = frame.clone();
            logprobs[name] = Value::Array(tokens);
            out.push((piece, logprobs));
            frame.as_object_mut().into_iter().flat_map(|keys| keys.values_mut()).for_each(|value| {
                if value.is_array() {
                    *value = json!([]);
                }
            });
        }
        out
    }
}

/// A function's name with empty arguments first, then the arguments in pieces.
fn calls_parts(function: Value) -> Vec<Value> {
    let Value::Object(mut head) = function else { return vec![function] };
    let Some(Value::String(arguments)) = head.get_mut("arguments") else { return vec![Value::Object(head)] };
    let arguments = std::mem::take(arguments);
    let mut parts = vec![Value::Object(head)];
    parts.extend(pieces(&arguments).into_iter().map(|piece| json!({"arguments": piece})));
    parts
}

/// Pieces that end at a token's end, with the tokens; `None` where they do not spell `text`.
fn groups(tokens: &[Value], text: &str) -> Option<Vec<(String, Vec<Value>)>> {
    let mut rest = text;
    let mut groups = Vec::new();
    let (mut piece, mut own) = (String::new(), Vec::new());
    for token in tokens {
        let word = token.get("token").and_then(Value::as_str)?;
        rest = rest.strip_prefix(word)?;
        piece.push_str(word);
        own.push(token.clone());
        if piece.chars().count() >= PIECE {
            groups.push((std::mem::take(&mut piece), std::mem::take(&mut own)));
        }
    }
    if !own.is_empty() {
        groups.push((piece, own));
    }
    rest.is_empty().then_some(groups)
}

/// Cuts after the first blank from `PIECE` characters on, or at `PIECE_MOST`. None for no text.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (at, symbol) in text.char_indices() {
        length += 1;
        let end = at + symbol.len_utf8();
        if length >= PIECE_MOST || (length >= PIECE && symbol.is_whitespace()) {
            pieces.push(&text[start..end]);
            (start, length) = (end, 0);
        }
    }
    if start < text.len() {
        pieces.push(&text[start..]);
    }
    pieces
}
