//! Keys under any edit.

use super::{around, keys};
use proptest::prelude::*;
use reprise::canon::canon;
use reprise::config::FuzzyPolicy;
use reprise::wire::Dialect;
use reprise::wire::request::read;
use serde_json::{Map, Value, json};

/// JSON text with keys in an order drawn from `shuffle`, and blanks between tokens.
fn scrambled(value: &Value, shuffle: &mut impl FnMut() -> usize, out: &mut String) {
    let blank = |shuffle: &mut dyn FnMut() -> usize| ["", " ", "\n", "\t", "\r\n  "][shuffle() % 5];
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            for at in (1..members.len()).rev() {
                members.swap(at, shuffle() % (at + 1));
            }
            out.push('{');
            for (at, (key, value)) in members.into_iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                out.push_str(blank(shuffle));
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(blank(shuffle));
                out.push(':');
                out.push_str(blank(shuffle));
                scrambled(value, shuffle, out);
            }
            out.push_str(blank(shuffle));
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                scrambled(item, shuffle, out);
                out.push_str(blank(shuffle));
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e6..1e6f64).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

fn content() -> impl Strategy<Value = Value> {
    prop_oneof![
        "\\PC{1,30}".prop_map(Value::from),
        prop::collection::vec("\\PC{1,10}", 1..4)
            .prop_map(|texts| texts.iter().map(|text| json!({"type": "text", "text": text})).collect()),
    ]
}

/// A chat request that ends in a user's question, with known and unknown fields.
fn chat_request() -> impl Strategy<Value = Map<String, Value>> {
    let role = prop_oneof![Just("system"), Just("user"), Just("assistant")];
    let earlier = prop::collection::vec((role, content()), 0..3);
    let fields = prop::collection::btree_map(
        prop_oneof![
            Just("temperature".to_owned()),
            Just("tools".to_owned()),
            Just("response_format".to_owned()),
            Just("max_tokens".to_owned()),
            "x[a-z]{1,6}"
        ],
        any_json(),
        0..5,
    );
    (earlier, content(), fields).prop_map(|(earlier, question, fields)| {
        let mut messages: Vec<Value> =
            earlier.into_iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
        messages.push(json!({"role": "user", "content": question}));
        let mut request = Map::from_iter(fields);
        request.insert("model".to_owned(), "m".into());
        request.insert("messages".to_owned(), messages.into());
        request
    })
}

fn neutral() -> impl Strategy<Value = (String, Value)> {
    prop_oneof![
        any::<bool>().prop_map(|on| ("stream".to_owned(), on.into())),
        (
            prop_oneof![
                Just("stream_options"),
                Just("user"),
                Just("safety_identifier"),
                Just("prompt_cache_key"),
                Just("metadata"),
                Just("store"),
                Just("service_tier")
            ],
            any_json()
        )
            .prop_map(|(name, value)| (name.to_owned(), value)),
    ]
}

/// Every place in a tree, as a JSON pointer.
fn places(value: &Value, here: String, out: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                places(value, format!("{here}/{}", key.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                places(item, format!("{here}/{at}"), out);
            }
        }
        _ => {}
    }
    out.push(here);
}

/// Whether two trees mean the same: numbers by value, as the key sees them.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

proptest! {
    #[test]
    fn key_order_white_space_and_neutral_fields_change_nothing(
        request in chat_request(),
        extra in prop::collection::vec(neutral(), 0..4),
        order in prop::collection::vec(any::<usize>(), 1..40),
    ) {
        let plain = Value::Object(request.clone()).to_string();
        let mut decorated = request;
        decorated.extend(extra);
        let mut draws = order.iter().cycle().copied();
        let mut text = String::new();
        scrambled(&Value::Object(decorated), &mut || draws.next().unwrap_or(0), &mut text);
        prop_assert_eq!(keys(&plain), keys(&text));
    }

    #[test]
    fn any_other_edit_changes_the_exact_key(
        request in chat_request(),
        at in any::<prop::sample::Index>(),
        new in any_json(),
        remove in any::<bool>(),
    ) {
        let before = Value::Object(request);
        let mut places_of = Vec::new();
        places(&before, String::new(), &mut places_of);
        let place = at.get(&places_of);
        let mut after = before.clone();
        let (parent, key) = place.rsplit_once('/').unwrap_or(("", ""));
        match (remove, after.pointer_mut(parent)) {
            (true, Some(Value::Object(members))) => {
                members.remove(&key.replace("~1", "/").replace("~0", "~"));
            }
            (true, Some(Value::Array(items))) if !items.is_empty() => {
                items.remove(key.parse::<usize>().unwrap_or(0));
            }
            _ => *after.pointer_mut(place).unwrap() = new,
        }
        let text = after.to_string();
        if let Ok(request) = read(Dialect::ChatCompletions, text.as_bytes()) {
            let policy = FuzzyPolicy::default();
            let edited = canon(&request, text.as_bytes(), &around(1, Dialect::ChatCompletions), Ok(&policy));
            prop_assert_eq!(edited.exact == keys(&before.to_string()).0, same(&before, &after));
        }
    }

    #[test]
    fn the_partition_changes_with_all_but_the_question(
        request in chat_request(),
        other in "\\PC{1,30}",
        name in "z[a-z]{1,6}",
    ) {
        let mut asked = request.clone();
        if let Some(last) = asked["messages"].as_array_mut().and_then(|messages| messages.last_mut()) {
            match &mut last["content"] {
                Value::Array(parts) => parts[0]["text"] = other.as_str().into(),
                text => *text = other.as_str().into(),
            }
        }
        let before = keys(&Value::Object(request.clone()).to_string());
        let after = keys(&Value::Object(asked.clone()).to_string());
        prop_assert_eq!(before.1, after.1);
        prop_assert_eq!(before.0 == after.0, request == asked);

        let mut context = request.clone();
        context.insert(name, Value::Null);
        prop_assert_ne!(before.1, keys(&Value::Object(context).to_string()).1);
        let mut last = request;
        last["messages"].as_array_mut().unwrap().last_mut().unwrap()["name"] = "n".into();
        prop_assert_ne!(before.1, keys(&Value::Object(last).to_string()).1);
    }

    #[test]
    fn scope_changes_every_key(request in chat_request(), one in any::<u8>(), other in any::<u8>()) {
        let body = Value::Object(request).to_string();
        let view = read(Dialect::ChatCompletions, body.as_bytes()).unwrap();
        let [one_, other_] = [one, other].map(|scope| {
            canon(&view, body.as_bytes(), &around(scope, Dialect::ChatCompletions), Ok(&FuzzyPolicy::default()))
        });
        prop_assert_eq!(one_.exact == other_.exact, one == other);
        prop_assert_eq!(one_.partition == other_.partition, one == other);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for dialect in [Dialect::ChatCompletions, Dialect::Completions, Dialect::Embeddings, Dialect::Messages] {
            let _ = read(dialect, &body);
        }
    }
}
