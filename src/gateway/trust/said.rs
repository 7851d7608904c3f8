//! What an answer says, whatever the form it was recorded in.

use crate::tape::Tape;
use crate::wire::Dialect;
use crate::wire::request::Form;
use serde_json::Value;

/// One answer's words, and everything else in it that a client acts on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    pub text: String,
    /// Tool calls and the like, without the ids that every answer makes anew.
    pub acts: Vec<Value>,
}

impl Said {
    /// `None` for a recording that cannot be played as a body, which no recorded answer should be.
    pub fn of(tape: &Tape) -> Option<Said> {
        let playback = tape.play(Form { stream: false, include_usage: false }).ok()?;
        let body: Value = serde_json::from_slice(&playback.parts.concat()).ok()?;
        let mut said = Said::default();
        for choice in body.get("choices")?.as_array()? {
            match tape.dialect {
                Dialect::Completions => said.add(choice.get("text")?),
                _ => said.add_message(choice.get("message")?),
            }
        }
        Some(said)
    }

    fn add_message(&mut self, message: &Value) {
        for part in ["content", "refusal"] {
            self.add(&message[part]);
        }
        for calls in ["tool_calls", "function_call"] {
            if let Some(acts) = message.get(calls).filter(|acts| !acts.is_null()) {
                self.acts.push(without_ids(acts));
            }
        }
    }

    /// Text, or a list of parts with text.
    fn add(&mut self, content: &Value) {
        let parts = content.as_array().map_or(std::slice::from_ref(content), Vec::as_slice);
        for part in parts {
            if let Some(text) = part.as_str().or_else(|| part.get("text")?.as_str()) {
                if !self.text.is_empty() {
                    self.text.push('\n');
                }
                self.text.push_str(text);
            }
        }
    }

    /// Whether the two say the same, white space aside.
    pub fn equals(&self, other: &Said) -> bool {
        self.acts == other.acts && self.text.split_whitespace().eq(other.text.split_whitespace())
    }
}

fn without_ids(acts: &Value) -> Value {
    match acts {
        Value::Array(calls) => calls.iter().map(without_ids).collect(),
        Value::Object(call) => {
            call.iter().filter(|(name, _)| *name != "id").map(|(n, v)| (n.clone(), v.clone())).collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::answer::{Outline, outline_of_body};
    use bytes::Bytes;
    use serde_json::json;

    fn said(message: Value) -> Said {
        let body = json!({ "choices": [{ "index": 0, "message": message, "finish_reason": "stop" }] });
        let body = Bytes::from(body.to_string());
        let outline = outline_of_body(Dialect::ChatCompletions, &body).unwrap();
        Said::of(&Tape::of_body(Dialect::ChatCompletions, body, outline)).unwrap()
    }

    #[test]
    fn white_space_and_made_up_ids_make_no_other_answer() {
        let plain = said(json!({ "content": "Paris is  the capital.\n" }));
        assert!(plain.equals(&said(json!({ "content": "Paris is the\ncapital." }))));
        assert!(
            plain.equals(&said(json!({ "content": [{ "type": "text", "text": "Paris is the capital." }] })))
        );
        assert!(!plain.equals(&said(json!({ "content": "Paris is a capital." }))));
        let call = |id: &str, city: &str| {
            said(json!({ "content": null, "tool_calls": [
                { "id": id, "type": "function", "function": { "name": "w", "arguments": city } }] }))
        };
        assert!(call("a", "Paris").equals(&call("b", "Paris")));
        assert!(!call("a", "Paris").equals(&call("a", "Rome")));
    }

    #[test]
    fn a_stream_says_what_its_body_says() {
        let chunk = |delta: Value, finish: Value| {
            let chunk = json!({ "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                                "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
            Bytes::from(chunk.to_string())
        };
        let events = vec![
            chunk(json!({ "role": "assistant", "content": "Paris is " }), Value::Null),
            chunk(json!({ "content": "the capital." }), Value::Null),
            chunk(json!({}), json!("stop")),
            Bytes::from_static(b"[DONE]"),
        ];
        let tape = Tape::of_events(Dialect::ChatCompletions, events, Outline::default());
        assert!(Said::of(&tape).unwrap().equals(&said(json!({ "content": "Paris is the capital." }))));
    }
}
