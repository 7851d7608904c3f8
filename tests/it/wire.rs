//! What goes over the wire, read, written and turned into its other forms.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use reprise::wire::Dialect;
use reprise::wire::answer::{Finish, Outline, Step, StreamReader, outline_of_body};
use reprise::wire::convert::{coalesce, fold, is_usage_chunk, split};
use reprise::wire::embeddings::{Input, apportion, inputs, merge, read_answer, rewrite};
use reprise::wire::request::{Request, read};
use reprise::wire::sse::{Decoder, Event, TooBig, encode};
use reprise::wire::usage::Usage;
use serde_json::{Value, json};

const CHAT: Dialect = Dialect::ChatCompletions;

fn decode(pieces: &[&[u8]]) -> Vec<Event> {
    let mut decoder = Decoder::new(1 << 20);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.decode(Bytes::copy_from_slice(piece), &mut events).unwrap();
    }
    events
}

fn data_of(text: &str) -> Vec<Bytes> {
    decode(&[text.as_bytes()]).into_iter().map(|event| event.data).collect()
}

fn tree(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

fn outline(dialect: Dialect, events: &[Bytes]) -> Outline {
    let mut reader = StreamReader::new(dialect);
    for event in events {
        reader.event(&Event::of_data(event.clone()));
    }
    reader.outline()
}

// ---- server-sent events

#[test]
fn an_event_stream_is_read_as_the_standard_says() {
    let event = |name: &'static str, data: &'static str, id: Option<&'static str>| Event {
        name: Bytes::from_static(name.as_bytes()),
        data: Bytes::from_static(data.as_bytes()),
        id: id.map(|id| Bytes::from_static(id.as_bytes())),
    };
    // The standard's own examples, and its corners.
    let cases: [(&str, Vec<Event>); 11] = [
        ("data: YHOO\ndata: +2\ndata: 10\n\n", vec![event("", "YHOO\n+2\n10", None)]),
        (
            ": a comment\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            vec![
                event("", "first event", Some("1")),
                event("", "second event", Some("")),
                event("", " third event", None),
            ],
        ),
        ("data\n\ndata\ndata\n\ndata:", vec![event("", "", None), event("", "\n", None)]),
        ("data:test\n\ndata: test\n\n", vec![event("", "test", None), event("", "test", None)]),
        ("event: ping\n\ndata: 1\n\n", vec![event("", "1", None)]),
        ("event: error\ndata: 1\n\ndata: 2\n\n", vec![event("error", "1", None), event("", "2", None)]),
        (
            "\u{feff}data: 1\r\n\r\ndata: 2\r\rdata: 3\n\n",
            vec![event("", "1", None), event("", "2", None), event("", "3", None)],
        ),
        ("\u{feff}\u{feff}data: 1\n\n", vec![]),
        ("id: a\0b\ndata: 1\n\n", vec![event("", "1", None)]),
        ("retry: 10\nfoo: bar\ndatas: 1\n Data: 1\n\n", vec![]),
        ("data: cut", vec![]),
    ];
    for (text, events) in cases {
        assert_eq!(decode(&[text.as_bytes()]), events, "{text:?}");
    }
}

#[test]
fn a_stream_that_is_cut_is_unfinished() {
    for (text, unfinished) in
        [("data: 1\n\n", false), ("data: 1\n", true), ("data: 1\n\nda", true), ("", false)]
    {
        let mut decoder = Decoder::new(100);
        decoder.decode(Bytes::from(text), &mut Vec::new()).unwrap();
        assert_eq!(decoder.is_unfinished(), unfinished, "{text:?}");
    }
}

#[test]
fn an_event_over_the_cap_is_refused_however_it_comes() {
    let line = "data: 0123456789\n".repeat(20);
    for step in [1, 7, 1_000] {
        let mut decoder = Decoder::new(100);
        let mut events = Vec::new();
        let text = format!("data: fits\n\n{line}");
        let refused = text
            .as_bytes()
            .chunks(step)
            .find_map(|chunk| decoder.decode(Bytes::copy_from_slice(chunk), &mut events).err());
        assert_eq!(refused, Some(TooBig { cap: 100 }));
        assert_eq!(events, [Event::of_data("fits")]);
        assert!(decoder.decode(Bytes::from_static(b"\n\n"), &mut events).is_err(), "it stays too big");
    }
    let endless = Bytes::from(vec![b'x'; 101]);
    assert!(Decoder::new(100).decode(endless, &mut Vec::new()).is_err());
}

#[test]
fn an_event_in_one_piece_is_not_copied() {
    let chunk = Bytes::from_static(b"data: hello\n\n");
    let mut events = Vec::new();
    Decoder::new(100).decode(chunk.clone(), &mut events).unwrap();
    assert_eq!(events[0].data.as_ptr(), chunk[6..].as_ptr());
}

fn stream_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("data: a"),
        Just("data"),
        Just("event: e"),
        Just("id: 7"),
        Just(":"),
        Just("\n"),
        Just("\r"),
        Just("\r\n"),
        Just("\n\n"),
        Just("\r\n\r\n"),
        Just("\u{feff}"),
        Just(" 한글 "),
        Just("data:x\n\n"),
        Just("\u{fffe}"),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn events_are_the_same_however_the_bytes_are_split(
        text in stream_text(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = decode(&[&text]);
        let single: Vec<&[u8]> = text.chunks(1).collect();
        prop_assert_eq!(&decode(&single), &whole);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        at.sort_unstable();
        at.push(text.len());
        let mut start = 0;
        let pieces: Vec<&[u8]> = at.iter().map(|end| { let piece = &text[start..*end]; start = *end; piece }).collect();
        prop_assert_eq!(decode(&pieces), whole);
    }

    #[test]
    fn what_is_written_reads_back(name in "[a-z]{0,5}", data in "[ -~\n가-힣]{0,40}", id in prop::option::of("[ -~]{0,5}")) {
        let event = Event { name: name.into(), data: data.into(), id: id.map(Bytes::from) };
        let mut out = BytesMut::new();
        encode(&event, &mut out);
        prop_assert_eq!(decode(&[&out]), vec![event]);
    }
}

// ---- outlines

#[test]
fn a_stream_is_terminal_only_when_all_its_choices_ended_and_done_came() {
    let chunk = |index: u64, reason: Value| {
        Bytes::from(
            json!({"model": "m", "choices": [{"index": index, "delta": {}, "finish_reason": reason}]})
                .to_string(),
        )
    };
    let done = Bytes::from_static(b"[DONE]");
    let (open, stop) = (chunk(0, Value::Null), chunk(0, "stop".into()));
    let terminal = |events: &[&Bytes]| {
        outline(CHAT, &events.iter().map(|event| (*event).clone()).collect::<Vec<_>>()).terminal
    };
    assert!(terminal(&[&open, &stop, &done]));
    assert!(!terminal(&[&open, &stop]));
    assert!(!terminal(&[&open, &done]));
    assert!(!terminal(&[&done]));
    assert!(!terminal(&[&open, &chunk(1, Value::Null), &stop, &done]), "the second choice never ended");
    assert!(terminal(&[&chunk(1, "length".into()), &stop, &open, &done]));
    let ended = outline(CHAT, &[chunk(1, "length".into()), stop, done]);
    assert_eq!(ended.finish, [Finish::Stop, Finish::Length]);
    assert_eq!(ended.model.as_deref(), Some("m"));
}

#[test]
fn an_error_inside_a_stream_is_seen() {
    let step = |event: Event| {
        let mut reader = StreamReader::new(CHAT);
        let step = reader.event(&event);
        (step, reader.outline().error)
    };
    assert_eq!(step(Event::of_data(r#"{"error":{"message":"overloaded"}}"#)), (Step::Error, true));
    assert_eq!(step(Event { name: "error".into(), ..Event::of_data("{}") }), (Step::Error, true));
    assert_eq!(step(Event::of_data("<html>")), (Step::Strange, true));
    assert_eq!(step(Event::of_data("{}")), (Step::Strange, true));
    assert_eq!(step(Event::of_data(r#"{"choices":[],"error":null}"#)), (Step::Chunk, false));
    let mut reader = StreamReader::new(CHAT);
    assert_eq!(reader.event(&Event::of_data("[DONE]")), Step::Done);
    assert_eq!(reader.event(&Event::of_data(r#"{"choices":[]}"#)), Step::Strange, "after the end");
}

#[test]
fn a_body_is_an_answer_or_it_is_not() {
    let whole = json!({"model": "m", "choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
    let read = outline_of_body(CHAT, whole.to_string().as_bytes()).unwrap();
    assert_eq!(read.usage, Some(Usage { prompt: 3, completion: 2, ..Usage::default() }));
    assert!(read.terminal && !read.error && read.finish == [Finish::Stop]);
    let error = outline_of_body(CHAT, br#"{"error":{"message":"no"}}"#).unwrap();
    assert!(error.error && !error.terminal);
    let text = whole.to_string();
    let bad = [
        "<html><body>Bad gateway</body></html>",
        &text[..text.len() - 1],
        "[]",
        "null",
        "{}",
        r#"{"choices":[]}"#,
        r#"{"choices":[{"message":{"content":"x"}}]}"#,
        r#"{"choices":[{"message":{"content":"x"},"finish_reason":null}]}"#,
        r#"{"choices":[{"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"text":"x","finish_reason":"stop"}]}"#,
    ];
    for body in bad {
        assert!(outline_of_body(CHAT, body.as_bytes()).is_err(), "{body}");
    }
    assert!(outline_of_body(Dialect::Embeddings, br#"{"data":[]}"#).unwrap().terminal);
    assert!(outline_of_body(Dialect::Messages, text.as_bytes()).is_err());
}

// ---- forms

/// Streams as providers send them: folded, split again and coalesced, each against its golden file.
#[test]
fn the_shapes_on_the_wire_are_the_golden_ones() {
    let streams = [
        ("chat_plain", CHAT, include_str!("golden/chat_plain.sse")),
        ("chat_tools", CHAT, include_str!("golden/chat_tools.sse")),
        ("chat_refusal", CHAT, include_str!("golden/chat_refusal.sse")),
        ("chat_reasoning", CHAT, include_str!("golden/chat_reasoning.sse")),
        ("chat_logprobs", CHAT, include_str!("golden/chat_logprobs.sse")),
        ("chat_two_choices", CHAT, include_str!("golden/chat_two_choices.sse")),
        ("completions", Dialect::Completions, include_str!("golden/completions.sse")),
    ];
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("golden");
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
    json!({"content": items.collect::<Vec<_>>(), "refusal": null})
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

// ---- embeddings

fn embedding(body: &str) -> reprise::wire::request::EmbeddingRequest {
    match read(Dialect::Embeddings, body.as_bytes()).unwrap() {
        Request::Embedding(request) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_is_asked_for_in_part_with_all_else_as_it_was() {
    let raw = r#"{ "z":1.10, "input": ["a" , "b\u0041", "c"], "model":"e", "big":18446744073709551617 }"#;
    assert_eq!(inputs(&embedding(raw)), [Input::Text("a"), Input::Text("bA"), Input::Text("c")]);
    assert_eq!(
        rewrite(raw.as_bytes(), &[1, 2]).unwrap(),
        r#"{"z":1.10,"input":["b\u0041","c"],"model":"e","big":18446744073709551617}"#
    );
    assert!(rewrite(raw.as_bytes(), &[3]).is_err());
    for (input, count) in [("\"a\"", 1), ("[1,2]", 1), ("[[1,2],[3]]", 2), ("[]", 0)] {
        let raw = format!(r#"{{"model":"e","input":{input}}}"#);
        assert_eq!(inputs(&embedding(&raw)).len(), count, "{input}");
        assert_eq!(rewrite(raw.as_bytes(), &[0]).is_ok(), count > 0, "{input}");
    }
    assert_eq!(rewrite(br#"{"model":"e","input":[1,2]}"#, &[0]).unwrap(), r#"{"model":"e","input":[[1,2]]}"#);
}

#[test]
fn an_answer_is_taken_apart_and_put_together_digit_for_digit() {
    let body = r#"{"object":"list","data":[{"object":"embedding","index":1,"embedding":"AACAPw=="},
        {"object":"embedding","index":0,"embedding":[0.10000000149011612,-2e-10]}],"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}"#;
    let answer = read_answer(body.as_bytes(), 2).unwrap();
    assert_eq!(answer.usage.map(|usage| usage.prompt), Some(7));
    let [first, second] = answer.items.as_slice() else { panic!("two items") };
    let merged = merge(&[second, first, second], &answer.frame, answer.usage);
    assert_eq!(
        merged,
        r#"{"object":"list","data":[{"object":"embedding","embedding":"AACAPw==","index":0},{"object":"embedding","embedding":[0.10000000149011612,-2e-10],"index":1},{"object":"embedding","embedding":"AACAPw==","index":2}],"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}"#
    );
    assert_eq!(read_answer(&merged, 3).unwrap().items[1], *first);
}

#[test]
fn an_answer_that_does_not_fit_its_batch_is_refused() {
    let item = |index: &str| format!(r#"{{"index":{index},"embedding":[1]}}"#);
    let body = |items: &[String]| format!(r#"{{"data":[{}]}}"#, items.join(","));
    assert!(read_answer(body(&[item("0"), item("1")]).as_bytes(), 2).is_ok());
    let bad = [
        body(&[item("0")]),
        body(&[item("0"), item("0")]),
        body(&[item("0"), item("2")]),
        body(&[item("0"), item("-1")]),
        body(&[item("0"), item("1"), item("1")]),
        body(&[item("0"), r#"{"index":1}"#.to_owned()]),
        body(&[item("0"), r#"{"embedding":[1]}"#.to_owned()]),
        r#"{"error":{"message":"x"},"data":[]}"#.to_owned(),
        r#"{"data":{}}"#.to_owned(),
        "<html>".to_owned(),
    ];
    for body in bad {
        assert!(read_answer(body.as_bytes(), 2).is_err(), "{body}");
    }
}

proptest! {
    #[test]
    fn shares_of_the_usage_sum_to_it(prompt in any::<u64>(), cached in 0..1_000u64, lengths in prop::collection::vec(0..5_000usize, 1..20)) {
        let usage = Usage { prompt, cached, ..Usage::default() };
        let shares = apportion(usage, &lengths);
        prop_assert_eq!(shares.iter().map(|share| u128::from(share.prompt)).sum::<u128>(), u128::from(prompt));
        prop_assert_eq!(shares.iter().map(|share| share.cached).sum::<u64>(), cached);
        let total: usize = lengths.iter().sum();
        for (share, length) in shares.iter().zip(&lengths).filter(|_| total > 0) {
            let exact = prompt as f64 * *length as f64 / total as f64;
            prop_assert!((share.prompt as f64 - exact).abs() <= 1.0 + exact * 1e-9);
        }
    }
}

#[test]
fn nothing_is_shared_out_over_no_inputs() {
    assert!(apportion(Usage { prompt: 5, ..Usage::default() }, &[]).is_empty());
}
