//! What goes over the wire, read, written and turned into its other forms.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a scene that cannot be set fails"
)]

mod embeddings;
mod forms;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use reprise::wire::Dialect;
use reprise::wire::answer::{Finish, Outline, Step, StreamReader, outline_of_body};
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
    let cases: [(&str, Vec<Event>); 12] = [
        ("data: a\r\ndata: b\rdata: c\r\n\r\n", vec![event("", "a\nb\nc", None)]),
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
fn half_a_byte_order_mark_belongs_to_its_line() {
    assert_eq!(decode(&[b"\xEF\xBBdata: 1\n\ndata: 2\n\n"]), [Event::of_data("2")]);
    assert_eq!(decode(&[b"\xEF", b"\xBB", b"data: 1\n\n"]), []);
    assert_eq!(decode(&[b"\xEF", b"\xBB", b"\xBFdata: 1\n\n"]), [Event::of_data("1")]);
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
