//! The server as a whole: what it says of itself, reload, drain.

use crate::world::upstream::Upstream;
use crate::world::{World, chat, chat_with, read};
use futures_util::StreamExt;
use reprise::app;
use reprise::config::CacheMode;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn it_says_that_it_is_ready_and_what_it_did() {
    let world = World::start().await;
    world.ask("q").await;
    world.ask("q").await;
    assert_eq!(read(world.client().get(world.admin("/readyz"))).await.status, 200);
    let metrics = read(world.client().get(world.admin("/metrics"))).await;
    let text = String::from_utf8(metrics.body.to_vec()).expect("text");
    for line in [
        "reprise_requests_total{dialect=\"chat_completions\",verdict=\"hit\",tier=\"l1\",reason=\"\"} 1",
        "reprise_requests_total{dialect=\"chat_completions\",verdict=\"miss\",tier=\"\",reason=\"exact_only\"} 1",
        "reprise_tapes_total{ended=\"whole\"} 1",
        "reprise_saved_tokens_total{kind=\"completion\"} 3",
        "reprise_entries 1",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

#[tokio::test]
async fn a_model_that_is_not_there_leaves_it_serving_exact_and_not_ready() {
    let world = World::with(|config| config.semantic.models_dir = "no/such/folder".into()).await;
    let why = world.server.semantic_ready().await.expect_err("there is no model");
    assert!(why.contains("no/such/folder"), "{why}");
    let ready = read(world.client().get(world.admin("/readyz"))).await;
    assert_eq!((ready.status, ready.json()["ready"].as_bool()), (503, Some(false)));
    let question = "how do I close my account?";
    assert_eq!(world.ask(question).await.reason(), Some("semantic_off"));
    assert_eq!(world.ask(question).await.verdict(), "hit");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_said_in_the_dialects_own_error() {
    let world = World::with(|config| {
        config.policy.mode = CacheMode::Exact;
        config.upstreams[0].url = "http://127.0.0.1:1".into();
    })
    .await;
    let answer = world.ask("q").await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (502, Some("upstream_unreachable")));
}

#[tokio::test]
async fn a_reload_holds_from_the_next_request_on_and_touches_none_in_progress() {
    let world = World::start().await;
    let feed = world.upstream.streams();
    let request = chat_with("q", json!({ "stream": true }));
    let response = world.post("/v1/chat/completions", &request).send().await.expect("a head");
    let second = Upstream::start().await;
    let mut config = world.server.gateway().settings.load().config.clone();
    config.upstreams[0].url = second.url();
    config.policy.headers = false;
    world.server.reload(config).expect("a good config");
    feed.text("still");
    feed.done();
    let body = response.bytes().await.expect("a whole answer");
    assert!(String::from_utf8_lossy(&body).ends_with("data: [DONE]\n\n"));
    let next = world.send(&chat("other")).await;
    assert_eq!((next.header("x-reprise-verdict"), next.header("cache-status")), (None, None));
    assert_eq!((world.upstream.calls(), second.calls()), (1, 1));
}

#[tokio::test]
async fn a_drain_lets_a_stream_finish_and_takes_nothing_new() {
    let world = World::start().await;
    let feed = world.upstream.streams();
    let request = chat_with("q", json!({ "stream": true }));
    let response = world.post("/v1/chat/completions", &request).send().await.expect("a head");
    let mut flow = response.bytes_stream();
    feed.text("first");
    flow.next().await.expect("a chunk").expect("whole");
    let draining = world.server.drain();
    let rest = async {
        // The listener closes before the stream ends.
        while tokio::net::TcpStream::connect(world.server.api_addr()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        feed.text(" last");
        feed.done();
        let mut all = Vec::new();
        while let Some(chunk) = flow.next().await {
            all.extend_from_slice(&chunk.expect("not cut"));
        }
        String::from_utf8(all).expect("utf-8")
    };
    let (cut, rest) = tokio::join!(draining, rest);
    assert_eq!(cut, 0);
    assert!(rest.contains(" last") && rest.ends_with("data: [DONE]\n\n"), "{rest}");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_cuts_what_is_left_and_counts_it() {
    let world = World::with(|config| {
        config.policy.mode = CacheMode::Off;
        config.server.drain = Duration::from_millis(50);
    })
    .await;
    let feed = world.upstream.streams();
    let request = chat_with("q", json!({ "stream": true }));
    let response = world.post("/v1/chat/completions", &request).send().await.expect("a head");
    feed.text("never ends");
    assert_eq!(world.server.drain().await, 1);
    assert!(response.bytes().await.is_err(), "the client sees a cut");
}

#[tokio::test]
async fn an_address_in_use_is_said_with_its_key() {
    let world = World::start().await;
    let mut config = world.server.gateway().settings.load().config.clone();
    config.server.listen = world.server.api_addr();
    let error = app::start(config).await.err().expect("the port is taken").to_string();
    assert!(error.contains("server.listen"), "{error}");
}

#[tokio::test]
async fn a_flood_of_distinct_requests_stays_under_the_memory_cap() {
    const CAP: u64 = 1 << 20;
    let world = World::with(|config| {
        config.policy.mode = CacheMode::Exact;
        config.cache.memory = CAP;
    })
    .await;
    let long = "x".repeat(8_000);
    for number in 0..1_300 {
        world.upstream.says(&format!("{number} {long}"));
        world.ask(&format!("question {number}")).await;
    }
    let (entries, bytes) = world.server.gateway().cache.size();
    assert!(bytes <= CAP && entries > 50, "{entries} entries, {bytes} bytes");
}
