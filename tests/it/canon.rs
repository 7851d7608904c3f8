//! What must and what must not change a key, and which question is asked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a scene that cannot be set fails"
)]

mod properties;

use reprise::base::digest::{ExactKey, Partition, Scope};
use reprise::canon::{Bypass, Canon, Circumstances, canon, embedding_keys};
use reprise::config::FuzzyPolicy;
use reprise::wire::Dialect;
use reprise::wire::request::{Request, read};
use serde_json::{Value, json};

fn around(scope: u8, dialect: Dialect) -> Circumstances<'static> {
    let path_and_query = match dialect {
        Dialect::Completions => "/v1/completions",
        Dialect::Embeddings => "/v1/embeddings",
        _ => "/v1/chat/completions",
    };
    Circumstances { scope: Scope([scope; 32]), dialect, path_and_query, headers: &[] }
}

fn keyed(dialect: Dialect, body: &str) -> Canon {
    let request = read(dialect, body.as_bytes()).unwrap();
    canon(&request, body.as_bytes(), &around(1, dialect), Ok(&FuzzyPolicy::default()))
}

fn chat(body: &str) -> Canon {
    keyed(Dialect::ChatCompletions, body)
}

fn keys(body: &str) -> (ExactKey, Partition) {
    let canon = chat(body);
    (canon.exact, canon.partition)
}

fn question(body: Value) -> Result<String, Bypass> {
    chat(&body.to_string()).question.map(|question| question.0)
}

/// Bodies of which no two may share a key.
#[test]
fn near_twins_have_keys_of_their_own() {
    let with = |field: &str| {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi there"}}]{field}}}"#)
    };
    let bodies = [
        with(""),
        with(r#","seed":null"#),
        with(r#","seed":1"#),
        with(r#","seed":"1""#),
        with(r#","seed":[1]"#),
        with(r#","seed":9007199254740992"#),
        with(r#","seed":9007199254740993"#),
        with(r#","seed":9007199254740993.0"#),
        with(r#","seed":18446744073709551615"#),
        with(r#","seed":18446744073709551616"#),
        with(r#","seed":18446744073709551617"#),
        with(r#","x":{"seed":18446744073709551617}"#),
        with(r#","x":{"a":{"b":[null]}}"#),
        with(r#","x":{"a":{"b":[]}}"#),
        with(r#","x":"é""#),
        with(",\"x\":\"e\u{301}\""),
        with(r#","functions":[]"#),
        with(r#","tools":[]"#),
        r#"{"model":"m","messages":[{"role":"user","content":"Hi there"}]}"#.to_owned(),
        r#"{"model":"m","messages":[{"role":"user","content":"hi there "}]}"#.to_owned(),
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hi there"}]}]}"#.to_owned(),
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"text","text":"there"}]}]}"#.to_owned(),
        r#"{"model":"m","messages":[{"role":"user","content":"hi\nthere"}]}"#.to_owned(),
    ];
    for (at, one) in bodies.iter().enumerate() {
        for other in &bodies[at + 1..] {
            assert_ne!(keys(one).0, keys(other).0, "{one}\n{other}");
        }
    }
    assert_eq!(keys(&with(r#","seed":1"#)), keys(&with(r#","seed":1.0"#)));
    assert_eq!(keys(&with(r#","seed":1"#)), keys(&with(r#","seed":1e0"#)));
}

#[test]
fn path_headers_and_dialect_are_part_of_both_keys() {
    let body =
        br#"{"model":"m","prompt":"what is rust","messages":[{"role":"user","content":"what is rust"}]}"#;
    let policy = FuzzyPolicy::default();
    let view = read(Dialect::ChatCompletions, body).unwrap();
    let base = around(1, Dialect::ChatCompletions);
    let beta: &[(&str, &[u8])] = &[("openai-beta", b"a")];
    let split: &[(&str, &[u8])] = &[("openai-betaa", b"")];
    let variants = [
        base,
        Circumstances { path_and_query: "/v1/chat/completions?api-version=2", ..base },
        Circumstances { headers: beta, ..base },
        Circumstances { headers: split, ..base },
        Circumstances { dialect: Dialect::Completions, ..base },
    ]
    .map(|around| canon(&view, body, &around, Ok(&policy)));
    for (at, one) in variants.iter().enumerate() {
        for other in &variants[at + 1..] {
            assert!(one.exact != other.exact && one.partition != other.partition);
        }
    }
}

#[test]
fn a_body_that_names_a_key_twice_is_not_read() {
    let twice = r#"{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}"#;
    assert!(read(Dialect::ChatCompletions, twice.as_bytes()).is_err());
}

#[test]
fn what_is_no_request_is_left_to_the_upstream() {
    let deep = format!(r#"{{"model":"m","messages":[],"x":{}1{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    let bodies: [&[u8]; 12] = [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b"{\"model\":\"m\"}",
        b"{\"model\":1,\"messages\":[]}",
        b"{\"model\":\"m\",\"messages\":{}}",
        b"{\"model\":\"m\",\"messages\":[],\"stream\":\"yes\"}",
        b"{\"model\":\"m\",\"messages\":[]} x",
        b"{\"model\":\"\xff\",\"messages\":[]}",
        b"{\"model\":\"m\",\"messages\":[],\"x\":1e999}",
        deep.as_bytes(),
    ];
    for body in bodies {
        assert!(read(Dialect::ChatCompletions, body).is_err(), "{}", String::from_utf8_lossy(body));
    }
    let null = read(Dialect::ChatCompletions, br#"{"model":"m","messages":[],"stream":null}"#).unwrap();
    assert!(!null.form().stream);
    assert!(read(Dialect::Messages, br#"{"model":"m","messages":[]}"#).is_err());
}

#[test]
fn usage_is_only_included_in_streams() {
    let form = |stream: bool| {
        let body = json!({"model": "m", "messages": [], "stream": stream, "stream_options": {"include_usage": true}});
        read(Dialect::ChatCompletions, body.to_string().as_bytes()).unwrap().form()
    };
    assert!(form(true).include_usage);
    assert!(!form(false).include_usage);
}

#[test]
fn the_question_is_the_last_users_text() {
    let asked = "how do I return a parcel";
    assert_eq!(
        question(json!({"model": "m", "messages": [{"role": "user", "content": asked}]})).unwrap(),
        asked
    );
    let parts = json!([{"type": "text", "text": "a parcel"}, {"type": "text", "text": "is lost"}]);
    let body = json!({"model": "m", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": parts}]});
    assert_eq!(question(body).unwrap(), "a parcel\nis lost");
}

/// The reasons in their order: each body has the reason before it mended.
#[test]
fn reasons_come_in_a_fixed_order() {
    let image = json!({"type": "image_url", "image_url": {"url": "u"}});
    let audio = json!({"type": "input_audio", "input_audio": {}});
    let file = json!({"type": "file", "file": {}});
    let long = "parcel ".repeat(400);
    let user = |content: Value| json!({"role": "user", "content": content});
    let body = |messages: Value, extra: Value| {
        let mut body = json!({"model": "m", "messages": messages, "temperature": 1.5, "n": 2});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    };
    let all = json!([user(json!([file, audio, image])), {"role": "assistant", "content": "a"}]);
    let two =
        json!([user("a parcel".into()), {"role": "assistant", "content": "a"}, user(long.clone().into())]);
    let cases = [
        (body(all.clone(), json!({"tools": [{}]})), Bypass::HasTools),
        (body(all.clone(), json!({"functions": [{}]})), Bypass::HasTools),
        (body(all, json!({"tools": []})), Bypass::HasImage),
        (body(json!([user(json!([file, audio])), user("x".into())]), json!({})), Bypass::HasAudio),
        (body(json!([user(json!([file])), user("x".into())]), json!({})), Bypass::HasFile),
        (
            body(json!([user("x".into()), {"role": "assistant", "content": "x"}]), json!({})),
            Bypass::NoQuestion,
        ),
        (body(json!([user(" ".into())]), json!({})), Bypass::NoQuestion),
        (body(json!([]), json!({})), Bypass::NoQuestion),
        (body(json!([user(Value::Null)]), json!({})), Bypass::NoQuestion),
        (body(two, json!({})), Bypass::MultiTurn),
        (
            body(json!([{"role": "assistant", "content": "hello"}, user("parcel".into())]), json!({})),
            Bypass::MultiTurn,
        ),
        (body(json!([user(long.clone().into())]), json!({})), Bypass::Temperature),
        (body(json!([user(long.clone().into())]), json!({"temperature": "hot"})), Bypass::Temperature),
        (body(json!([user(long.clone().into())]), json!({"temperature": 1})), Bypass::ManyChoices),
        (body(json!([user(long.into())]), json!({"temperature": null, "n": 1})), Bypass::TooLong),
        (body(json!([user("go on".into())]), json!({"temperature": 0, "n": null})), Bypass::Continuation),
    ];
    for (body, reason) in cases {
        assert_eq!(question(body.clone()), Err(reason), "{body}");
    }
}

#[test]
fn completions_ask_by_their_prompt() {
    let asked = |body: Value| keyed(Dialect::Completions, &body.to_string());
    let one = asked(json!({"model": "m", "prompt": "once upon a parcel", "suffix": "end"}));
    let other = asked(json!({"model": "m", "prompt": "another parcel", "suffix": "end"}));
    assert_eq!(one.question.as_ref().map(|question| question.0.as_str()), Ok("once upon a parcel"));
    assert!(one.partition == other.partition && one.exact != other.exact);
    assert_ne!(
        one.partition,
        asked(json!({"model": "m", "prompt": "once upon a parcel", "suffix": "END"})).partition
    );
    assert_ne!(
        one.partition,
        asked(json!({"model": "m", "prompt": ["once upon a parcel"], "suffix": "end"})).partition
    );
    let reason = |body: Value| asked(body).question.unwrap_err();
    assert_eq!(reason(json!({"model": "m", "prompt": ["a parcel", "b"]})), Bypass::ManyChoices);
    assert_eq!(reason(json!({"model": "m", "prompt": [[1, 2], [3]]})), Bypass::ManyChoices);
    assert_eq!(reason(json!({"model": "m", "prompt": [1, 2, 3]})), Bypass::NoQuestion);
    assert_eq!(reason(json!({"model": "m", "prompt": "a parcel", "best_of": 2})), Bypass::ManyChoices);
}

#[test]
fn each_embedding_input_has_the_key_of_its_own_request() {
    let keys = |input: Value, dimensions: Value| {
        let body = json!({"model": "e", "input": input, "dimensions": dimensions}).to_string();
        let Request::Embedding(request) = read(Dialect::Embeddings, body.as_bytes()).unwrap() else {
            panic!("an embedding request")
        };
        embedding_keys(&request, body.as_bytes(), &around(1, Dialect::Embeddings))
    };
    let batch = keys(json!(["a", "b", "a"]), json!(8));
    assert_eq!(
        batch,
        [keys(json!("a"), json!(8)), keys(json!(["b"]), json!(8)), keys(json!("a"), json!(8))].concat()
    );
    assert_ne!(batch[0], batch[1]);
    assert_eq!(keys(json!([1, 2]), json!(8)), keys(json!([[1, 2]]), json!(8)));
    assert_ne!(keys(json!([1, 2]), json!(8)), keys(json!("1 2"), json!(8)));
    assert_ne!(keys(json!("a"), json!(8)), keys(json!("a"), json!(9)));
    assert!(keys(json!([]), json!(8)).is_empty());
}
