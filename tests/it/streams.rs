//! Streams: recorded while they flow, played in either form, followed live.

use crate::world::upstream::{Say, body, chunk, completion, usage_chunk};
use crate::world::{World, chat, chat_with, read};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::sync::oneshot;

fn streamed(question: &str) -> Value {
    chat_with(question, json!({ "stream": true }))
}

fn with_usage(question: &str) -> Value {
    chat_with(question, json!({ "stream": true, "stream_options": { "include_usage": true } }))
}

#[tokio::test]
async fn a_streamed_answer_serves_a_plain_request_and_the_reverse() {
    let world = World::start().await;
    assert_eq!(world.send(&streamed("one")).await.verdict(), "miss");
    let plain = world.send(&chat("one")).await;
    assert_eq!((plain.verdict(), plain.text()), ("hit", "You asked: one".into()));
    assert_eq!(plain.json()["object"], "chat.completion");
    assert_eq!(world.send(&chat("two")).await.verdict(), "miss");
    let stream = world.send(&streamed("two")).await;
    assert_eq!((stream.verdict(), stream.streamed_text()), ("hit", "You asked: two".into()));
    assert_eq!(stream.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(world.upstream.calls(), 2);
}

#[tokio::test]
async fn usage_comes_to_those_who_ask_for_it_and_to_nobody_else() {
    let world = World::start().await;
    let has_usage = |answer: &crate::world::Answer| {
        answer.events().iter().any(|event| event.contains("\"prompt_tokens\":9"))
    };
    // Recorded with usage, asked without, and the reverse from a plain body.
    assert!(has_usage(&world.send(&with_usage("a")).await));
    let without = world.send(&streamed("a")).await;
    assert_eq!((without.verdict(), has_usage(&without)), ("hit", false));
    assert_eq!(world.send(&chat("a")).await.json()["usage"]["completion_tokens"], 3);
    world.send(&chat("b")).await;
    let with = world.send(&with_usage("b")).await;
    assert_eq!((with.verdict(), has_usage(&with)), ("hit", true));
    let last = with.events()[with.events().len() - 2].clone();
    assert_eq!(
        serde_json::from_str::<Value>(&last).unwrap()["choices"],
        json!([]),
        "the usage chunk comes last"
    );
    // Recorded without usage: token counts are not made up, they are fetched once.
    world.send(&streamed("c")).await;
    let fetched = world.send(&with_usage("c")).await;
    assert_eq!((fetched.verdict(), fetched.reason(), has_usage(&fetched)), ("miss", Some("no_usage"), true));
    assert_eq!(world.send(&with_usage("c")).await.verdict(), "hit");
}

#[tokio::test]
async fn tool_calls_reasoning_and_refusals_survive_both_ways() {
    let message = json!({ "role": "assistant", "content": null, "refusal": null, "reasoning_content": "think",
        "tool_calls": [
            { "id": "call_1", "type": "function", "function": { "name": "look", "arguments": "{\"a\":1}" } },
            { "id": "call_2", "type": "function", "function": { "name": "find", "arguments": "{\"b\":\"é\"}" } }] });
    let mut said = completion("");
    said["choices"][0]["message"] = message.clone();
    said["choices"][0]["finish_reason"] = "tool_calls".into();
    let world = World::start().await;
    world.upstream.will(body(200, said));
    world.send(&chat("plain")).await;
    let stream = world.send(&streamed("plain")).await;
    assert_eq!(stream.verdict(), "hit");
    // Play the stream back through a fresh recording: what was split must fold to the same message.
    world.upstream.will(Say::Body {
        status: 200,
        headers: vec![("content-type", "text/event-stream".into())],
        body: stream.body.clone(),
    });
    world.send(&streamed("again")).await;
    let folded = world.send(&chat("again")).await;
    assert_eq!(folded.verdict(), "hit");
    let got = &folded.json()["choices"][0];
    assert_eq!(got["finish_reason"], "tool_calls");
    for field in ["content", "tool_calls", "reasoning_content"] {
        assert_eq!(got["message"][field], message[field], "{field}");
    }
}

#[tokio::test]
async fn the_first_token_is_not_held_back() {
    let world = World::start().await;
    let feed = world.upstream.streams();
    let response = world.post("/v1/chat/completions", &streamed("q")).send().await.unwrap();
    let mut flow = response.bytes_stream();
    feed.text("first");
    let first = flow.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("first"));
    feed.text("second");
    let second = flow.next().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&second).contains("second"));
    feed.done();
    while let Some(chunk) = flow.next().await {
        chunk.unwrap();
    }
    assert_eq!(world.send(&streamed("q")).await.verdict(), "hit");
}

#[tokio::test]
async fn identical_requests_in_flight_make_one_call_and_followers_read_live() {
    let world = World::start().await;
    let feed = world.upstream.streams();
    let leader = world.post("/v1/chat/completions", &streamed("q")).send().await.unwrap();
    let follower = world.post("/v1/chat/completions", &streamed("q")).send();
    let follower = follower.await.unwrap();
    assert_eq!(follower.headers()["x-reprise-verdict"], "follow");
    assert_eq!(follower.headers()["cache-status"], "reprise; fwd=miss; collapsed");
    let mut flow = follower.bytes_stream();
    feed.text("first");
    assert!(
        String::from_utf8_lossy(&flow.next().await.unwrap().unwrap()).contains("first"),
        "before the end"
    );
    feed.text(" second");
    feed.done();
    let leaders = leader.bytes().await.unwrap();
    let mut rest = Vec::new();
    while let Some(chunk) = flow.next().await {
        rest.extend_from_slice(&chunk.unwrap());
    }
    assert!(leaders.ends_with(&rest));
    assert_eq!(world.upstream.calls(), 1);
}

#[tokio::test]
async fn a_hundred_identical_requests_make_one_call() {
    let world = World::start().await;
    let (go, wait) = oneshot::channel();
    world.upstream.will(Say::After(wait, Box::new(body(200, completion("one for all")))));
    let asks = (0..100).map(|_| world.ask("q"));
    let all = async { futures_util::future::join_all(asks).await };
    let release = async {
        world.upstream.reached(1).await;
        go.send(()).unwrap();
    };
    let (answers, ()) = tokio::join!(all, release);
    assert!(answers.iter().all(|answer| answer.text() == "one for all"));
    assert_eq!(world.upstream.calls(), 1);
}

#[tokio::test]
async fn a_request_in_another_form_waits_and_is_answered_from_the_recording() {
    let world = World::start().await;
    let (go, wait) = oneshot::channel();
    world.upstream.will(Say::After(wait, Box::new(body(200, completion("both")))));
    let ask = chat("q");
    let leader = world.send(&ask);
    let stream = streamed("q");
    let other = async {
        world.upstream.reached(1).await;
        let (answer, ()) = tokio::join!(world.send(&stream), async { go.send(()).unwrap() });
        answer
    };
    let (_, other) = tokio::join!(leader, other);
    assert_eq!((other.streamed_text(), world.upstream.calls()), ("both".into(), 1));
}

#[tokio::test]
async fn a_client_that_leaves_does_not_lose_the_answer() {
    let world = World::start().await;
    let feed = world.upstream.streams();
    let response = world.post("/v1/chat/completions", &streamed("q")).send().await.unwrap();
    feed.text("first ");
    let mut flow = response.bytes_stream();
    flow.next().await.unwrap().unwrap();
    drop(flow);
    feed.text("second");
    feed.done();
    // The flight may still be landing: either way the answer is had without a second call.
    let answer = world.send(&streamed("q")).await;
    assert_eq!(answer.streamed_text(), "first second");
    assert_eq!(world.upstream.calls(), 1);
}

#[tokio::test]
async fn a_leader_that_leaves_before_the_answer_still_brings_it_to_its_followers() {
    let world = World::start().await;
    let (go, wait) = oneshot::channel();
    world.upstream.will(Say::After(wait, Box::new(body(200, completion("late")))));
    let ask = chat("q");
    {
        let leader = world.send(&ask);
        tokio::select! {
            _ = leader => panic!("answered before the word"),
            () = world.upstream.reached(1) => {}
        }
    }
    let (answer, ()) = tokio::join!(world.send(&ask), async { go.send(()).unwrap() });
    assert_eq!((answer.text(), world.upstream.calls()), ("late".into(), 1));
}

#[tokio::test]
async fn followers_of_a_broken_stream_are_told_and_do_not_hang() {
    let world = World::start().await;
    let feed = world.upstream.streams();
    let leader = world.post("/v1/chat/completions", &streamed("q")).send().await.unwrap();
    let follower = world.post("/v1/chat/completions", &streamed("q")).send().await.unwrap();
    feed.text("half");
    let mut flows = [leader.bytes_stream(), follower.bytes_stream()];
    for flow in &mut flows {
        assert!(flow.next().await.unwrap().unwrap().ends_with(b"\n\n"));
    }
    feed.cut();
    for flow in &mut flows {
        let last = flow.next().await.unwrap().unwrap();
        assert!(last.starts_with(b"data: {\"error\":") && flow.next().await.is_none(), "{last:?}");
    }
    assert_eq!(world.send(&streamed("q")).await.verdict(), "miss");
}

#[tokio::test]
async fn text_completions_are_cached_too() {
    let world = World::start().await;
    let plain = json!({ "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
        "choices": [{ "text": "done", "index": 0, "logprobs": null, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 } });
    world.upstream.will(body(200, plain));
    let request = json!({ "model": "m", "prompt": "say done" });
    assert_eq!(read(world.post("/v1/completions", &request)).await.verdict(), "miss");
    let stream = json!({ "model": "m", "prompt": "say done", "stream": true });
    let answer = read(world.post("/v1/completions", &stream)).await;
    assert_eq!(answer.verdict(), "hit");
    assert!(answer.events()[0].contains("\"text\":\"done\""), "{:?}", answer.events());
}

#[tokio::test]
async fn a_stream_in_many_small_pieces_is_kept_compact() {
    let world = World::start().await;
    let feed = world.upstream.streams();
    feed.event(&chunk(json!({ "role": "assistant", "content": "" }), Value::Null));
    let words: Vec<String> = (0..400).map(|n| format!("word{n} ")).collect();
    words.iter().for_each(|word| feed.text(word));
    feed.event(&chunk(json!({}), json!("stop")));
    feed.event(&usage_chunk());
    feed.raw("data: [DONE]\n\n");
    drop(feed);
    let first = world.send(&streamed("q")).await;
    let second = world.send(&streamed("q")).await;
    assert_eq!((second.verdict(), second.streamed_text()), ("hit", words.concat()));
    assert!(second.body.len() * 5 < first.body.len(), "{} against {}", second.body.len(), first.body.len());
}
