//! When the stand-in calls a tool, and with what.
//!
//! It calls one when tools are offered, `tool_choice` is not `none`, the last message is not a tool's
//! result, and either `tool_choice` demands it or the question has a word of the tool's name
//! (`get_weather` is called for "weather in Paris?"). Arguments follow from the tool's schema and the question.

use super::ask::{ChatAsk, Function};
use serde_json::{Map, Value, json};

/// Words of a tool's name that say nothing about its subject.
const VERBS: [&str; 12] =
    ["get", "set", "find", "list", "make", "create", "update", "fetch", "show", "run", "the", "for"];
/// How deep a schema is followed.
const DEPTH: usize = 6;

#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    pub name: String,
    /// JSON, as text, as the API has it.
    pub arguments: String,
}

/// The calls that answer `ask`; none where it is answered in words.
pub fn calls(ask: &ChatAsk) -> Vec<ToolCall> {
    let offered: Vec<&Function> =
        ask.tools.iter().flatten().filter_map(|tool| tool.function.as_ref()).collect();
    if offered.is_empty() || ask.messages.last().is_some_and(|last| last.role == "tool") {
        return Vec::new();
    }
    let question = ask.question();
    let mut called: Vec<&Function> = match &ask.tool_choice {
        Some(Value::String(word)) if word == "none" => Vec::new(),
        Some(Value::Object(choice)) => {
            let name =
                choice.get("function").and_then(|function| function.get("name")).and_then(Value::as_str);
            offered.into_iter().filter(|tool| Some(tool.name.as_str()) == name).collect()
        }
        choice => {
            let matching: Vec<&Function> =
                offered.iter().copied().filter(|tool| is_named(tool, &question)).collect();
            let required = choice.as_ref().and_then(Value::as_str) == Some("required");
            if matching.is_empty() && required { offered.into_iter().take(1).collect() } else { matching }
        }
    };
    if ask.parallel_tool_calls == Some(false) {
        called.truncate(1);
    }
    called.into_iter().map(|tool| call(tool, &question)).collect()
}

fn is_named(tool: &Function, question: &str) -> bool {
    let question = question.to_lowercase();
    let mut words = question.split(|c: char| !c.is_alphanumeric());
    let name: Vec<String> = tool
        .name
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| word.len() > 2 && !VERBS.contains(&word.as_str()))
        .collect();
    words.any(|word| name.iter().any(|part| part == word))
}

fn call(tool: &Function, question: &str) -> ToolCall {
    let arguments = match &tool.parameters {
        Some(schema) => filled(schema, question, DEPTH),
        None => Value::Object(Map::new()),
    };
    ToolCall { name: tool.name.clone(), arguments: arguments.to_string() }
}

/// A value that `schema` allows, made from `question`: its first number for numbers, itself for strings.
pub fn filled(schema: &Value, question: &str, depth: usize) -> Value {
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|list| list.first()) {
        return first.clone();
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or("string"),
        _ if schema.get("properties").is_some() => "object",
        _ => "string",
    };
    match kind {
        "object" if depth > 0 => {
            let fields = schema.get("properties").and_then(Value::as_object);
            let filled_fields = fields
                .into_iter()
                .flatten()
                .map(|(name, field)| (name.clone(), filled(field, question, depth - 1)));
            Value::Object(filled_fields.collect())
        }
        "object" => json!({}),
        "array" => match schema.get("items") {
            Some(item) if depth > 0 => json!([filled(item, question, depth - 1)]),
            _ => json!([]),
        },
        "integer" | "number" => json!(first_number(question)),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!(question),
    }
}

fn first_number(question: &str) -> u64 {
    let digits = question.split(|c: char| !c.is_ascii_digit()).find(|run| !run.is_empty());
    digits.and_then(|run| run.parse().ok()).unwrap_or(1)
}
