//! What one replica learns, the others answer.

use super::{count, counted, eventually, exact, fleet, flowing, hit, replica, written};
use crate::world::redis::{BOTH, Kind, Server};
use crate::world::upstream::{Say, Upstream, body, completion};
use crate::world::{World, chat, chat_with};
use reprise::cache::purge::Order;
use reprise::cache::shared::Meaning;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const ASKED: &str = "How do I reset my password?";
const REWORDED: &str = "How can I reset my password?";

#[tokio::test]
async fn what_one_replica_asks_the_others_know() {
    for kind in BOTH {
        let server = Server::start(kind);
        let [a, b, c] = fleet(&server, exact).await;
        let first = a.ask("capital of France?").await;
        assert_eq!(first.verdict(), "miss", "{kind:?}");
        for other in [&b, &c] {
            let answer = hit(other, "capital of France?").await;
            assert_eq!(answer.tier(), Some("l3"), "{kind:?}");
            assert_eq!(answer.body, first.body, "byte for byte");
            assert!(answer.header("cache-status").unwrap().ends_with("detail=l3"));
            assert_eq!(
                answer.header("x-reprise-entry"),
                hit(&a, "capital of France?").await.header("x-reprise-entry")
            );
            assert_eq!(
                hit(other, "capital of France?").await.tier(),
                Some("l1"),
                "it warms what lies before it"
            );
        }
        assert_eq!(a.upstream.calls(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn what_one_replica_asks_the_others_know_in_other_words() {
    for (kind, tier) in [(Kind::Seven, "l2"), (Kind::Eight, "l3")] {
        let server = Server::start(kind);
        let [a, b, c] = fleet(&server, |_| ()).await;
        for replica in [&a, &b, &c] {
            replica.has_model().await;
        }
        let offered = b.server.gateway().cache.shared().unwrap().meaning();
        let expected = if kind == Kind::Eight { Meaning::VectorSets } else { Meaning::Stream };
        assert_eq!(offered, Some(expected));
        let first = a.ask(ASKED).await;
        for other in [&b, &c] {
            let answer = hit(other, REWORDED).await;
            assert_eq!(answer.tier(), Some(tier), "{kind:?}: {:?}", answer.headers);
            assert_eq!(answer.body, first.body);
            assert!(answer.header("x-reprise-score").is_some());
            assert_eq!(
                hit(other, REWORDED).await.tier(),
                Some("l2"),
                "{kind:?}: it warms what lies before it"
            );
        }
        let unlike = b.ask("Where is my order 1001?").await;
        assert_eq!(unlike.verdict(), "miss", "{kind:?}");
        hit(&c, "Where is my order 1001?").await;
        let other = c.ask("Where is my order 1002?").await;
        assert_eq!((other.verdict(), other.reason()), ("miss", Some("numbers_differ")), "{kind:?}");
        assert_eq!(a.upstream.calls(), 3, "{kind:?}");
    }
}

#[tokio::test]
async fn a_replica_that_starts_later_has_what_was_learnt_before() {
    for kind in BOTH {
        let server = Server::start(kind);
        let [a] = fleet(&server, |_| ()).await;
        a.has_model().await;
        a.ask(ASKED).await;
        written(&a, "done", 2).await;
        let late = replica(&a.upstream, server.config(), |_| ()).await;
        flowing(&late).await;
        late.has_model().await;
        assert_eq!(hit(&late, REWORDED).await.header("x-reprise-verdict"), Some("hit"), "{kind:?}");
        assert_eq!(a.upstream.calls(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn an_embedding_of_one_replica_serves_the_other() {
    let server = Server::start(Kind::Seven);
    let [a, b] = fleet(&server, exact).await;
    let answer = json!({ "object": "list", "model": "e", "data": [{ "object": "embedding", "index": 0, "embedding": [0.5, 0.25] }],
        "usage": { "prompt_tokens": 2, "total_tokens": 2 } });
    a.upstream.will(body(200, answer));
    let request = json!({ "model": "e", "input": "some text" });
    let asked = crate::world::read(a.post("/v1/embeddings", &request)).await;
    assert_eq!((asked.status, asked.verdict()), (200, "miss"));
    written(&a, "done", 2).await;
    let known = crate::world::read(b.post("/v1/embeddings", &request)).await;
    assert_eq!((known.verdict(), known.tier()), ("hit", Some("l3")), "{:?}", known.headers);
    assert_eq!(known.json()["data"], asked.json()["data"]);
    assert_eq!(a.upstream.calls(), 1);
}

#[tokio::test]
async fn a_purge_reaches_every_replica_and_redis() {
    for kind in BOTH {
        let server = Server::start(kind);
        let [a, b, c] = fleet(&server, exact).await;
        let tagged = [("x-reprise-tags", "feature=faq")];
        a.send_with(&chat("one"), &tagged).await;
        a.send(&chat_with("two", json!({ "model": "gpt-other" }))).await;
        a.ask("three").await;
        for other in [&b, &c] {
            for question in ["one", "three"] {
                hit(other, question).await;
            }
        }
        purge(&a, &Order { tag: Some("feature=faq".to_owned()), ..Order::default() }).await;
        for other in [&b, &c] {
            counted(other, "reprise_shared_followed_total{kind=\"purge\"}", 1).await;
            assert!(!is_known(other, "one").await, "{kind:?}");
            assert!(is_known(other, "three").await, "{kind:?}: only what the purge names");
        }
        assert!(!is_known(&a, "one").await);
        eventually("it is deleted, too", async || server.names("reprise:1:e:*").await.len() == 2).await;
        assert_eq!(a.ask("one").await.verdict(), "miss");
        assert!(is_known(&a, "one").await, "what is stored after a purge stays");
        eventually("b knows it anew", async || is_known(&b, "one").await).await;
    }
}

async fn purge(world: &World, order: &Order) {
    // What is stored in the same millisecond is purged too.
    let clock = world.server.gateway().clock.clone();
    let now = clock.now();
    eventually("time goes on", async || clock.now() > now).await;
    world.server.gateway().cache.purge(order, false).await.expect("an order");
    let done = clock.now();
    eventually("time goes on", async || clock.now() > done).await;
}

fn everything() -> Order {
    Order { all: true, ..Order::default() }
}

async fn is_known(world: &World, question: &str) -> bool {
    world.ask_the_cache(question).await.verdict() == "hit"
}

#[tokio::test]
async fn a_purge_by_meaning_reaches_what_only_another_replica_knows() {
    for kind in BOTH {
        let server = Server::start(kind);
        let [a, b] = fleet(&server, |_| ()).await;
        for world in [&a, &b] {
            world.has_model().await;
        }
        b.ask(ASKED).await;
        b.ask("What are your opening hours?").await;
        written(&b, "done", 3).await;
        purge(&a, &Order { near: Some(REWORDED.to_owned()), ..Order::default() }).await;
        counted(&b, "reprise_shared_followed_total{kind=\"purge\"}", 1).await;
        assert!(!is_known(&b, ASKED).await && !is_known(&a, ASKED).await, "{kind:?}");
        assert!(is_known(&b, "What are your opening hours?").await, "{kind:?}");
    }
}

#[tokio::test]
async fn an_entry_that_was_reported_wrong_is_gone_everywhere() {
    let server = Server::start(Kind::Eight);
    let [a, b] = fleet(&server, exact).await;
    a.ask("q").await;
    let id = hit(&b, "q").await.header("x-reprise-entry").unwrap().to_owned();
    let report = json!({ "entry": id, "right": false });
    let sent = b.client().post(b.admin("/api/feedback")).body(report.to_string()).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    counted(&a, "reprise_shared_followed_total{kind=\"purge\"}", 1).await;
    assert!(!is_known(&a, "q").await && !is_known(&b, "q").await);
    assert_eq!(server.names("reprise:1:e:*").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_purge_while_redis_is_away_is_delivered_before_redis_is_asked_again() {
    let mut server = Server::start(Kind::Seven);
    let [a, b] = fleet(&server, exact).await;
    a.ask("q").await;
    written(&a, "done", 2).await;
    // Kept over the restart by the scene, as a server with persistence would.
    let dump = server.dump("reprise:1:e:*").await;
    server.kill();
    super::state(&a, reprise::cache::shared::State::Shut).await;
    purge(&a, &everything()).await;
    server.start_again();
    server.put_back(dump).await;
    flowing(&a).await;
    flowing(&b).await;
    eventually("b has heard of it", async || !is_known(&b, "q").await).await;
    assert!(!is_known(&a, "q").await);
}

#[tokio::test]
async fn a_thousand_at_once_over_three_replicas_are_one_upstream_call() {
    let server = Server::start(Kind::Eight);
    let worlds: [World; 3] = fleet(&server, exact).await;
    let worlds = Arc::new(worlds);
    let upstream = worlds[0].upstream.clone();
    let (go, word) = tokio::sync::oneshot::channel();
    upstream.will(Say::After(word, Box::new(body(200, completion("once")))));
    let mut asking = tokio::task::JoinSet::new();
    for at in 0..1_000 {
        let worlds = worlds.clone();
        asking.spawn(async move { worlds[at % 3].ask("the same").await });
    }
    upstream.reached(1).await;
    // The other two replicas wait for a lease that is taken.
    eventually("all wait", async || waiting(&worlds[..]) >= 3).await;
    go.send(()).unwrap();
    while let Some(answer) = asking.join_next().await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "once"));
    }
    assert_eq!(upstream.calls(), 1);
}

fn waiting(worlds: &[World]) -> usize {
    worlds.iter().map(|world| world.server.gateway().cache.flights.len()).sum()
}

#[tokio::test]
async fn a_leader_that_dies_is_followed_by_another_replica() {
    let server = Server::start(Kind::Seven);
    let [a, b] = fleet(&server, exact).await;
    a.ask("warm up").await;
    // A lease that nobody renews: its holder was killed.
    let name = lease_name(&server, &a, "orphan").await;
    let () = server.call(&["SET", &name, "the dead", "PX", "300"]).await;
    let answer = b.ask("orphan").await;
    assert_eq!((answer.status, answer.verdict()), (200, "miss"));
    assert_eq!(b.upstream.calls(), 3);
    assert_eq!(count(&b, "reprise_shared_leases_total{outcome=\"ours\"}"), 1);
}

#[tokio::test]
async fn who_waits_too_long_for_another_replica_goes_alone() {
    let server = Server::start(Kind::Seven);
    let upstream = Upstream::start().await;
    let mut redis = server.config();
    redis.flight_wait = Duration::from_millis(100);
    let world = replica(&upstream, redis, exact).await;
    flowing(&world).await;
    world.ask("warm up").await;
    let name = lease_name(&server, &world, "held").await;
    let () = server.call(&["SET", &name, "another", "PX", "60000"]).await;
    assert_eq!(world.ask("held").await.verdict(), "miss");
    assert_eq!(count(&world, "reprise_shared_leases_total{outcome=\"alone\"}"), 1);
    let held: String = server.call(&["GET", &name]).await;
    assert_eq!(held, "another", "a lease that is not ours is left alone");
}

/// The name of the lease that asking `question` would take; found by asking it and forgetting the entry.
async fn lease_name(server: &Server, world: &World, question: &str) -> String {
    let before = server.names("reprise:1:e:*").await;
    world.ask(question).await;
    eventually("it is shared", async || server.names("reprise:1:e:*").await.len() > before.len()).await;
    let entry = server.names("reprise:1:e:*").await.into_iter().find(|name| !before.contains(name)).unwrap();
    let lease = entry.replace("reprise:1:e:", "reprise:1:l:");
    eventually("the lease is given back", async || server.names(&lease).await.is_empty()).await;
    purge(world, &everything()).await;
    eventually("it is gone", async || !server.names("reprise:1:e:*").await.contains(&entry)).await;
    lease
}

#[tokio::test]
async fn the_fleets_secret_may_be_given_or_lie_in_redis() {
    let server = Server::start(Kind::Seven);
    let upstream = Upstream::start().await;
    let given = |text: &str| {
        let secret = Some(reprise::base::secret::Secret::new(text.to_owned()));
        reprise::config::Redis { secret, ..server.config() }
    };
    let a = replica(&upstream, given("one-secret-of-a-fleet"), exact).await;
    let b = replica(&upstream, given("one-secret-of-a-fleet"), exact).await;
    let other = replica(&upstream, given("another-secret-of-a-fleet"), exact).await;
    for world in [&a, &b, &other] {
        flowing(world).await;
    }
    a.ask("q").await;
    assert_eq!(hit(&b, "q").await.tier(), Some("l3"));
    assert_eq!(other.ask("q").await.verdict(), "miss", "another fleet's scopes are other scopes");
    assert_eq!(
        server.names("reprise:1:secret").await,
        Vec::<String>::new(),
        "what is given is not put there"
    );
    let in_redis = replica(&upstream, server.config(), exact).await;
    flowing(&in_redis).await;
    assert_eq!(server.names("reprise:1:secret").await.len(), 1);
}
