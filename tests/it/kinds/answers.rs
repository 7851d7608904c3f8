//! Answers on their way back.

use super::{Kind, Reading, Wrong, golden, incoming, laid_out, read, reading, tree};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::HeaderMap;
use proptest::prelude::*;
use reprise::upstream::kind::{BodyForm, Foreign};
use reprise::wire::Dialect;
use reprise::wire::answer::{Finish, StreamReader, outline_of_body};
use reprise::wire::convert::fold;
use reprise::wire::sse::Decoder;
use serde_json::{Value, json};

const CREATED: u64 = 1_700_000_000;

/// An answer in both of its forms.
const ANSWERS: [(&str, Kind, &str, &str); 5] = [
    (
        "anthropic_plain",
        Kind::Anthropic,
        include_str!("../golden/kinds/anthropic_plain.json"),
        include_str!("../golden/kinds/anthropic_plain.sse"),
    ),
    (
        "anthropic_tools",
        Kind::Anthropic,
        include_str!("../golden/kinds/anthropic_tools.json"),
        include_str!("../golden/kinds/anthropic_tools.sse"),
    ),
    (
        "gemini_plain",
        Kind::Gemini,
        include_str!("../golden/kinds/gemini_plain.json"),
        include_str!("../golden/kinds/gemini_plain.sse"),
    ),
    (
        "gemini_tools",
        Kind::Gemini,
        include_str!("../golden/kinds/gemini_tools.json"),
        include_str!("../golden/kinds/gemini_tools.sse"),
    ),
    (
        "gemini_blocked",
        Kind::Gemini,
        include_str!("../golden/kinds/gemini_blocked.json"),
        include_str!("../golden/kinds/gemini_blocked.sse"),
    ),
];
const ANTHROPIC_OVERLOADED: &str = include_str!("../golden/kinds/anthropic_overloaded.sse");
const GEMINI_OVERLOADED: &str = include_str!("../golden/kinds/gemini_overloaded.sse");

fn foreign(kind: Kind, stream: bool) -> Foreign {
    match reading(kind, stream) {
        Reading::Translated(foreign) => foreign,
        Reading::AsIs => panic!("{kind:?} speaks another dialect"),
    }
}

/// The client's stream, of a provider's that comes in these pieces.
fn streamed(kind: Kind, pieces: &[&[u8]]) -> String {
    let mut events = foreign(kind, true).events(CREATED);
    let mut out = BytesMut::new();
    for piece in pieces {
        events.feed(Bytes::copy_from_slice(piece), &mut out).unwrap();
    }
    events.end(&mut out).unwrap();
    String::from_utf8(out.to_vec()).unwrap()
}

fn events(text: &str) -> Vec<Bytes> {
    let mut out = Vec::new();
    Decoder::new(1 << 20).decode(Bytes::copy_from_slice(text.as_bytes()), &mut out).unwrap();
    out.into_iter().map(|event| event.data).collect()
}

#[test]
fn each_answer_becomes_a_chat_completion_in_both_forms() {
    let _golden = golden();
    for (name, kind, whole, stream) in ANSWERS {
        let body = foreign(kind, false).whole(whole.as_bytes(), CREATED).unwrap();
        let chunks = streamed(kind, &[stream.as_bytes()]);
        let text = laid_out(std::str::from_utf8(&body).unwrap());
        insta::assert_snapshot!(format!("{name}.body"), text);
        insta::assert_snapshot!(format!("{name}.stream"), chunks);

        // What the cache makes of them: the same answer, whole, with its usage.
        let outline = outline_of_body(Dialect::ChatCompletions, &body).unwrap();
        let mut reader = StreamReader::new(Dialect::ChatCompletions);
        let mut decoded = Vec::new();
        Decoder::new(1 << 20).decode(Bytes::from(chunks.clone()), &mut decoded).unwrap();
        decoded.iter().for_each(|event| {
            reader.event(event);
        });
        let seen = reader.outline();
        assert!(seen.terminal && outline.terminal && !seen.error, "{name}");
        assert_eq!(
            (seen.finish, seen.usage, seen.model),
            (outline.finish, outline.usage, outline.model),
            "{name}"
        );
        let folded = fold(Dialect::ChatCompletions, &events(&chunks)).unwrap();
        let mut body = tree(std::str::from_utf8(&body).unwrap());
        // A stream opens with an empty text before it can know that none will come.
        for choice in body["choices"].as_array_mut().unwrap() {
            if choice["message"]["content"].is_null() {
                choice["message"]["content"] = json!("");
            }
        }
        assert_eq!(tree(std::str::from_utf8(&folded).unwrap()), body, "{name}");
    }
}

#[test]
fn without_include_usage_a_stream_has_none() {
    for (name, kind, _, stream) in ANSWERS {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}"#;
        let Ok((_, Reading::Translated(foreign))) = super::prepare(kind, body) else { panic!("{name}") };
        let mut out = BytesMut::new();
        let mut events = foreign.events(CREATED);
        events.feed(Bytes::from_static(stream.as_bytes()), &mut out).unwrap();
        events.end(&mut out).unwrap();
        let text = String::from_utf8(out.to_vec()).unwrap();
        assert!(!text.contains("\"usage\"") && text.ends_with("data: [DONE]\n\n"), "{name}: {text}");
    }
}

#[test]
fn a_stream_is_the_same_split_at_every_byte() {
    for (name, kind, _, stream) in ANSWERS {
        let whole = streamed(kind, &[stream.as_bytes()]);
        let single: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(streamed(kind, &single), whole, "{name}");
        for at in 1..stream.len() {
            let (first, second) = stream.as_bytes().split_at(at);
            assert_eq!(streamed(kind, &[first, second]), whole, "{name} at {at}");
        }
    }
}

proptest! {
    #[test]
    fn a_stream_is_the_same_however_it_is_split(which in 0..ANSWERS.len(), cuts in prop::collection::vec(0..4_000_usize, 0..40)) {
        let (_, kind, _, stream) = ANSWERS[which];
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % stream.len()).collect();
        cuts.sort_unstable();
        let (mut pieces, mut start) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&stream.as_bytes()[start..cut]);
            start = cut;
        }
        pieces.push(&stream.as_bytes()[start..]);
        prop_assert_eq!(streamed(kind, &pieces), streamed(kind, &[stream.as_bytes()]));
    }

    /// Whatever an upstream sends, it is an answer, or a fault: never a panic.
    #[test]
    fn nothing_an_upstream_sends_breaks_the_translator(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,60}") {
        for kind in [Kind::Anthropic, Kind::Gemini] {
            let mut out = BytesMut::new();
            let mut events = foreign(kind, true).events(CREATED);
            let _ = events.feed(Bytes::from(bytes.clone()), &mut out);
            let mut events = foreign(kind, true).events(CREATED);
            let _ = events.feed(Bytes::from(format!("data: {{\"type\":\"{text}\"}}\n\n")), &mut out);
            let _ = events.end(&mut out);
            prop_assert!(foreign(kind, false).whole(&bytes, CREATED).is_err());
        }
    }
}

#[test]
fn an_error_inside_a_stream_is_the_dialects_own_and_the_last() {
    for (kind, stream, code) in [
        (Kind::Anthropic, ANTHROPIC_OVERLOADED, "overloaded_error"),
        (Kind::Gemini, GEMINI_OVERLOADED, "unavailable"),
    ] {
        let all = events(&streamed(kind, &[stream.as_bytes(), stream.as_bytes()]));
        let last = tree(std::str::from_utf8(all.last().unwrap()).unwrap());
        assert_eq!(last["error"]["code"], code);
        assert!(!all.iter().any(|event| event.as_ref() == b"[DONE]"));
        assert_eq!(all.iter().filter(|event| event.starts_with(b"{\"error\"")).count(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_in_a_fault_wherever_it_is_cut() {
    for (name, kind, _, stream) in ANSWERS {
        for at in 0..stream.len() {
            // Gemini's last event may lack its last line break and still be unfinished.
            let pieces = vec![Bytes::copy_from_slice(&stream.as_bytes()[..at])];
            let cut = reading(kind, true)
                .receive(&"one".into(), incoming(200, "text/event-stream", pieces))
                .await
                .unwrap();
            let (text, fault) = read(cut).await;
            let whole = text.ends_with("[DONE]\n\n");
            assert_eq!(whole, fault.is_none(), "{name} at {at}");
            assert!(!whole || at + 2 >= stream.len(), "{name} at {at}");
            assert!(fault.is_none_or(|fault| fault.kind == Wrong::UpstreamBroke));
        }
    }
}

#[tokio::test]
async fn the_head_tells_the_body_that_the_client_gets() {
    let (_, kind, whole, stream) = ANSWERS[0];
    let plain = incoming(200, "application/json", vec![Bytes::from_static(whole.as_bytes())]);
    let plain = reading(kind, false).receive(&"one".into(), plain).await.unwrap();
    assert_eq!(plain.headers["content-type"], "application/json");
    let length = plain.headers["content-length"].to_str().unwrap().parse::<usize>().unwrap();
    let (body, _) = read(plain).await;
    assert_eq!(body.len(), length);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(tree(&body)["created"].as_u64().unwrap().abs_diff(now) < 600);

    let flow = incoming(200, "text/event-stream; charset=utf-8", vec![Bytes::from_static(stream.as_bytes())]);
    let flow = reading(kind, true).receive(&"one".into(), flow).await.unwrap();
    assert_eq!(flow.headers.get("content-length"), None);
    assert_eq!(flow.headers["content-type"], "text/event-stream; charset=utf-8");
}

#[tokio::test]
async fn what_is_no_answer_of_its_api_is_a_fault_before_the_client_sees_a_head() {
    let page = Bytes::from_static(b"<html>hello</html>");
    for kind in [Kind::Anthropic, Kind::Gemini] {
        for (stream, content_type) in
            [(false, "text/html"), (true, "application/json"), (false, "text/event-stream")]
        {
            let answer = incoming(200, content_type, vec![page.clone()]);
            let Err(fault) = reading(kind, stream).receive(&"one".into(), answer).await else {
                panic!("passed on")
            };
            assert_eq!(fault.kind, Wrong::UpstreamBroke);
        }
        let mut coded = incoming(200, "application/json", vec![page.clone()]);
        coded.headers.insert("content-encoding", "gzip".parse().unwrap());
        assert!(reading(kind, false).receive(&"one".into(), coded).await.is_err());
    }
}

#[tokio::test]
async fn errors_keep_their_meaning() {
    let google = |code: u16, status: &str, message: &str, details: Value| json!({"error": {"code": code, "message": message, "status": status, "details": details}});
    let anthropic = |kind: &str, message: &str| json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"});
    for (kind, status, body, becomes, kind_word, code) in [
        (
            Kind::Anthropic,
            401,
            anthropic("authentication_error", "invalid x-api-key"),
            401,
            "authentication_error",
            "authentication_error",
        ),
        (
            Kind::Anthropic,
            429,
            anthropic("rate_limit_error", "slow down"),
            429,
            "rate_limit_error",
            "rate_limit_error",
        ),
        (
            Kind::Anthropic,
            529,
            anthropic("overloaded_error", "Overloaded"),
            503,
            "server_error",
            "overloaded_error",
        ),
        (
            Kind::Anthropic,
            400,
            anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
            400,
            "invalid_request_error",
            "context_length_exceeded",
        ),
        (
            Kind::Gemini,
            400,
            google(
                400,
                "INVALID_ARGUMENT",
                "API key not valid.",
                json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]),
            ),
            401,
            "authentication_error",
            "invalid_api_key",
        ),
        (
            Kind::Gemini,
            400,
            google(
                400,
                "INVALID_ARGUMENT",
                "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
                json!([]),
            ),
            400,
            "invalid_request_error",
            "context_length_exceeded",
        ),
        (
            Kind::Gemini,
            503,
            google(503, "UNAVAILABLE", "overloaded", json!([])),
            503,
            "server_error",
            "unavailable",
        ),
        (
            Kind::Gemini,
            404,
            json!([google(404, "NOT_FOUND", "no such model", json!([]))]),
            404,
            "invalid_request_error",
            "not_found",
        ),
        (Kind::Gemini, 502, json!("a page"), 502, "server_error", "upstream_error"),
    ] {
        for stream in [false, true] {
            let answer = incoming(status, "application/json", vec![Bytes::from(body.to_string())]);
            let answer = reading(kind, stream).receive(&"one".into(), answer).await.unwrap();
            assert_eq!(answer.status.as_u16(), becomes, "{body}");
            let said = tree(&read(answer).await.0);
            assert_eq!(
                (&said["error"]["type"], &said["error"]["code"]),
                (&json!(kind_word), &json!(code)),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn limits_and_waits_are_told_in_openais_names() {
    let quota = json!({"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38.2s"}]}});
    let answer = incoming(429, "application/json", vec![Bytes::from(quota.to_string())]);
    let answer = reading(Kind::Gemini, false).receive(&"one".into(), answer).await.unwrap();
    assert_eq!(answer.headers["retry-after"], "39");

    let (_, _, whole, _) = ANSWERS[0];
    let mut answer = incoming(200, "application/json", vec![Bytes::from_static(whole.as_bytes())]);
    answer.headers.insert("anthropic-ratelimit-tokens-remaining", "5000".parse().unwrap());
    answer.headers.insert("request-id", "req_1".parse().unwrap());
    let answer = reading(Kind::Anthropic, false).receive(&"one".into(), answer).await.unwrap();
    assert_eq!(answer.headers["x-ratelimit-remaining-tokens"], "5000");
    assert_eq!(answer.headers["x-request-id"], "req_1");
}

#[test]
fn every_reason_to_stop_has_its_word() {
    let anthropic = |reason: &str| {
        let body = json!({"id": "m", "model": "c", "content": [], "stop_reason": reason});
        let body = foreign(Kind::Anthropic, false).whole(body.to_string().as_bytes(), 1).unwrap();
        outline_of_body(Dialect::ChatCompletions, &body).unwrap().finish[0]
    };
    for (reason, finish) in [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Length),
        ("tool_use", Finish::ToolCalls),
        ("refusal", Finish::ContentFilter),
        // Unfinished, or unknown: nothing that the cache may take for whole.
        ("pause_turn", Finish::Length),
        ("a_reason_of_tomorrow", Finish::Length),
    ] {
        assert_eq!(anthropic(reason), finish, "{reason}");
    }
    let gemini = |reason: &str| {
        let body = json!({"candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": reason}]});
        let body = foreign(Kind::Gemini, false).whole(body.to_string().as_bytes(), 1).ok()?;
        Some(outline_of_body(Dialect::ChatCompletions, &body).unwrap().finish[0])
    };
    for (reason, finish) in [
        ("STOP", Some(Finish::Stop)),
        ("MAX_TOKENS", Some(Finish::Length)),
        ("SAFETY", Some(Finish::ContentFilter)),
        ("RECITATION", Some(Finish::ContentFilter)),
        ("SPII", Some(Finish::ContentFilter)),
        ("OTHER", Some(Finish::Length)),
        ("MALFORMED_FUNCTION_CALL", None),
        ("UNEXPECTED_TOOL_CALL", None),
    ] {
        assert_eq!(gemini(reason), finish, "{reason}");
    }
}

#[test]
fn pictures_that_a_model_draws_are_passed_on() {
    let body = json!({"candidates": [{"content": {"parts": [{"text": "here"}, {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}]}, "finishReason": "STOP"}]});
    let whole = foreign(Kind::Gemini, false).whole(body.to_string().as_bytes(), 1).unwrap();
    let url = "data:image/png;base64,iVBO";
    assert_eq!(
        tree(std::str::from_utf8(&whole).unwrap())["choices"][0]["message"]["images"][0]["image_url"]["url"],
        url
    );
    let stream = streamed(Kind::Gemini, &[format!("data: {body}\n\n").as_bytes()]);
    assert!(stream.contains(url));
}

#[test]
fn a_head_is_judged_without_a_body() {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "Text/Event-Stream".parse().unwrap());
    assert_eq!(foreign(Kind::Anthropic, true).head(http::StatusCode::OK, &mut headers), Ok(BodyForm::Events));
    let bad = http::StatusCode::BAD_GATEWAY;
    assert_eq!(foreign(Kind::Anthropic, true).head(bad, &mut headers), Ok(BodyForm::Error));
}

#[test]
fn a_client_that_went_away_costs_no_panic() {
    let (_, kind, _, stream) = ANSWERS[0];
    let pieces = vec![Bytes::from_static(&stream.as_bytes()[..500])];
    let answer =
        reading(kind, true).receive(&"one".into(), incoming(200, "text/event-stream", pieces)).now_or_never();
    drop(answer.unwrap().unwrap());
}
