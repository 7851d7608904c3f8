//! Scenes of the wrong-answer budget at work: audits behind the hits, and what follows from them.

mod judged;
mod likeness;
mod kept;

use crate::world::upstream::{Say, Upstream, body, completion};
use crate::world::{Answer, World, chat, chat_with, read};
use reprise::config::{AuditBy, Config, Policy, Route, RouteMatch, Strictness};
use serde_json::{Value, json};
use std::time::Duration;

const ASKED: &str = "How do I reset my password?";
const REWORDED: &str = "how can I reset my password?";

/// Every hit by meaning is audited, from the model's own threshold on.
fn audited(policy: &mut Policy, by: AuditBy) {
    policy.semantic.audit.max_wrong_rate = Some(0.01);
    policy.semantic.audit.share = Some(1.0);
    policy.semantic.audit.by = by;
}

async fn world_with(change: impl FnOnce(&mut Config)) -> World {
    world_before(Upstream::start().await, change).await
}

async fn world_before(upstream: Upstream, change: impl FnOnce(&mut Config)) -> World {
    let world = World::before(upstream, |config| {
        config.semantic.patience = Duration::from_secs(10);
        config.semantic.state = None;
        change(config);
    })
    .await;
    world.server.semantic_ready().await.expect("the model loads; run scripts/fetch");
    world
}

async fn world(by: AuditBy) -> World {
    world_with(|config| audited(&mut config.policy, by)).await
}

/// What `/api/budget` says of the routes.
async fn budgets(world: &World) -> Vec<Value> {
    let told = read(world.client().get(world.admin("/api/budget"))).await;
    assert_eq!(told.status, 200);
    told.json()["routes"].as_array().expect("routes").clone()
}

async fn metric(world: &World, line: &str) -> u64 {
    let shown = read(world.client().get(world.admin("/metrics"))).await;
    let text = String::from_utf8(shown.body.to_vec()).expect("text");
    let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or(0)
}

fn line(of: &str, outcome: &str) -> String {
    format!("reprise_audits_total{{of=\"{of}\",outcome=\"{outcome}\"}}")
}

/// Waits until so many audits came to this.
async fn came_to(world: &World, of: &str, outcome: &str, count: u64) {
    let line = line(of, outcome);
    let wait = async {
        while metric(world, &line).await < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .unwrap_or_else(|_| panic!("never {line} {count}"));
    assert_eq!(metric(world, &line).await, count);
}

fn of_model(question: &str, model: usize) -> Value {
    chat_with(question, json!({ "model": format!("model-{model}") }))
}

/// A stored answer, and a hit on it in other words.
async fn hit(world: &World, model: usize) -> Answer {
    world.send(&of_model(ASKED, model)).await;
    let hit = world.send(&of_model(REWORDED, model)).await;
    assert_eq!(hit.tier(), Some("l2"), "{:?}", hit.reason());
    hit
}

#[tokio::test]
async fn a_wrong_hit_is_found_and_the_right_answer_takes_its_place() {
    let world = world(AuditBy::Text).await;
    world.ask(ASKED).await;
    let request = chat_with(REWORDED, json!({ "stream": true, "stream_options": { "include_usage": true } }));
    let wrong = world.send_with(&request, &[("x-trace", "7")]).await;
    assert_eq!((wrong.tier(), wrong.streamed_text()), (Some("l2"), format!("You asked: {ASKED}")));
    came_to(&world, "hit", "differed", 1).await;

    assert_eq!(world.upstream.calls(), 2);
    let audit = world.upstream.asked(1);
    assert_eq!(audit.json(), request, "the request as the client sent it");
    assert_eq!(audit.headers["authorization"], "Bearer sk-one");
    assert_eq!(audit.headers["x-trace"], "7");

    let again = world.send(&request).await;
    assert_eq!((again.tier(), again.streamed_text()), (Some("l1"), format!("You asked: {REWORDED}")));
    assert_eq!(world.ask(ASKED).await.tier(), Some("l1"), "its own question it goes on to answer");
    assert_eq!(world.upstream.calls(), 2);
    assert_eq!(metric(&world, "reprise_audit_tokens_total{kind=\"prompt\"}").await, 9);
    assert_eq!(metric(&world, "reprise_audit_tokens_total{kind=\"completion\"}").await, 3);
    let told = &budgets(&world).await[0];
    assert_eq!(told["spent"]["calls"], 1, "{told}");
    assert_eq!((&told["audits"]["labels"], &told["audits"]["wrong"]), (&json!(1), &json!(1)), "{told}");
    assert_eq!(told["hits"]["semantic"], 1, "{told}");
}

#[tokio::test]
async fn a_right_hit_changes_nothing() {
    let world = world(AuditBy::Text).await;
    world.upstream.says("Under Settings,  Security.");
    world.upstream.says("Under Settings, Security.\n");
    hit(&world, 1).await;
    came_to(&world, "hit", "agreed", 1).await;
    let told = &budgets(&world).await[0];
    assert_eq!((&told["standing"], &told["threshold"]), (&json!("unproven"), &json!(0.7)), "{told}");
    assert_eq!(told["audits"]["wrong"], 0);
    assert_eq!(world.send(&of_model(REWORDED, 1)).await.tier(), Some("l2"), "one entry serves both");
}

#[tokio::test]
async fn enough_wrong_hits_leave_exact_hits_only() {
    let world = world(AuditBy::Text).await;
    let mut wrong = 0;
    while budgets(&world).await[0]["standing"] == "unproven" {
        wrong += 1;
        assert!(wrong <= 5, "it is not given up");
        hit(&world, wrong).await;
        came_to(&world, "hit", "differed", wrong as u64).await;
    }
    let told = &budgets(&world).await[0];
    assert_eq!((&told["standing"], &told["threshold"]), (&json!("exact"), &Value::Null), "{told}");

    world.send(&of_model(ASKED, 99)).await;
    let near = world.send(&of_model(REWORDED, 99)).await;
    assert_eq!((near.verdict(), near.reason()), ("miss", Some("budget_exact")));
    came_to(&world, "near", "differed", 1).await;
    let loose = [("x-reprise-threshold", "0.1")];
    let wish = "what can I do to reset my password?";
    assert_eq!(
        world.send_with(&of_model(wish, 99), &loose).await.verdict(),
        "miss",
        "a client may not loosen"
    );
    assert_eq!(world.send(&of_model(ASKED, 99)).await.tier(), Some("l1"), "exact hits go on");

    let explain = json!({ "headers": { "authorization": "Bearer sk-one" }, "body": of_model("how could I reset my password?", 99) });
    let explained =
        read(world.client().post(world.admin("/api/explain")).body(explain.to_string())).await.json();
    assert_eq!(explained["reason"], "budget_exact", "{explained}");
    let threshold = json!({ "value": null, "from": "semantic.max_wrong_rate" });
    assert_eq!(explained["meaning"]["threshold"], threshold, "{explained}");
}

#[tokio::test]
async fn a_clients_threshold_only_tightens() {
    let world = world(AuditBy::Text).await;
    world.ask(ASKED).await;
    let strict = [("x-reprise-threshold", "0.9999")];
    let missed = world.send_with(&chat(REWORDED), &strict).await;
    assert_eq!((missed.verdict(), missed.reason()), ("miss", Some("below_threshold")));
    let far = [("x-reprise-threshold", "0.2")];
    let missed = world.send_with(&chat("How do I reset the router in my office?"), &far).await;
    assert_eq!(missed.verdict(), "miss");
    assert_eq!(budgets(&world).await[0]["audits"]["labels"], 0, "a client's own choice is no evidence");
}

/// Without a calibrated threshold nothing is served before it is proven; neighbours are compared on their misses.
#[tokio::test]
async fn what_is_not_served_is_compared_for_nothing() {
    let world = world_with(|config| {
        audited(&mut config.policy, AuditBy::Text);
        config.policy.semantic.verify = Strictness::Balanced;
    })
    .await;
    world.upstream.says("Under Settings.");
    world.upstream.says("Under Settings.");
    world.ask(ASKED).await;
    let near = world.ask(REWORDED).await;
    assert_eq!((near.verdict(), near.reason()), ("miss", Some("budget_exact")));
    came_to(&world, "near", "agreed", 1).await;
    let told = &budgets(&world).await[0];
    assert_eq!((&told["audits"]["near"], &told["spent"]["calls"]), (&json!(1), &json!(0)), "{told}");
    assert_eq!(world.upstream.calls(), 2);
}

#[tokio::test]
async fn an_audit_is_never_in_the_way_of_a_hit_or_of_a_drain() {
    let world = world(AuditBy::Text).await;
    world.ask(ASKED).await;
    let (_never, word) = tokio::sync::oneshot::channel();
    world.upstream.will(Say::After(word, Box::new(body(200, completion("late")))));
    assert_eq!(world.ask(REWORDED).await.tier(), Some("l2"), "while its audit hangs");
    world.upstream.reached(2).await;
    assert_eq!(world.ask(REWORDED).await.tier(), Some("l2"));
    tokio::time::timeout(Duration::from_secs(10), world.server.drain()).await.expect("a drain does not wait");
    let gateway = world.server.gateway();
    let told = gateway.told(reprise::gateway::trust::report::About::Budgets);
    assert_eq!(
        told.routes[0].audits.lost,
        2 - told.routes[0].audits.labels,
        "what was given up is no verdict"
    );
}

#[tokio::test]
async fn an_upstream_that_fails_gives_no_verdict_and_is_left_alone() {
    let world = world(AuditBy::Text).await;
    world.ask(ASKED).await;
    world.upstream.will(body(503, json!({ "error": { "message": "overloaded" } })));
    assert_eq!(world.ask(REWORDED).await.tier(), Some("l2"));
    came_to(&world, "hit", "upstream_failed", 1).await;
    assert_eq!(world.ask(REWORDED).await.tier(), Some("l2"), "hits go on");
    came_to(&world, "hit", "shed", 1).await;
    assert_eq!(world.upstream.calls(), 2);
    let told = &budgets(&world).await[0];
    assert_eq!((&told["audits"]["lost"], &told["audits"]["labels"]), (&json!(2), &json!(0)), "{told}");
    assert_eq!(told["standing"], "unproven");
}

#[tokio::test]
async fn an_answer_that_is_cut_is_no_evidence() {
    let world = world(AuditBy::Text).await;
    world.ask(ASKED).await;
    let mut cut = completion("Under Set");
    cut["choices"][0]["finish_reason"] = json!("length");
    world.upstream.will(body(200, cut));
    world.ask(REWORDED).await;
    came_to(&world, "hit", "not_whole", 1).await;
    assert_eq!(world.ask(REWORDED).await.tier(), Some("l2"));
}

#[tokio::test]
async fn each_route_has_a_budget_of_its_own() {
    let world = world_with(|config| {
        let mut policy = config.policy.clone();
        audited(&mut policy, AuditBy::Text);
        for name in ["faq", "chat"] {
            let header = Some(("x-feature".to_owned(), name.to_owned()));
            let matches = RouteMatch { header, ..RouteMatch::default() };
            config.routes.push(Route { name: name.into(), matches, policy: policy.clone() });
        }
    })
    .await;
    for (feature, text) in [("faq", None), ("chat", Some("The same."))] {
        for question in [ASKED, REWORDED] {
            if let Some(text) = text {
                world.upstream.says(text);
            }
            let request = chat_with(question, json!({ "model": feature }));
            world.send_with(&request, &[("x-feature", feature)]).await;
        }
    }
    came_to(&world, "hit", "differed", 1).await;
    came_to(&world, "hit", "agreed", 1).await;
    let told = budgets(&world).await;
    let seen: Vec<_> = told.iter().map(|t| (t["route"].clone(), t["audits"]["wrong"].clone())).collect();
    assert_eq!(seen, [(json!("faq"), json!(1)), (json!("chat"), json!(0))], "the general route has none");
    assert_eq!(world.ask(ASKED).await.verdict(), "miss");
    assert_eq!(world.ask(REWORDED).await.tier(), Some("l2"));
    assert_eq!(world.upstream.calls(), 5, "a route without a budget is not audited");
}

#[tokio::test]
async fn an_audit_asks_with_the_credential_of_the_one_who_asked() {
    let world = world(AuditBy::Text).await;
    for (at, key) in ["sk-one", "sk-two"].into_iter().enumerate() {
        world.send_as(key, &chat(ASKED)).await;
        assert_eq!(world.send_as(key, &chat(REWORDED)).await.tier(), Some("l2"));
        came_to(&world, "hit", "differed", at as u64 + 1).await;
        let audit = world.upstream.asked(2 * at + 1);
        assert_eq!(audit.headers["authorization"], format!("Bearer {key}"));
    }
    assert_eq!(world.server.gateway().cache.size().0, 4, "what an audit brought is its caller's alone");
}

#[tokio::test]
async fn a_complaint_counts_for_the_route_that_served() {
    let world = world(AuditBy::Text).await;
    world.upstream.says("The same.");
    world.upstream.says("The same.");
    let hit = hit(&world, 1).await;
    came_to(&world, "hit", "agreed", 1).await;
    let report = json!({ "entry": hit.header("x-reprise-entry"), "right": false, "question": REWORDED });
    let told = read(world.client().post(world.admin("/api/feedback")).body(report.to_string())).await;
    assert_eq!(told.json()["outcome"], "tightened");
    assert_eq!(budgets(&world).await[0]["audits"]["complaints"], 1);
}
