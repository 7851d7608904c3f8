//! Streams turned into bodies and back.

use super::{CHAT, data_of, outline, tree};
use bytes::Bytes;
use proptest::prelude::*;
use reprise::wire::Dialect;
use reprise::wire::answer::outline_of_body;
use reprise::wire::convert::{coalesce, fold, is_usage_chunk, split};
use serde_json::{Value, json};

/// Streams as providers send them: folded, split again and coalesced, each against its golden file.
#[test]
fn the_shapes_on_the_wire_are_the_golden_ones() {
    let streams = [
        ("chat_plain", CHAT, include_str!("../golden/chat_plain.sse")),
        ("chat_tools", CHAT, include_str!("../golden/chat_tools.sse")),
        ("chat_refusal", CHAT, include_str!("../golden/chat_refusal.sse")),
        ("chat_reasoning", CHAT, include_str!("../golden/chat_reasoning.sse")),
        ("chat_logprobs", CHAT, include_str!("../golden/chat_logprobs.sse")),
        ("chat_two_choices", CHAT, include_str!("../golden/chat_two_choices.sse")),
        ("completions", Dialect::Completions, include_str!("../golden/completions.sse")),
    ];
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    for (name, dialect, text) in streams {
        let events = data_of(text);
        let seen = outline(dialect, &events);
        assert!(seen.terminal && !seen.error, "{name}: {seen:?}");
        let body = fold(dialect, &events).unwrap();
        insta::assert_snapshot!(format!("{name}.body"), serde_json::to_string_pretty(&tree(&body)).unwrap());
        let again = split(dialect, &body, true).unwrap();
        insta::assert_snapshot!(format!("{name}.split"), lines(&again));
        assert_eq!(tree(&fold(dialect, &again).unwrap()), tree(&body), "{name}");
        let fewer = coalesce(dialect, events.clone());
        insta::assert_snapshot!(format!("{name}.coalesced"), lines(&fewer));
        assert_eq!(tree(&fold(dialect, &fewer).unwrap()), tree(&body), "{name}");
        let told = outline_of_body(dialect, &body).unwrap();
        assert_eq!((told.finish, told.usage, told.model), (seen.finish, seen.usage, seen.model), "{name}");
    }
}

fn lines(events: &[Bytes]) -> String {
    events.iter().map(|event| String::from_utf8_lossy(event)).collect::<Vec<_>>().join("\n")
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{1,30}", "[a-z 가-힣]{60,300}"]
}

fn unknown() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"a": [1, {"b": null}], "c": "x"})),
        Just(json!(["https://a", "https://b"])),
        Just(json!([{"type": "reasoning.text", "index": 0, "text": "t"}, {"index": 1, "format": "f"}])),
        any::<u64>().prop_map(Value::from),
        (-1e3..1e3f64).prop_map(Value::from),
    ]
}

fn logprobs_of(content: &str, whole: bool) -> Value {
    let symbols: Vec<char> = content.chars().collect();
    let mut tokens: Vec<String> = symbols.chunks(3).map(|token| token.iter().collect()).collect();
    if !whole {
        tokens.push("\\xec".to_owned());
    }
    let items = tokens
        .iter()
        .enumerate()
        .map(|(at, token)| json!({"token": token, "logprob": -0.1 / (at + 1) as f64}));
    let refusal = content.len().is_multiple_of(2).then(|| json!([{"token": "no", "logprob": -0.5}]));
    json!({"content": items.collect::<Vec<_>>(), "refusal": refusal})
}

fn chat_choice() -> impl Strategy<Value = Value> {
    let message = (
        prop::option::of(text()),
        prop::option::of(prop::option::of(text())),
        prop::option::of(text()),
        prop::option::of(prop::collection::vec((text(), "[a-z_]{1,9}"), 0..4)),
        prop::option::of((text(), "[a-z_]{1,9}")),
        prop::option::of(unknown()),
    );
    let beside = (prop::option::of(any::<bool>()), any::<bool>(), prop::option::of(unknown()));
    (message, beside).prop_map(|((content, refusal, reasoning, calls, function, extra), (logprobs, null, beside))| {
        let mut choice = json!({"message": {"role": "assistant", "content": content}, "finish_reason": "stop"});
        if let Some(whole) = logprobs {
            choice["logprobs"] = logprobs_of(content.as_deref().unwrap_or(""), whole);
        } else if null {
            choice["logprobs"] = Value::Null;
        }
        if let Some(beside) = beside {
            choice["content_filter_results"] = beside;
        }
        let message = &mut choice["message"];
        if let Some(refusal) = refusal {
            message["refusal"] = json!(refusal);
        }
        if let Some(reasoning) = reasoning {
            message["reasoning_content"] = reasoning.into();
        }
        if let Some(calls) = calls {
            let call = |(at, (arguments, name)): (usize, (String, String))| {
                json!({"id": format!("call_{at}"), "type": "function", "function": {"name": name, "arguments": arguments}})
            };
            message["tool_calls"] = calls.into_iter().enumerate().map(call).collect();
        }
        if let Some((arguments, name)) = function {
            message["function_call"] = json!({"name": name, "arguments": arguments});
        }
        if let Some(extra) = extra {
            message["reasoning_details"] = extra;
        }
        choice
    })
}

fn chat_body() -> impl Strategy<Value = Value> {
    (prop::collection::vec(chat_choice(), 1..4), any::<bool>(), prop::option::of(unknown())).prop_map(
        |(mut choices, print, extra)| {
            for (at, choice) in choices.iter_mut().enumerate() {
                choice["index"] = at.into();
            }
            let mut body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices,
                "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
            if print {
                body["system_fingerprint"] = Value::Null;
            }
            if let Some(extra) = extra {
                body["x_upstream"] = extra;
            }
            body
        },
    )
}

fn completion_body() -> impl Strategy<Value = Value> {
    prop::collection::vec((text(), any::<bool>()), 1..4).prop_map(|choices| {
        let choice = |(at, (text, logprobs)): (usize, (String, bool))| {
            let logprobs = logprobs.then(
                || json!({"tokens": ["a", "b"], "token_logprobs": [-0.1, null], "text_offset": [0, 1]}),
            );
            json!({"index": at, "text": text, "finish_reason": "length", "logprobs": logprobs})
        };
        json!({"id": "c", "object": "text_completion", "created": 1, "model": "m",
            "choices": choices.into_iter().enumerate().map(choice).collect::<Vec<_>>()})
    })
}

/// Events cut anew: each text of a delta handed out symbol by symbol, so that there is much to merge.
fn crumbled(events: &[Bytes]) -> Vec<Bytes> {
    let mut out = Vec::new();
    for event in events {
        let whole = serde_json::from_slice::<Value>(event).unwrap_or_default();
        let place = [
            "/choices/0/delta/content",
            "/choices/0/delta/reasoning_content",
            "/choices/0/delta/refusal",
            "/choices/0/delta/tool_calls/0/function/arguments",
            "/choices/0/text",
        ]
        .into_iter()
        .find(|place| whole.pointer(place).and_then(Value::as_str).is_some_and(|text| !text.is_empty()));
        let Some(place) = place else {
            out.push(event.clone());
            continue;
        };
        let text = whole.pointer(place).and_then(Value::as_str).unwrap().to_owned();
        let mut rest = whole;
        for (at, symbol) in text.chars().enumerate() {
            *rest.pointer_mut(place).unwrap() = symbol.to_string().into();
            rest["obfuscation"] = "p".repeat(at % 7).into();
            out.push(Bytes::from(rest.to_string()));
            if let Some(Value::Object(logprobs)) = rest.pointer_mut("/choices/0/logprobs") {
                logprobs.values_mut().filter(|value| value.is_array()).for_each(|value| *value = json!([]));
            }
        }
    }
    out
}

fn survives(dialect: Dialect, body: Value) -> Result<(), TestCaseError> {
    for include_usage in [true, false] {
        let events = split(dialect, body.to_string().as_bytes(), include_usage).unwrap();
        let mut wanted = body.clone();
        if !include_usage {
            wanted.as_object_mut().unwrap().remove("usage");
        }
        prop_assert_eq!(&tree(&fold(dialect, &events).unwrap()), &wanted);
        let seen = outline(dialect, &events);
        prop_assert!(seen.terminal && !seen.error);
        let has_usage = include_usage && body.get("usage").is_some();
        prop_assert_eq!(events.iter().filter(|event| is_usage_chunk(event)).count(), usize::from(has_usage));
        let crumbs = crumbled(&events);
        let fewer = coalesce(dialect, crumbs.clone());
        prop_assert!(fewer.len() <= events.len(), "{} of {}", fewer.len(), events.len());
        prop_assert_eq!(tree(&fold(dialect, &fewer).unwrap()), tree(&fold(dialect, &crumbs).unwrap()));
        prop_assert_eq!(&tree(&fold(dialect, &fewer).unwrap()), &wanted);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_chat_body_survives_its_stream(body in chat_body()) {
        survives(CHAT, body)?;
    }

    #[test]
    fn a_completion_body_survives_its_stream(body in completion_body()) {
        survives(Dialect::Completions, body)?;
    }

    #[test]
    fn no_events_make_folding_panic(events in prop::collection::vec("[\\[{]?\"?choices\"?:?[\\[{]{0,2}[}\\]]{0,3}", 0..4)) {
        let events: Vec<Bytes> = events.into_iter().map(Bytes::from).collect();
        let _ = fold(CHAT, &events);
        prop_assert_eq!(coalesce(CHAT, events.clone()), events);
    }
}

#[test]
fn pieces_end_inside_no_character_and_are_short() {
    let content = "가나다라마 ".repeat(60);
    let body = json!({"choices": [{"index": 0, "message": {"content": content}, "finish_reason": "stop"}]});
    for event in split(CHAT, body.to_string().as_bytes(), false).unwrap() {
        let said = serde_json::from_slice::<Value>(&event).unwrap_or_default();
        let piece = said.pointer("/choices/0/delta/content").and_then(Value::as_str).unwrap_or("");
        assert!(
            piece.chars().count() <= 80 && !said.as_object().is_some_and(|chunk| chunk.contains_key("usage"))
        );
    }
}

#[test]
fn what_coalescing_does_not_understand_keeps_its_bytes() {
    let chunk = |delta: &str, finish: &str| {
        format!(r#"{{ "choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}] }}"#)
    };
    let events: Vec<Bytes> = [
        chunk(r#"{"content":"a","x":1}"#, "null"),
        chunk(r#"{"content":"b","x":1}"#, "null"),
        chunk(r#"{"content":"a","reasoning":"b"}"#, "null"),
        chunk(r#"{"content":"a","reasoning":"b"}"#, "null"),
        chunk(r#"{"tool_calls":[{"id":"a","function":{"arguments":"x"}}]}"#, "null"),
        chunk(r#"{"tool_calls":[{"id":"a","function":{"arguments":"x"}}]}"#, "null"),
        chunk(r#"{"content":"single"}"#, "null"),
        chunk(r#"{"content":"a"}"#, "\"stop\""),
        "not json".to_owned(),
        "[DONE]".to_owned(),
    ]
    .map(Bytes::from)
    .to_vec();
    assert_eq!(coalesce(CHAT, events.clone()), events);
}

#[test]
fn what_is_no_stream_or_no_body_is_not_converted() {
    let events = |texts: &[&'static str]| {
        texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect::<Vec<_>>()
    };
    for texts in [
        &["[DONE]"][..],
        &["<html>"],
        &[r#"{"error":{"message":"x"}}"#],
        &[r#"{"choices":1}"#],
        &[r#"{"choices":[1]}"#],
    ] {
        assert!(fold(CHAT, &events(texts)).is_err(), "{texts:?}");
    }
    for body in ["", "[]", "{}", r#"{"choices":[]}"#, r#"{"choices":[1]}"#, r#"{"choices":[{"text":"x"}]}"#] {
        assert!(split(CHAT, body.as_bytes(), true).is_err(), "{body}");
    }
    assert!(fold(Dialect::Messages, &[]).is_err() && split(Dialect::Embeddings, b"{}", true).is_err());
}

#[test]
fn tool_calls_without_an_index_are_told_by_their_id() {
    let chunk = |calls: Value| {
        Bytes::from(json!({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}).to_string())
    };
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{"}});
    let more = json!([{"function": {"arguments": "}"}}]);
    let events = [chunk(json!([call("a")])), chunk(more.clone()), chunk(json!([call("b")])), chunk(more)];
    let body = tree(&fold(CHAT, &events).unwrap());
    let calls = body.pointer("/choices/0/message/tool_calls").unwrap().as_array().unwrap();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call["function"] == json!({"name": "f", "arguments": "{}"})));
}

#[test]
fn what_every_chunk_repeats_is_said_once() {
    let chunk =
        |delta: Value| Bytes::from(json!({"id": "c", "choices": [{"index": 0, "delta": delta}]}).to_string());
    let call = |arguments: &str| {
        json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "a", "type": "function",
            "function": {"name": "f", "arguments": arguments}}]})
    };
    let body = tree(&fold(CHAT, &[chunk(call("{")), chunk(call("}"))]).unwrap());
    assert_eq!(body["id"], "c");
    assert_eq!(
        body.pointer("/choices/0/message").unwrap(),
        &json!({"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function",
            "function": {"name": "f", "arguments": "{}"}}]})
    );
}

#[test]
fn reasoning_is_never_merged_into_content() {
    let chunk = |content: &str, reasoning: &str| {
        let delta = json!({"content": content, "reasoning": reasoning});
        Bytes::from(json!({"choices": [{"index": 0, "delta": delta}]}).to_string())
    };
    let events = vec![chunk("", "why"), chunk("because", ""), chunk("", "so")];
    assert_eq!(coalesce(CHAT, events.clone()), events);
}
