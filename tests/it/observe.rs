//! Scenes of observe mode: the upstream answers everything, and what would have been served is told.

use crate::world::upstream::{body, completion};
use crate::world::{Answer, World, chat, chat_with, read};
use reprise::config::{AuditBy, CacheMode, Config, SemanticMode};
use serde_json::{Value, json};
use std::time::Duration;

const ASKED: &str = "How do I reset my password?";
const REWORDED: &str = "how can I reset my password?";

async fn world(change: impl FnOnce(&mut Config)) -> World {
    World::comparing(|config| {
        config.policy.semantic.mode = SemanticMode::Observe;
        config.policy.semantic.audit.by = AuditBy::Text;
        change(config);
    })
    .await
}

async fn observed(world: &World) -> Value {
    let told = read(world.client().get(world.admin("/api/observe"))).await.json();
    assert_eq!(told["routes"].as_array().map(Vec::len), Some(1), "{told}");
    told["routes"][0].clone()
}

/// Waits until so many comparisons came to something.
async fn compared(world: &World, count: u64) {
    let wait = async {
        loop {
            let shown = read(world.client().get(world.admin("/metrics"))).await;
            let text = String::from_utf8(shown.body.to_vec()).expect("text");
            let audits = text.lines().filter(|line| line.starts_with("reprise_audits_total{"));
            let done: u64 = audits.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
            if done >= count {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it is compared");
}

fn seen(answer: &Answer) -> (&str, Option<&str>, Option<&str>) {
    (answer.verdict(), answer.reason(), answer.tier())
}

#[tokio::test]
async fn the_upstream_answers_everything_byte_for_byte() {
    let world = world(|_| {}).await;
    for (at, (question, reason)) in [
        (ASKED, None),
        (ASKED, Some("observed")),
        (REWORDED, Some("observed")),
        ("What is the capital of Peru?", None),
    ]
    .into_iter()
    .enumerate()
    {
        let said = format!("  {{ \"odd\":  {at}, {}", &completion("Yes.").to_string()[1..]);
        let headers = vec![("content-type", "application/json".into()), ("x-request-id", format!("r{at}"))];
        world.upstream.will(crate::world::upstream::Say::Body {
            status: 200,
            headers,
            body: said.clone().into(),
        });
        let answer = world.ask(question).await;
        assert_eq!(answer.body, said.as_bytes());
        assert_eq!(answer.header("x-request-id"), Some(format!("r{at}").as_str()));
        assert_eq!((answer.verdict(), answer.tier()), ("miss", None));
        if question != "What is the capital of Peru?" {
            assert_eq!(answer.reason(), reason, "{question}");
        }
        assert_eq!(world.upstream.calls(), at + 1);
        assert_eq!(world.upstream.asked(at).json(), chat(question));
    }
    let stream = chat_with(ASKED, json!({ "stream": true }));
    let answer = world.send(&stream).await;
    assert_eq!(
        (seen(&answer), answer.streamed_text()),
        (("miss", Some("observed"), None), format!("You asked: {ASKED}"))
    );
    assert_eq!(
        world.server.gateway().cache.size().0,
        2,
        "an observed hit stores nothing, as a served one does"
    );
}

#[tokio::test]
async fn what_would_have_been_is_told_by_tier_and_compared_for_nothing() {
    let world = world(|_| {}).await;
    for text in ["The same.", "The same.", "The same.", "Another.", "Another."] {
        world.upstream.says(text);
    }
    for question in [ASKED, REWORDED, ASKED, REWORDED, ASKED] {
        world.ask(question).await;
    }
    compared(&world, 4).await;
    let told = observed(&world).await;
    assert_eq!(told["mode"], "observe");
    assert_eq!((&told["max_wrong_rate"], &told["standing"]), (&Value::Null, &Value::Null));
    assert_eq!(told["requests"], 5);
    assert_eq!(told["hits"], json!({ "exact": 2, "semantic": 2, "rate": 0.8 }));
    assert_eq!((&told["audits"]["labels"], &told["audits"]["wrong"]), (&json!(2), &json!(1)));
    assert_eq!(told["exact_repeats"], json!({ "compared": 2, "differed": 1 }));
    assert_eq!((&told["spent"]["calls"], &told["audits"]["hits"]), (&json!(0), &json!(0)));
    assert_eq!(told["threshold"], 0.7, "the model's own");
    assert!(told["wrong"]["estimate"].as_f64().is_some_and(|rate| (0.49..0.51).contains(&rate)), "{told}");
    assert_eq!(told["wrong"]["bound"], Value::Null, "two labels prove nothing");
    let tried = told["tried"].as_array().unwrap();
    assert_eq!(
        (tried.len(), &tried[0]["hit_rate"], &tried[29]["hit_rate"]),
        (30, &json!(0.4), &json!(0.0)),
        "{told}"
    );
    assert_eq!(world.upstream.calls(), 5);
    let empty = read(world.client().get(world.admin("/api/budget"))).await.json();
    assert_eq!(empty, json!({ "routes": [] }), "no budget was asked for");
}

#[tokio::test]
async fn a_team_learns_its_bound_before_it_switches_on() {
    let world = world(|config| config.policy.semantic.audit.max_wrong_rate = Some(0.05)).await;
    // Thresholds to begin at are chosen after 200 candidates; a proof of 5 % takes 106.
    let needed = 210;
    for _ in 0..=needed {
        world.upstream.says("Under Settings, Security.");
    }
    world.ask(ASKED).await;
    for _ in 0..needed {
        assert_eq!(world.ask(REWORDED).await.verdict(), "miss");
    }
    compared(&world, needed).await;
    let told = observed(&world).await;
    assert_eq!((&told["standing"], &told["audits"]["wrong"]), (&json!("held"), &json!(0)), "{told}");
    assert!(told["wrong"]["bound"].as_f64().is_some_and(|bound| bound <= 0.05), "{told}");
    assert!(told["hits"]["rate"].as_f64().is_some_and(|rate| rate > 0.9), "{told}");
    assert_eq!(world.upstream.calls() as u64, needed + 1, "comparing cost no call");
}

#[tokio::test]
async fn identical_requests_at_once_all_go_upstream() {
    let world = world(|_| {}).await;
    let (go, word) = tokio::sync::oneshot::channel();
    let first = crate::world::upstream::Say::After(word, Box::new(body(200, completion("first"))));
    world.upstream.will(first);
    world.upstream.says("second");
    let (first, second) = tokio::join!(world.ask(ASKED), async {
        world.upstream.reached(1).await;
        let second = world.ask(ASKED).await;
        let _ = go.send(());
        second
    });
    assert_eq!((first.text(), second.text()), ("first".to_owned(), "second".to_owned()));
    assert_eq!(world.upstream.calls(), 2);
}

#[tokio::test]
async fn an_exact_cache_is_observed_too_and_so_are_embeddings() {
    let world = World::with(|config| {
        config.policy.mode = CacheMode::Exact;
        config.policy.semantic.mode = SemanticMode::Observe;
        config.semantic.state = None;
    })
    .await;
    world.ask(ASKED).await;
    assert_eq!(seen(&world.ask(ASKED).await), ("miss", Some("observed"), None));
    let request = json!({ "model": "e", "input": "hello" });
    let vector = json!({ "object": "list", "model": "e", "data": [{ "object": "embedding", "index": 0, "embedding": [0.5] }],
                         "usage": { "prompt_tokens": 1, "total_tokens": 1 } });
    for _ in 0..2 {
        world.upstream.will(body(200, vector.clone()));
        assert_eq!(read(world.post("/v1/embeddings", &request)).await.verdict(), "miss");
    }
    assert_eq!(world.upstream.calls(), 4);
    let only = world.send_with(&chat(ASKED), &[("cache-control", "only-if-cached")]).await;
    assert_eq!((only.status, world.upstream.calls()), (504, 4), "only-if-cached never asks upstream");
    let told = observed(&world).await;
    assert_eq!(told["hits"], json!({ "exact": 1, "semantic": 0, "rate": 0.33333 }));
}

#[tokio::test]
async fn a_callers_answers_are_observed_within_its_own_scope() {
    let world = world(|_| {}).await;
    world.send_as("sk-one", &chat(ASKED)).await;
    assert_eq!(world.send_as("sk-two", &chat(ASKED)).await.reason(), None);
    assert_eq!(world.send_as("sk-two", &chat(ASKED)).await.reason(), Some("observed"));
    assert_eq!(observed(&world).await["hits"]["exact"], 1);
}
