//! The router in the real server.

use crate::world::upstream::{Say, Upstream, body};
use crate::world::{World, chat, chat_with, read};
use futures_util::StreamExt;
use reprise::config::{CacheMode, Config, Source};
use serde_json::json;
use std::time::Duration;

/// A server over upstreams named `a`, `b` and so on, whose `[[upstream]]` are written before `text`.
async fn world(count: usize, lines: &str, text: &str) -> (World, Vec<Upstream>) {
    let (config, upstreams) = config(count, lines, text).await;
    (World::of(upstreams[0].clone(), config).await, upstreams)
}

async fn config(count: usize, lines: &str, text: &str) -> (Config, Vec<Upstream>) {
    let mut upstreams = Vec::new();
    let mut all = String::new();
    for name in ["a", "b", "c"].into_iter().take(count) {
        let upstream = Upstream::start().await;
        all += &format!("[[upstream]]\nname = \"{name}\"\nurl = \"{}\"\n{lines}\n", upstream.url());
        upstreams.push(upstream);
    }
    let mut config = Config::read_text(&Source::default(), &format!("{all}{text}")).unwrap();
    config.policy.mode = CacheMode::Exact;
    (config, upstreams)
}

const OVER_A_AND_B: &str = "[[model]]\nname = \"gpt-test\"\n[[model.deployment]]\nupstream = \"a\"\n\
                            [[model.deployment]]\nupstream = \"b\"\npriority = 2\n";

#[tokio::test]
async fn an_answer_says_which_deployment_gave_it_and_what_failed_before() {
    let (world, upstreams) = world(2, "", OVER_A_AND_B).await;
    let first = world.ask("one").await;
    assert_eq!(
        (first.header("x-reprise-deployment"), first.header("x-reprise-attempts")),
        (Some("a"), Some("1"))
    );
    assert_eq!(first.header("x-reprise-tried"), None);
    upstreams[0].will(body(500, json!({})));
    let second = world.ask("two").await;
    assert_eq!((second.status, second.header("x-reprise-deployment")), (200, Some("b")));
    assert_eq!(
        (second.header("x-reprise-attempts"), second.header("x-reprise-tried")),
        (Some("2"), Some("a 500"))
    );
    assert_eq!(world.ask("two").await.verdict(), "hit", "and is kept like any other");
    let metrics = read(world.client().get(world.admin("/metrics"))).await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    for line in [
        "reprise_deployment_requests_total{model=\"gpt-test\",deployment=\"a\"} 2",
        "reprise_deployment_failures_total{model=\"gpt-test\",deployment=\"a\",class=\"server_error\"} 1",
        "reprise_deployment_first_byte_seconds_count{model=\"gpt-test\",deployment=\"b\"} 1",
        "reprise_deployment_tokens_total{model=\"gpt-test\",deployment=\"b\",kind=\"output\"} 3",
        "reprise_deployment_state{model=\"gpt-test\",deployment=\"b\",state=\"open\"} 1",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

#[tokio::test]
async fn a_stream_passes_byte_for_byte_and_is_kept() {
    let (world, _) = world(2, "", OVER_A_AND_B).await;
    let request = chat_with("stream this please", json!({ "stream": true }));
    let first = world.send(&request).await;
    assert_eq!(first.streamed_text(), "You asked: stream this please");
    let second = world.send(&request).await;
    assert_eq!((second.verdict(), second.streamed_text()), ("hit", first.streamed_text()));
}

#[tokio::test]
async fn an_answer_of_another_model_is_not_kept_as_that_of_the_one_asked_for() {
    let text = "[[model]]\nname = \"gpt-test\"\nfallback = [\"other\"]\n[[model.deployment]]\nupstream = \"a\"\n\
                [[model]]\nname = \"other\"\n[[model.deployment]]\nupstream = \"b\"\n[router]\nretries = 0\n";
    let (world, upstreams) = world(2, "", text).await;
    upstreams[0].will(body(503, json!({})));
    let first = world.ask("one").await;
    assert_eq!((first.status, first.header("x-reprise-deployment")), (200, Some("b")));
    assert_eq!(upstreams[1].asked(0).json()["model"], "other");
    let second = world.ask("one").await;
    assert_eq!((second.verdict(), second.header("x-reprise-deployment")), ("miss", Some("a")));
    assert_eq!(world.ask("one").await.verdict(), "hit");
}

#[tokio::test]
async fn several_upstreams_without_models_share_every_model() {
    let (world, upstreams) = world(3, "", "[router]\nstrategy = \"least-busy\"\n").await;
    for number in 0..30 {
        assert_eq!(world.ask(&number.to_string()).await.status, 200);
    }
    assert!(upstreams.iter().all(|upstream| upstream.calls() > 0));
    assert_eq!(upstreams[0].asked(0).json()["model"], "gpt-test");
}

#[tokio::test]
async fn a_region_divides_the_cache_too() {
    let text = "[[model]]\nname = \"gpt-test\"\n[[model.deployment]]\nupstream = \"a\"\nregion = \"eu\"\n\
                [[model.deployment]]\nupstream = \"b\"\nregion = \"us\"\n";
    let (world, upstreams) = world(2, "", text).await;
    let eu = [("x-reprise-region", "eu")];
    let us = [("x-reprise-region", "us")];
    assert_eq!(world.send_with(&chat("q"), &eu).await.header("x-reprise-deployment"), Some("a"));
    assert_eq!(world.send_with(&chat("q"), &us).await.header("x-reprise-deployment"), Some("b"));
    assert_eq!(world.send_with(&chat("q"), &eu).await.verdict(), "hit");
    assert_eq!(world.ask("q").await.verdict(), "miss", "what is bound to nothing shares with neither");
    assert_eq!(upstreams[0].asked(0).headers.get("x-reprise-region"), None);
}

#[tokio::test]
async fn a_region_that_nobody_can_keep_is_refused_not_ignored() {
    let world = World::start().await;
    let answer = world.send_with(&chat("q"), &[("x-reprise-region", "eu")]).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (400, Some("invalid_header")));
    assert_eq!(world.upstream.calls(), 0);
}

#[tokio::test]
async fn what_the_router_refuses_comes_in_the_dialects_own_error() {
    let (world, _) = world(2, "", OVER_A_AND_B).await;
    let answer = world.send(&chat_with("q", json!({ "model": "gpt-9" }))).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (404, Some("model_not_found")));
    let messages = world.post("/v1/messages", &json!({ "model": "gpt-9", "messages": [] }));
    let answer = read(messages).await;
    assert_eq!((answer.status, answer.json()["type"].as_str()), (404, Some("error")));
    assert_eq!(answer.json()["error"]["type"], "not_found_error");
}

#[tokio::test]
async fn what_names_no_model_goes_to_the_first_upstream_as_it_is() {
    let (world, upstreams) = world(2, "", OVER_A_AND_B).await;
    let answer = read(world.client().get(world.url("/v1/files?limit=2"))).await;
    assert_eq!((answer.status, upstreams[0].asked(0).target.as_str()), (200, "/v1/files?limit=2"));
    let odd = world.client().post(world.url("/v1/chat/completions")).body("not json");
    read(odd).await;
    assert_eq!((upstreams[0].calls(), upstreams[1].calls()), (2, 0));
    assert_eq!(upstreams[0].asked(1).body, "not json");
}

#[tokio::test]
async fn the_list_of_models_is_the_configs_unless_there_is_a_wildcard() {
    let (served, upstreams) = world(2, "", OVER_A_AND_B).await;
    let list = read(served.client().get(served.url("/v1/models"))).await.json();
    assert_eq!((list["data"][0]["id"].as_str(), upstreams[0].calls()), (Some("gpt-test"), 0));
    let (served, upstreams) = world(2, "", "").await;
    read(served.client().get(served.url("/v1/models"))).await;
    assert_eq!(upstreams[0].calls(), 1);
}

#[tokio::test]
async fn a_stream_that_breaks_ends_in_the_dialects_error_event_and_is_not_kept() {
    let (world, upstreams) = world(2, "", OVER_A_AND_B).await;
    let request = chat_with("q", json!({ "stream": true }));
    let feed = upstreams[0].streams();
    feed.text("half");
    let mut flow = world.post("/v1/chat/completions", &request).send().await.unwrap().bytes_stream();
    let first = flow.next().await.unwrap().unwrap();
    assert!(first.ends_with(b"\n\n"), "{first:?}");
    feed.cut();
    let last = flow.next().await.unwrap().unwrap();
    assert!(last.starts_with(b"data: {\"error\":"), "{last:?}");
    assert!(flow.next().await.is_none(), "and then it ends as streams do");
    assert_eq!(world.send(&request).await.verdict(), "miss");
}

#[tokio::test]
async fn a_deployment_that_cannot_say_what_is_asked_is_passed_over() {
    let text = "[[upstream]]\nname = \"claude\"\nkind = \"anthropic\"\nurl = \"http://127.0.0.1:1\"\n\
                [[model]]\nname = \"gpt-test\"\n[[model.deployment]]\nupstream = \"claude\"\n\
                [[model.deployment]]\nupstream = \"a\"\npriority = 2\n";
    let (world, _) = world(1, "", text).await;
    let answer = read(world.post("/v1/completions", &json!({ "model": "gpt-test", "prompt": "p" }))).await;
    assert_eq!((answer.status, answer.header("x-reprise-deployment")), (200, Some("a")));
    assert_eq!(answer.header("x-reprise-tried"), None, "it did not fail");
}

#[tokio::test]
async fn an_expired_answer_stands_in_for_an_upstream_that_fails() {
    let (mut config, upstreams) = config(2, "", OVER_A_AND_B).await;
    config.policy.stale_if_error = Duration::from_secs(600);
    config.policy.ttl = Duration::from_secs(60);
    let world = World::of(upstreams[0].clone(), config).await;
    let fresh = world.ask("q").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(90)).await;
    tokio::time::resume();
    let refuse = || (0..40).for_each(|at| upstreams[at % 2].will(body(500, json!({}))));
    refuse();
    let stale = world.ask("q").await;
    assert_eq!((stale.status, stale.text(), stale.verdict()), (200, fresh.text(), "hit"));
    assert_eq!(stale.reason(), Some("stale_if_error"));
    let status = stale.header("cache-status").unwrap();
    assert!(status.starts_with("reprise; hit; ttl=-3"), "{status}");
    assert_eq!(world.ask("another").await.status, 500, "nothing stands in for what was never asked");
    let picky = world.send_with(&chat("q"), &[("cache-control", "max-age=3600")]).await;
    assert_eq!(picky.status, 500, "the client takes nothing stale");
    let metrics = read(world.client().get(world.admin("/metrics"))).await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("reprise_stale_total 1"));
}

#[tokio::test]
async fn an_expired_answer_is_not_served_past_its_limit_or_unasked() {
    let (mut config, upstreams) = config(2, "", OVER_A_AND_B).await;
    config.policy.ttl = Duration::from_secs(60);
    config.policy.stale_if_error = Duration::from_secs(20);
    let world = World::of(upstreams[0].clone(), config).await;
    world.ask("q").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(70)).await;
    tokio::time::resume();
    assert_eq!(world.ask("q").await.verdict(), "miss", "the upstream is well");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(90)).await;
    tokio::time::resume();
    (0..8).for_each(|at| upstreams[at % 2].will(body(500, json!({}))));
    assert_eq!(world.ask("q").await.status, 500);
}

#[tokio::test]
async fn every_road_closed_is_said_with_all_of_them() {
    let (world, upstreams) = world(2, "", OVER_A_AND_B).await;
    for upstream in &upstreams {
        for _ in 0..20 {
            upstream.will(body(500, json!({ "error": { "message": "no" } })));
        }
    }
    let mut answer = world.ask("0").await;
    for number in 1..12 {
        answer = world.ask(&number.to_string()).await;
    }
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (503, Some("upstream_closed")));
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("a shut, b shut"), "{message}");
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_batch_of_embeddings_takes_the_same_roads() {
    let (world, upstreams) = world(2, "", OVER_A_AND_B).await;
    upstreams[0].will(body(500, json!({})));
    let answer = json!({ "object": "list", "model": "e", "data": [{ "object": "embedding", "index": 0, "embedding": [0.5] }],
                         "usage": { "prompt_tokens": 1, "total_tokens": 1 } });
    upstreams[1].will(Say::Body {
        status: 200,
        headers: vec![("content-type", "application/json".into())],
        body: answer.to_string().into(),
    });
    let request = json!({ "model": "gpt-test", "input": ["x"] });
    let answer = read(world.post("/v1/embeddings", &request)).await;
    assert_eq!((answer.status, answer.header("x-reprise-tried")), (200, Some("a 500")));
    assert_eq!(answer.header("x-reprise-deployment"), Some("b"));
}
