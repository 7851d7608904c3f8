//! Questions and answers that somebody brings along, as `/api/warm` takes them.

use super::api::invalid;
use crate::base::fault::Fault;
use crate::gateway::warm::{Brought, Given};
use axum::body::Bytes;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What `/api/warm` takes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warming {
    /// Sent with every item, the credential among them.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The model of items that are only a question.
    pub model: Option<String>,
    /// The system prompt of such items.
    pub system: Option<String>,
    pub items: Vec<Item>,
}

/// A question, or a whole request; and its answer.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Box<RawValue>>,
    /// A text, or a body of the dialect.
    answer: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Each as the header of its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

impl Item {
    /// One line of a file.
    ///
    /// # Errors
    /// Why it is none, with the column, in a sentence.
    pub fn read(line: &str) -> Result<Item, String> {
        serde_json::from_str(line).map_err(|error| {
            let (text, column) = (error.to_string(), error.column());
            let why = text.strip_suffix(&format!(" at line {} column {column}", error.line()));
            match column {
                0 => format!("this cannot be understood: {}", why.unwrap_or(&text)),
                _ => format!("this cannot be understood: {}, at column {column}", why.unwrap_or(&text)),
            }
        })
    }
}

impl Warming {
    /// Each item as a request and its answer, or why it is none.
    pub fn brought(self) -> impl Iterator<Item = Result<Brought, Fault>> {
        let Warming { headers, model, system, items } = self;
        items.into_iter().map(move |item| brought(item, &headers, model.as_deref(), system.as_deref()))
    }
}

fn brought(
    item: Item,
    shared: &BTreeMap<String, String>,
    model: Option<&str>,
    system: Option<&str>,
) -> Result<Brought, Fault> {
    let Item { question, request, answer, path, ttl, namespace, tags } = item;
    let request = match (question, request) {
        (Some(question), None) => {
            let model = model.ok_or_else(|| invalid("a `question` alone needs a `model`; give one"))?;
            let user = json!({"role": "user", "content": question});
            let messages = match system {
                Some(system) => json!([{"role": "system", "content": system}, user]),
                None => json!([user]),
            };
            json!({"model": model, "messages": messages}).to_string()
        }
        (None, Some(request)) => String::from(Box::<str>::from(request)),
        _ => return Err(invalid("expected one of `question` and `request`")),
    };
    let answer = match serde_json::from_str::<String>(answer.get()) {
        Ok(text) => Given::Text(text),
        Err(_) => Given::Body(Bytes::from(String::from(Box::<str>::from(answer)))),
    };
    let path = path.unwrap_or_else(|| "/v1/chat/completions".to_owned());
    let target: PathAndQuery = path.parse().map_err(|_| invalid(format!("`path` is {path:?}")))?;
    let mut headers = HeaderMap::new();
    let own = [
        ("x-reprise-ttl", ttl.map(|ttl| ttl.to_string())),
        ("x-reprise-namespace", namespace),
        ("x-reprise-tags", (!tags.is_empty()).then(|| tag_list(&tags))),
    ];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    for (name, value) in shared.iter().map(|(name, value)| (name.clone(), value.clone())).chain(own) {
        let wrong = || invalid(format!("{name:?} is no header that HTTP allows, or its value is none"));
        let value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    Ok(Brought { target, headers, request: Bytes::from(request), answer })
}

fn tag_list(tags: &BTreeMap<String, String>) -> String {
    let each: Vec<String> = tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    each.join(",")
}
