//! Answers written out: one JSON body, or the events of a stream.

use super::answer::{Answer, Choice};
use super::text::Dice;
use super::tokens;
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

const FINGERPRINT: &str = "fp_5ca1ab1e00";
const DONE: &[u8] = b"data: [DONE]\n\n";
/// What one event takes, roughly, for the one allocation of a stream.
const EVENT_BYTES: usize = 256;
/// Tokens of a tool call's arguments in one event.
const ARGUMENT_PIECE: usize = 3;

/// How log probabilities were asked for: alternatives for each token.
pub type Logprobs = Option<usize>;

pub fn chat_body(answer: &Answer, logprobs: Logprobs) -> Bytes {
    let choices: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            json!({
                "index": index, "message": message(answer, choice),
                "logprobs": chat_logprobs(choice.content.as_deref(), logprobs),
                "finish_reason": choice.finish
            })
        })
        .collect();
    let body = json!({
        "id": format!("chatcmpl-{}", answer.id), "object": "chat.completion", "created": answer.created,
        "model": answer.model, "choices": choices, "usage": answer.usage.json(),
        "service_tier": "default", "system_fingerprint": FINGERPRINT
    });
    Bytes::from(body.to_string())
}

fn message(answer: &Answer, choice: &Choice) -> Value {
    let mut message = json!({
        "role": "assistant", "content": choice.content, "refusal": choice.refusal, "annotations": []
    });
    if let Some(reasoning) = &choice.reasoning {
        message["reasoning_content"] = json!(reasoning);
    }
    if !choice.tools.is_empty() {
        let calls = choice.tools.iter().enumerate().map(|(place, call)| {
            json!({
                "id": call_id(answer, place), "type": "function",
                "function": {"name": call.name, "arguments": call.arguments}
            })
        });
        message["tool_calls"] = calls.collect();
    }
    message
}

fn call_id(answer: &Answer, place: usize) -> String {
    format!("call_{}{place}", answer.id)
}

/// One piece of one choice, as a stream's `delta`, with its log probabilities.
type Piece = (String, Value);

/// The events of a stream: a role for each choice, then the choices' pieces in turn, the finishes,
/// the usage if asked for, and `[DONE]`.
pub fn chat_events(answer: &Answer, logprobs: Logprobs, include_usage: bool) -> Vec<Bytes> {
    let pieces: Vec<Vec<Piece>> =
        answer.choices.iter().map(|choice| deltas(answer, choice, logprobs)).collect();
    let head = format!(
        "data: {{\"id\":\"chatcmpl-{}\",\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":{},\
         \"service_tier\":\"default\",\"system_fingerprint\":\"{FINGERPRINT}\",\"choices\":[",
        answer.id,
        answer.created,
        json!(answer.model)
    );
    let tail = if include_usage { "],\"usage\":null}\n\n" } else { "]}\n\n" };
    let mut out = Events::new(pieces.iter().map(Vec::len).sum::<usize>() + 2 * pieces.len() + 2);
    let event = |out: &mut Events, index: usize, delta: &str, logprobs: &Value, finish: &str| {
        let choice = format!(
            "{{\"index\":{index},\"delta\":{delta},\"logprobs\":{logprobs},\"finish_reason\":{finish}}}"
        );
        out.push(&[&head, &choice, tail]);
    };
    for index in 0..pieces.len() {
        let opening = r#"{"role":"assistant","content":"","refusal":null}"#;
        event(&mut out, index, opening, &Value::Null, "null");
    }
    for turn in 0..pieces.iter().map(Vec::len).max().unwrap_or(0) {
        for (index, piece) in pieces.iter().enumerate() {
            if let Some((delta, logprobs)) = piece.get(turn) {
                event(&mut out, index, delta, logprobs, "null");
            }
        }
    }
    for (index, choice) in answer.choices.iter().enumerate() {
        event(&mut out, index, "{}", &Value::Null, &json!(choice.finish).to_string());
    }
    if include_usage {
        out.push(&[&head, "],\"usage\":", &answer.usage.json().to_string(), "}\n\n"]);
    }
    out.finish()
}

fn deltas(answer: &Answer, choice: &Choice, logprobs: Logprobs) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (name, text) in
        [("reasoning_content", &choice.reasoning), ("content", &choice.content), ("refusal", &choice.refusal)]
    {
        for token in tokens::split(text.as_deref().unwrap_or("")) {
            let told = if name == "content" { chat_logprobs(Some(token), logprobs) } else { Value::Null };
            pieces.push((format!("{{\"{name}\":{}}}", json!(token)), told));
        }
    }
    for (place, call) in choice.tools.iter().enumerate() {
        let opening = json!({"tool_calls": [{
            "index": place, "id": call_id(answer, place), "type": "function",
            "function": {"name": call.name, "arguments": ""}
        }]});
        pieces.push((opening.to_string(), Value::Null));
        let parts: Vec<&str> = tokens::split(&call.arguments).collect();
        for part in parts.chunks(ARGUMENT_PIECE) {
            let delta = json!({"tool_calls": [{"index": place, "function": {"arguments": part.concat()}}]});
            pieces.push((delta.to_string(), Value::Null));
        }
    }
    pieces
}

/// Chat's form: one entry for each token, its bytes, and `alternatives` others.
fn chat_logprobs(content: Option<&str>, logprobs: Logprobs) -> Value {
    let (Some(content), Some(alternatives)) = (content, logprobs) else { return Value::Null };
    let entries: Vec<Value> = tokens::split(content)
        .map(|token| {
            let ranked: Vec<Value> = ranking(token, alternatives)
                .into_iter()
                .map(|(other, logprob)| json!({"bytes": other.as_bytes(), "logprob": logprob, "token": other}))
                .collect();
            json!({
                "token": token, "logprob": first_logprob(token), "bytes": token.as_bytes(), "top_logprobs": ranked
            })
        })
        .collect();
    json!({"content": entries, "refusal": null})
}

fn first_logprob(token: &str) -> f64 {
    -(Dice::new(token, 1).share() * 1e4).round() / 1e5
}

/// The token itself, and invented others, each less likely than the one before.
fn ranking(token: &str, alternatives: usize) -> Vec<(String, f64)> {
    let first = first_logprob(token);
    let name = |place: usize| if place == 0 { token.to_owned() } else { format!("{token}~{place}") };
    (0..alternatives.min(20)).map(|place| (name(place), first - 2.5 * place as f64)).collect()
}

pub fn completion_body(answer: &Answer, logprobs: Logprobs) -> Bytes {
    let choices: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let text = choice.content.as_deref().unwrap_or("");
            json!({
                "text": text, "index": index, "logprobs": completion_logprobs(text, 0, logprobs),
                "finish_reason": choice.finish
            })
        })
        .collect();
    let body = json!({
        "id": format!("cmpl-{}", answer.id), "object": "text_completion", "created": answer.created,
        "model": answer.model, "choices": choices, "usage": answer.usage.json(), "system_fingerprint": FINGERPRINT
    });
    Bytes::from(body.to_string())
}

pub fn completion_events(answer: &Answer, logprobs: Logprobs, include_usage: bool) -> Vec<Bytes> {
    let head = json!({
        "id": format!("cmpl-{}", answer.id), "object": "text_completion", "created": answer.created,
        "model": answer.model, "system_fingerprint": FINGERPRINT
    })
    .to_string();
    let head = format!("data: {},\"choices\":", head.trim_end_matches('}'));
    let tail = if include_usage { ",\"usage\":null}\n\n" } else { "}\n\n" };
    let mut out = Events::new(64);
    for (index, choice) in answer.choices.iter().enumerate() {
        let mut offset = 0;
        for token in tokens::split(choice.content.as_deref().unwrap_or("")) {
            let told = completion_logprobs(token, offset, logprobs);
            let piece = json!([{"text": token, "index": index, "logprobs": told, "finish_reason": null}]);
            out.push(&[&head, &piece.to_string(), tail]);
            offset += token.chars().count();
        }
        let last = json!([{"text": "", "index": index, "logprobs": null, "finish_reason": choice.finish}]);
        out.push(&[&head, &last.to_string(), tail]);
    }
    if include_usage {
        out.push(&[&head, "[],\"usage\":", &answer.usage.json().to_string(), "}\n\n"]);
    }
    out.finish()
}

/// The completions API's form: parallel lists. `offset` is where `text` starts, in characters.
fn completion_logprobs(text: &str, mut offset: usize, logprobs: Logprobs) -> Value {
    let Some(alternatives) = logprobs else { return Value::Null };
    let pieces: Vec<&str> = tokens::split(text).collect();
    let offsets: Vec<usize> = pieces
        .iter()
        .map(|token| {
            let start = offset;
            offset += token.chars().count();
            start
        })
        .collect();
    let top: Vec<Value> = pieces
        .iter()
        .map(|token| {
            ranking(token, alternatives).into_iter().map(|(other, logprob)| (other, json!(logprob))).collect()
        })
        .collect();
    json!({
        "tokens": pieces, "token_logprobs": pieces.iter().map(|token| first_logprob(token)).collect::<Vec<_>>(),
        "top_logprobs": top, "text_offset": offsets
    })
}

/// The events of one stream, in one allocation.
struct Events {
    buffer: BytesMut,
    events: Vec<Bytes>,
}

impl Events {
    fn new(count: usize) -> Events {
        Events { buffer: BytesMut::with_capacity(count * EVENT_BYTES), events: Vec::with_capacity(count) }
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.buffer.put_slice(part.as_bytes());
        }
        self.events.push(self.buffer.split().freeze());
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.events.push(Bytes::from_static(DONE));
        self.events
    }
}
