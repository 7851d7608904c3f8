//! Files in, rows out; a bad line is an error with its number.

use super::EvalError;
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Two texts, and whether one answer serves both.
#[derive(Debug)]
pub struct Pair {
    pub a: String,
    pub b: String,
    pub same: bool,
}

/// One request of a stream or a log.
#[derive(Debug)]
pub struct Row {
    /// The body of a chat completion.
    pub body: Vec<u8>,
    /// Streams only: requests of one class may share one answer.
    pub class: Option<String>,
    /// Logs only: the text that was answered.
    pub response: Option<String>,
    /// The line it stands on, from 1.
    pub line: usize,
}

#[derive(Deserialize)]
struct PairLine {
    a: String,
    b: String,
    label: u8,
}

#[derive(Deserialize)]
struct StreamLine {
    id: Option<i64>,
    prompt: String,
    class: String,
}

pub fn pairs(path: &Path) -> Result<Vec<Pair>, EvalError> {
    let expected = r#"{"a": text, "b": text, "label": 0 or 1}"#;
    each(path, |line, _| {
        let PairLine { a, b, label } =
            serde_json::from_str(line).map_err(|wrong| reason(&wrong, expected))?;
        match label {
            0 | 1 => Ok(Pair { a, b, same: label == 1 }),
            _ => Err(format!("label {label} is neither 0 nor 1; expected {expected}")),
        }
    })
}

/// In order of `id` where every line has one, else of the file.
pub fn stream(path: &Path) -> Result<Vec<Row>, EvalError> {
    let expected = r#"{"prompt": text, "class": text}"#;
    let mut rows = each(path, |line, number| {
        let StreamLine { id, prompt, class } =
            serde_json::from_str(line).map_err(|wrong| reason(&wrong, expected))?;
        Ok((id, Row { body: body_of(&prompt), class: Some(class), response: None, line: number }))
    })?;
    if rows.iter().all(|(id, _)| id.is_some()) {
        rows.sort_by_key(|(id, _)| *id);
    }
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

pub fn log(path: &Path) -> Result<Vec<Row>, EvalError> {
    let expected = r#"{"prompt": text} or a chat completion body, either with "response" or without"#;
    each(path, |line, number| {
        let parsed: Value = serde_json::from_str(line).map_err(|wrong| reason(&wrong, expected))?;
        let Value::Object(mut fields) = parsed else { return Err(format!("no object; expected {expected}")) };
        let response = fields.remove("response").as_ref().and_then(text_of_response);
        let body = match (fields.get("prompt"), fields.contains_key("messages")) {
            (Some(Value::String(prompt)), false) => body_of(prompt),
            (_, true) => Value::Object(fields).to_string().into_bytes(),
            _ => return Err(format!("neither a prompt nor messages; expected {expected}")),
        };
        Ok(Row { body, class: None, response, line: number })
    })
}

/// The request that asks for nothing but `prompt`.
pub fn body_of(prompt: &str) -> Vec<u8> {
    let message = serde_json::json!({ "role": "user", "content": prompt });
    serde_json::json!({ "model": "eval", "messages": [message] }).to_string().into_bytes()
}

/// A text as it is, or the first choice of a recorded chat completion.
fn text_of_response(response: &Value) -> Option<String> {
    let content = response.pointer("/choices/0/message/content").unwrap_or(response);
    content.as_str().map(str::to_owned)
}

fn each<T>(path: &Path, mut read: impl FnMut(&str, usize) -> Result<T, String>) -> Result<Vec<T>, EvalError> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|wrong| EvalError::Input(format!("{name}: {wrong}")))?;
    let text = String::from_utf8(bytes).map_err(|wrong| {
        let line =
            wrong.as_bytes()[..wrong.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        EvalError::Input(format!("{name}:{line}: not UTF-8; save it as UTF-8"))
    })?;
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line_number = at + 1;
        rows.push(
            read(line, line_number)
                .map_err(|what| EvalError::Input(format!("{name}:{line_number}: {what}")))?,
        );
    }
    match rows.is_empty() {
        true => Err(EvalError::Input(format!("{name}: no line; expected JSON lines"))),
        false => Ok(rows),
    }
}

/// serde's reason, less the place, which names a line of the one line it saw.
fn reason(wrong: &serde_json::Error, expected: &str) -> String {
    let text = wrong.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    format!("{text}; expected {expected}")
}
