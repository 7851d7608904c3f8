//! Chunks -> body.
//!
//! Rules for what is not named: in a message, strings are joined, lists of indexed items are merged
//! by index, other lists are joined, objects are merged likewise, and of anything else the last value
//! stands; beside the messages the last value that is not null stands, objects merged member by
//! member.

use super::super::answer::DONE;
use super::super::{Dialect, tree};
use super::{Kind, Unconvertible, join_logprobs};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Strings that a chunk repeats rather than continues.
const WHOLE: [&str; 5] = ["id", "type", "role", "name", "format"];

/// Items of one list at most: a bound on the search by index. No model makes so many calls at once.
const MOST_ITEMS: usize = 1_024;

/// Folds the events of a whole stream into the body that the same request would have got without
/// `stream`. Fails on an event that is no chunk, on an error inside, and where no choice came.
pub fn fold(dialect: Dialect, events: &[Bytes]) -> Result<Bytes, Unconvertible> {
    let kind = Kind::of(dialect)?;
    let mut body = Map::new();
    let mut choices: BTreeMap<u64, Map<String, Value>> = BTreeMap::new();
    for event in events {
        if event.as_ref() == DONE {
            continue;
        }
        for (name, value) in chunk(event)? {
            match name.as_str() {
                "choices" => fold_choices(&mut choices, value)?,
                "object" | "obfuscation" => {}
                "usage" if value.is_null() => {}
                "id" | "created" | "model" => keep_first(&mut body, name, value),
                _ => keep_last(&mut body, name, value),
            }
        }
    }
    if choices.is_empty() {
        return Err(Unconvertible("no choice came".to_owned()));
    }
    let choices = choices.into_iter().map(|(index, choice)| finish(kind, index, choice)).collect();
    body.insert("choices".to_owned(), Value::Array(choices));
    let object = match kind {
        Kind::Chat => "chat.completion",
        Kind::Completion => "text_completion",
    };
    body.insert("object".to_owned(), Value::from(object));
    Ok(Bytes::from(Value::Object(body).to_string()))
}

fn chunk(event: &[u8]) -> Result<Map<String, Value>, Unconvertible> {
    match tree::parse(event) {
        Ok(Value::Object(chunk)) if chunk.get("error").is_none_or(Value::is_null) => Ok(chunk),
        Ok(Value::Object(_)) => Err(Unconvertible("there is an error inside".to_owned())),
        Ok(_) => Err(Unconvertible("an event is no object".to_owned())),
        Err(error) => Err(Unconvertible(format!("an event is not JSON: {error}"))),
    }
}

fn fold_choices(choices: &mut BTreeMap<u64, Map<String, Value>>, value: Value) -> Result<(), Unconvertible> {
    let Value::Array(items) = value else { return Err(Unconvertible("`choices` is no array".to_owned())) };
    for item in items {
        let Value::Object(choice) = item else {
            return Err(Unconvertible("a choice is no object".to_owned()));
        };
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
        fold_choice(choices.entry(index).or_default(), choice)?;
    }
    Ok(())
}

/// A choice in the making has its chunk's members, with `delta` holding the message so far.
fn fold_choice(into: &mut Map<String, Value>, choice: Map<String, Value>) -> Result<(), Unconvertible> {
    for (name, value) in choice {
        match (name.as_str(), value) {
            ("index", _) => {}
            ("delta" | "text", value) => accumulate(into, Map::from_iter([(name, value)]))?,
            ("logprobs", Value::Object(more)) => match into.get_mut("logprobs") {
                Some(Value::Object(sofar)) => join_logprobs(sofar, more),
                _ => {
                    into.insert(name, Value::Object(more));
                }
            },
            ("finish_reason", Value::String(word)) if word.is_empty() => {}
            (_, value) => keep_last(into, name, value),
        }
    }
    Ok(())
}

/// Adds one delta to what came before it.
fn accumulate(into: &mut Map<String, Value>, delta: Map<String, Value>) -> Result<(), Unconvertible> {
    for (name, value) in delta {
        match (into.get_mut(&name), value) {
            (Some(_), Value::Null) => {}
            (Some(Value::String(sofar)), Value::String(more)) => {
                if !WHOLE.contains(&name.as_str()) {
                    sofar.push_str(&more);
                } else if sofar.is_empty() {
                    *sofar = more;
                }
            }
            (Some(Value::Object(sofar)), Value::Object(more)) => accumulate(sofar, more)?,
            (Some(Value::Array(sofar)), Value::Array(more)) => join_list(&name, sofar, more)?,
            (_, Value::Array(more)) => {
                let mut list = Vec::new();
                join_list(&name, &mut list, more)?;
                into.insert(name, Value::Array(list));
            }
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
    Ok(())
}

/// An item with an index continues the one that has it. A tool call without one is new if it has an
/// id, and continues the last otherwise; other items without an index are new.
fn join_list(name: &str, list: &mut Vec<Value>, more: Vec<Value>) -> Result<(), Unconvertible> {
    for item in more {
        let index = item.get("index").and_then(Value::as_u64);
        let id = item.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
        let earlier = match index {
            Some(_) => {
                list.iter_mut().rev().find(|known| known.get("index").and_then(Value::as_u64) == index)
            }
            None if name == "tool_calls" && !id => list.last_mut(),
            None => None,
        };
        match (earlier, item) {
            (Some(Value::Object(known)), Value::Object(item)) => accumulate(known, item)?,
            (_, item) => list.push(item),
        }
        if index.is_some() && list.len() > MOST_ITEMS {
            return Err(Unconvertible(format!("`{name}` has more than {MOST_ITEMS} items")));
        }
    }
    Ok(())
}

/// The choice as a body has it.
fn finish(kind: Kind, index: u64, mut choice: Map<String, Value>) -> Value {
    choice.insert("index".to_owned(), Value::from(index));
    choice.entry("finish_reason").or_insert(Value::Null);
    match kind {
        Kind::Completion => {
            choice.entry("text").or_insert_with(|| Value::from(""));
        }
        Kind::Chat => {
            let mut message = match choice.remove("delta") {
                Some(Value::Object(message)) => message,
                _ => Map::new(),
            };
            message.entry("role").or_insert_with(|| Value::from("assistant"));
            message.entry("content").or_insert(Value::Null);
            if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
                calls.sort_by_key(|call| call.get("index").and_then(Value::as_u64));
                for call in calls.iter_mut().filter_map(Value::as_object_mut) {
                    call.remove("index");
                }
            }
            choice.insert("message".to_owned(), Value::Object(message));
        }
    }
    Value::Object(choice)
}

fn keep_first(into: &mut Map<String, Value>, name: String, value: Value) {
    let known = into.get(&name).is_some_and(|known| !known.is_null() && known != "");
    if !known {
        into.insert(name, value);
    }
}

fn keep_last(into: &mut Map<String, Value>, name: String, value: Value) {
    match (into.get_mut(&name), value) {
        (Some(_), Value::Null) => {}
        (Some(Value::Object(known)), Value::Object(more)) => {
            for (name, value) in more {
                keep_last(known, name, value);
            }
        }
        (_, value) => {
            into.insert(name, value);
        }
    }
}
