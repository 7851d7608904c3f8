//! `/api/feedback` on one replica and what the others serve from then on; `/api/explain` on one that has nothing yet.

use super::{counted, eventually, exact, fleet, flowing, hit, replica, written};
use crate::world::redis::{BOTH, Kind, Server};
use crate::world::{Answer, World, chat, read};
use serde_json::{Value, json};

const ASKED: &str = "How do I reset my password?";
const REWORDED: &str = "How can I reset my password?";

async fn post(world: &World, path: &str, body: Value) -> Answer {
    read(world.client().post(world.admin(path)).body(body.to_string())).await
}

async fn explain(world: &World, question: &str) -> Value {
    let headers = json!({ "authorization": "Bearer sk-one" });
    let asked = json!({ "path": "/v1/chat/completions", "headers": headers, "body": chat(question) });
    let told = post(world, "/api/explain", asked).await;
    assert_eq!(told.status, 200, "{:?}", told.body);
    told.json()
}

#[tokio::test]
async fn an_answer_that_was_wrong_for_a_question_is_so_on_every_replica() {
    for kind in BOTH {
        let server = Server::start(kind);
        let [a, b] = fleet(&server, |_| ()).await;
        for world in [&a, &b] {
            world.has_model().await;
        }
        a.ask(ASKED).await;
        let id = hit(&b, REWORDED).await.header("x-reprise-entry").unwrap().to_owned();
        let report = json!({ "entry": id, "right": false, "question": REWORDED });
        let told = post(&a, "/api/feedback", report).await;
        assert_eq!((told.status, told.json()["outcome"].as_str()), (200, Some("tightened")), "{kind:?}");
        counted(&b, "reprise_shared_followed_total{kind=\"report\"}", 1).await;
        // A third one starts now and has heard of it before it serves anything.
        let late = replica(&a.upstream, server.config(), |_| ()).await;
        flowing(&late).await;
        late.has_model().await;
        for world in [&a, &b, &late] {
            assert_eq!(hit(world, ASKED).await.status, 200, "{kind:?}: its own words go on");
            assert_eq!(world.ask_the_cache(REWORDED).await.status, 504, "{kind:?}");
            assert_eq!(explain(world, REWORDED).await["reason"], "reported_wrong", "{kind:?}");
        }
        // No text of either question lies in Redis for it.
        let lines: Vec<redis::Value> = server.call(&["XRANGE", "reprise:1:purged", "-", "+"]).await;
        assert!(lines.len() == 1 && !format!("{lines:?}").contains("password"), "{lines:?}");
    }
}

#[tokio::test]
async fn a_report_finds_an_entry_that_only_redis_has_here() {
    for kind in BOTH {
        let server = Server::start(kind);
        let [a, b] = fleet(&server, exact).await;
        a.ask("q").await;
        written(&a, "done", 2).await;
        let id = a.ask("q").await.header("x-reprise-entry").unwrap().to_owned();
        let told = post(&b, "/api/feedback", json!({ "entry": id, "right": false })).await;
        assert_eq!((told.status, told.json()["outcome"].as_str()), (200, Some("dropped")), "{kind:?}");
        counted(&a, "reprise_shared_followed_total{kind=\"purge\"}", 1).await;
        for world in [&a, &b] {
            assert_eq!(world.ask_the_cache("q").await.status, 504, "{kind:?}");
        }
        let unknown = post(&b, "/api/feedback", json!({ "entry": "00".repeat(16), "right": true })).await;
        assert_eq!(unknown.status, 404);
    }
}

#[tokio::test]
async fn a_report_made_while_redis_is_away_is_passed_on_before_redis_is_asked_again() {
    let mut server = Server::start(Kind::Eight);
    let [a, b] = fleet(&server, |_| ()).await;
    for world in [&a, &b] {
        world.has_model().await;
    }
    a.ask(ASKED).await;
    let id = hit(&b, REWORDED).await.header("x-reprise-entry").unwrap().to_owned();
    server.kill();
    super::state(&a, reprise::cache::shared::State::Shut).await;
    let report = json!({ "entry": id, "right": false, "question": REWORDED });
    assert_eq!(post(&a, "/api/feedback", report).await.status, 200);
    server.start_again();
    flowing(&a).await;
    counted(&b, "reprise_shared_followed_total{kind=\"report\"}", 1).await;
    assert_eq!(explain(&b, REWORDED).await["reason"], "reported_wrong");
    assert_eq!(hit(&b, ASKED).await.tier(), Some("l1"));
}

/// What a replica that has nothing itself says is what then happens; saying it changes nothing.
#[tokio::test]
async fn explain_names_what_the_other_replicas_have() {
    for (kind, tier) in [(Kind::Seven, "l2"), (Kind::Eight, "l3")] {
        let server = Server::start(kind);
        let [a, b, c] = fleet(&server, |_| ()).await;
        for world in [&a, &b, &c] {
            world.has_model().await;
        }
        a.ask(ASKED).await;
        written(&a, "done", if kind == Kind::Eight { 3 } else { 2 }).await;
        if kind == Kind::Seven {
            counted(&b, "reprise_shared_followed_total{kind=\"entry\"}", 1).await;
            counted(&c, "reprise_shared_followed_total{kind=\"entry\"}", 1).await;
        }
        let exact_tier = if kind == Kind::Eight { "l3" } else { "l1" };
        for (world, question, tier) in [(&b, ASKED, exact_tier), (&c, REWORDED, tier)] {
            // Twice the same: the first has left nothing here.
            eventually("it is found", async || explain(world, question).await["outcome"] == "hit").await;
            let told = explain(world, question).await;
            let found = (told["outcome"].as_str(), told["tier"].as_str());
            assert_eq!(found, (Some("hit"), Some(tier)), "{kind:?}: {told}");
            let neighbour = &told["meaning"]["neighbours"][0];
            assert_eq!((&neighbour["entry"], &neighbour["question"]), (&told["entry"]["id"], &json!(ASKED)));
            assert_eq!(told["meaning"]["inhabited"], true, "{told}");
            let answer = world.ask(question).await;
            assert_eq!((answer.verdict(), answer.tier()), ("hit", Some(tier)), "{kind:?}");
            assert_eq!(told["entry"]["id"].as_str(), answer.header("x-reprise-entry"));
            let score = told["entry"]["score"].as_f64().map(|score| format!("{score:.4}"));
            assert_eq!(score.as_deref(), answer.header("x-reprise-score"), "{told}");
        }
        let unlike = explain(&c, "Where is my order 1001?").await;
        assert_eq!(unlike["outcome"], "miss", "{unlike}");
        assert_eq!(a.upstream.calls(), 1);
    }
}
