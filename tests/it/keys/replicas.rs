//! Limits over three replicas on one Redis, and what becomes of them without it.

use super::budgets::{DOLLAR, ask, dear, whole};
use super::{OWN, code, named};
use crate::shared::{count, eventually, flowing, state};
use crate::world::redis::{BOTH, Kind, Server};
use crate::world::upstream::{Say, Upstream, body, completion};
use crate::world::{Answer, World};
use reprise::accounts::keys::LAPSE;
use reprise::base::money::NanoUsd;
use reprise::base::secret::Secret;
use reprise::cache::shared::State;
use reprise::config::keys::{Grant, Listed};
use reprise::config::{CacheMode, Redis};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const KEY: &str = "sk-of-the-whole-team";
const TIME_BOX: Duration = Duration::from_millis(50);
/// What a request may take beside its time-boxes on a machine that does other things too: this tells a hang.
const BUSY: Duration = Duration::from_secs(10);
const CENT: u64 = DOLLAR.0 / 100;

/// A replica that keeps one key, of the config, and its ledger in `folder`.
async fn replica(upstream: &Upstream, redis: Redis, folder: Option<&Path>, grant: &Grant) -> World {
    let world = World::before(upstream.clone(), |config| {
        dear(config);
        config.policy.mode = CacheMode::Exact;
        config.accounts.ledger.path = folder.map(Path::to_owned);
        config.upstreams[0].key = Some(Secret::new(OWN.to_owned()));
        let secret = Secret::new(KEY.to_owned());
        config.accounts.keys.listed = vec![Listed { secret, expires: None, grant: grant.clone() }];
        config.redis = Some(redis);
    })
    .await;
    flowing(&world).await;
    world
}

async fn fleet<const N: usize>(server: &Server, grant: &Grant) -> [World; N] {
    let upstream = Upstream::start().await;
    let mut replicas = Vec::new();
    for _ in 0..N {
        replicas.push(replica(&upstream, server.config(), None, grant).await);
    }
    replicas.try_into().unwrap_or_else(|_| unreachable!("as many as were started"))
}

/// Asks something new, for so many cents an answer token held; every answer costs thirty.
async fn asks(world: &World, question: &str, max_tokens: u64) -> Answer {
    let began = Instant::now();
    let answer = world.send_as(KEY, &ask(question, max_tokens)).await;
    let took = began.elapsed();
    assert!(took < 4 * TIME_BOX + BUSY, "{question} took {took:?}");
    answer
}

/// So many requests at once, dealt out to the replicas in turn: how many came to which status.
async fn rush(worlds: &[World], requests: usize, max_tokens: u64) -> BTreeMap<u16, usize> {
    let asking = (0..requests).map(|at| {
        let world = &worlds[at % worlds.len()];
        async move { asks(world, &format!("question {at}"), max_tokens).await.status }
    });
    let mut statuses = BTreeMap::new();
    for status in futures_util::future::join_all(asking).await {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

/// What this replica takes for spent by all of them, on the whole.
fn known(world: &World) -> u64 {
    let gateway = world.server.gateway();
    let [.., NanoUsd(whole)] = gateway.accounts.ring().keys()[0].meter.spent(gateway.clock.now());
    whole / CENT
}

async fn all_know(worlds: &[World], cents: u64) {
    let what = format!("all know of {cents} cents");
    eventually(&what, async || worlds.iter().all(|world| known(world) == cents)).await;
}

/// Moves the clock to where a minute begins, so that none turns in what follows.
async fn at_the_turn_of_the_minute(world: &World) {
    let into = world.server.gateway().clock.now().0 % 60_000;
    moved(Duration::from_millis(60_001 - into)).await;
}

async fn moved(span: Duration) {
    tokio::time::pause();
    tokio::time::advance(span).await;
    tokio::time::resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dollar_over_three_replicas_is_overrun_by_no_more_than_the_holds() {
    for kind in BOTH {
        let server = Server::start(kind);
        // Thirty cents are held and spent by each: three fit into a dollar.
        let worlds: [World; 3] = fleet(&server, &Grant { budget: whole(DOLLAR), ..named("honest") }).await;
        let statuses = rush(&worlds, 64, 3).await;
        assert_eq!(statuses, BTreeMap::from([(200, 3), (429, 61)]), "{kind:?}");
        assert_eq!(worlds[0].upstream.calls(), 3, "{kind:?}");
        // Ten cents are held and thirty spent: at most ten are in flight at once, each twenty cents over.
        let longer: [World; 3] = fleet(&server, &Grant { budget: whole(DOLLAR), ..named("longer") }).await;
        let let_in = rush(&longer, 64, 1).await[&200];
        assert!((4..=10).contains(&let_in), "{kind:?}: {let_in}");
        assert_eq!(longer[0].upstream.calls(), let_in, "{kind:?}");
        all_know(&longer, 30 * let_in as u64).await;
        for world in &longer {
            assert_eq!(code(&asks(world, "one more", 1).await), (429, "budget_exceeded".into()), "{kind:?}");
            assert!(count(world, "reprise_key_limits_total{by=\"fleet\"}") > 0);
            assert_eq!(count(world, "reprise_key_limits_total{by=\"own\"}"), 0);
        }
    }
}

#[tokio::test]
async fn what_lies_in_redis_expires_and_names_nobody() {
    let server = Server::start(Kind::Seven);
    let limits = Grant { rpm: Some(100), tpm: Some(100_000), concurrency: Some(9), ..named("nameless") };
    let worlds: [World; 1] = fleet(&server, &Grant { budget: whole(DOLLAR), ..limits }).await;
    let (go, word) = tokio::sync::oneshot::channel();
    worlds[0].upstream.will(Say::After(word, Box::new(body(200, completion("late")))));
    let looking = async {
        worlds[0].upstream.reached(1).await;
        let mut lasting = 0;
        for name in server.names("reprise:1:m:*").await {
            assert!(!name.contains("nameless") && !name.contains(KEY), "{name}");
            let left: i64 = server.call(&["PTTL", &name]).await;
            assert!((1..=400 * 86_400_000).contains(&left), "{name} lives {left} ms");
            lasting += 1;
        }
        assert_eq!(lasting, 3, "holds, their sums, the minute; nothing was spent yet");
        go.send(()).unwrap();
    };
    let (answer, ()) = tokio::join!(asks(&worlds[0], "q", 3), looking);
    assert_eq!(answer.status, 200);
    let held = async |what: &str| server.names(&format!("reprise:1:m:*:{what}")).await.len();
    eventually("the hold is over", async || held("h").await + held("s").await == 0).await;
    eventually("it is spent", async || held("b:*").await == 4).await;
    for name in server.names("reprise:1:m:*:b:*").await {
        let left: i64 = server.call(&["PTTL", &name]).await;
        assert!(left > 86_400_000, "{name} lives {left} ms");
        let total: u64 = server.call(&["HGET", &name, "total"]).await;
        assert_eq!(total, 30 * CENT);
    }
}

#[tokio::test]
async fn a_rate_is_the_same_for_three_replicas_as_for_one() {
    let server = Server::start(Kind::Seven);
    let worlds: [World; 3] = fleet(&server, &Grant { rpm: Some(20), ..named("few") }).await;
    at_the_turn_of_the_minute(&worlds[0]).await;
    assert_eq!(rush(&worlds, 64, 3).await[&200], 20);
    let refused = asks(&worlds[0], "one more", 3).await;
    assert_eq!(code(&refused), (429, "rate_limited".into()));
    let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    moved(Duration::from_secs(60)).await;
    flowing(&worlds[1]).await;
    assert_eq!(asks(&worlds[1], "one more", 3).await.status, 200, "a minute later");

    // Ten permits are taken at once: hits rarely ask, and few are lost to the others.
    let worlds: [World; 3] = fleet(&server, &Grant { rpm: Some(640), ..named("many") }).await;
    at_the_turn_of_the_minute(&worlds[0]).await;
    let (mut let_in, requests) = (0, 264 * 3);
    for _ in 0..requests / 3 {
        let asking = worlds.iter().map(|world| asks(world, "the same", 3));
        let answers = futures_util::future::join_all(asking).await;
        let_in += answers.iter().filter(|answer| answer.status == 200).count();
    }
    assert!((620..=640).contains(&let_in), "{let_in} of 640");
    let by_the_fleet: u64 =
        worlds.iter().map(|world| count(world, "reprise_key_limits_total{by=\"fleet\"}")).sum();
    assert!(by_the_fleet < requests / 4, "{by_the_fleet} of {requests} requests asked Redis");
}

#[tokio::test]
async fn tokens_and_requests_at_once_are_held_over_all_replicas() {
    let server = Server::start(Kind::Eight);
    let tokens = Grant { tpm: Some(1_000), ..named("tokens") };
    let at_once = Grant { concurrency: Some(1), ..named("at once") };
    for grant in [tokens, at_once] {
        let worlds: [World; 2] = fleet(&server, &grant).await;
        at_the_turn_of_the_minute(&worlds[0]).await;
        let (go, word) = tokio::sync::oneshot::channel();
        worlds[0].upstream.will(Say::After(word, Box::new(body(200, completion("late")))));
        let meanwhile = async {
            worlds[0].upstream.reached(1).await;
            let refused = asks(&worlds[1], "meanwhile", 600).await;
            go.send(()).unwrap();
            refused
        };
        let (slow, refused) = tokio::join!(asks(&worlds[0], "slow", 600), meanwhile);
        assert_eq!((slow.status, code(&refused)), (200, (429, "rate_limited".into())), "{}", grant.name);
        eventually("there is room again", async || asks(&worlds[1], "again", 600).await.status == 200).await;
        assert_eq!(worlds[0].upstream.calls(), 2);
    }
}

#[tokio::test]
async fn without_redis_requests_go_on_and_each_replica_keeps_the_limits_it_knows_of() {
    type Mischief = fn(&mut Server);
    let frozen: [Mischief; 2] = [|server| server.freeze(), |server| server.thaw()];
    // When it is back it is empty, and all is told again.
    let killed: [Mischief; 2] = [Server::kill, Server::start_again];
    for [gone, back] in [frozen, killed] {
        let mut server = Server::start(Kind::Seven);
        let upstream = Upstream::start().await;
        let grant = Grant { budget: whole(DOLLAR), ..named("a") };
        let redis = Redis { timeout: TIME_BOX, ..server.config() };
        let worlds = [
            replica(&upstream, redis.clone(), None, &grant).await,
            replica(&upstream, redis.clone(), None, &grant).await,
        ];
        assert_eq!(asks(&worlds[0], "one", 3).await.status, 200);
        assert_eq!(asks(&worlds[1], "two", 3).await.status, 200);
        all_know(&worlds, 60).await;
        gone(&mut server);
        for (at, world) in worlds.iter().enumerate() {
            assert_eq!(
                asks(world, &format!("away {at}"), 3).await.status,
                200,
                "ninety cents, as far as is known"
            );
            let refused = asks(world, &format!("away again {at}"), 3).await;
            assert_eq!(code(&refused), (429, "budget_exceeded".into()));
            assert_eq!(known(world), 90);
            assert!(count(world, "reprise_key_limits_total{by=\"own\"}") > 0);
            state(world, State::Shut).await;
        }
        back(&mut server);
        all_know(&worlds, 120).await;
        let newcomer = replica(&upstream, redis.clone(), None, &grant).await;
        assert_eq!(code(&asks(&newcomer, "new", 1).await), (429, "budget_exceeded".into()));
        assert_eq!(upstream.calls(), 4);
    }
}

#[tokio::test]
async fn without_redis_each_replica_keeps_the_rate_by_itself() {
    let mut server = Server::start(Kind::Seven);
    let worlds: [World; 2] = fleet(&server, &Grant { rpm: Some(4), ..named("a") }).await;
    server.kill();
    for world in &worlds {
        state(world, State::Shut).await;
    }
    at_the_turn_of_the_minute(&worlds[0]).await;
    for world in &worlds {
        assert_eq!(rush(std::slice::from_ref(world), 9, 3).await, BTreeMap::from([(200, 4), (429, 5)]));
    }
}

#[tokio::test]
async fn a_replica_that_dies_blocks_the_budget_for_two_minutes_and_no_longer() {
    let server = Server::start(Kind::Seven);
    let grant = Grant { budget: whole(NanoUsd(50 * CENT)), ..named("a") };
    let [dies, lives]: [World; 2] = fleet(&server, &grant).await;
    let (go, word) = tokio::sync::oneshot::channel();
    dies.upstream.will(Say::After(word, Box::new(body(500, json!({ "error": {} })))));
    let kept = async {
        dies.upstream.reached(1).await;
        let kept = server.dump("reprise:1:m:*").await;
        go.send(()).unwrap();
        kept
    };
    let (answer, kept) = tokio::join!(asks(&dies, "q", 3), kept);
    assert_eq!(answer.status, 500);
    let holds = async || server.names("reprise:1:m:*:h").await.len();
    eventually("nothing is held", async || holds().await == 0).await;
    // As it was in the middle of the request: what the replica would have left, had it died then.
    server.put_back(kept).await;
    assert_eq!(code(&asks(&lives, "q2", 3).await), (429, "budget_exceeded".into()));
    moved(LAPSE / 2).await;
    flowing(&lives).await;
    assert_eq!(code(&asks(&lives, "q2", 3).await), (429, "budget_exceeded".into()));
    moved(LAPSE / 2).await;
    flowing(&lives).await;
    assert_eq!(asks(&lives, "q2", 3).await.status, 200);
}

#[tokio::test]
async fn a_restarted_replica_counts_what_it_spent_once() {
    let server = Server::start(Kind::Seven);
    let (upstream, folders) = (Upstream::start().await, [TempDir::new().unwrap(), TempDir::new().unwrap()]);
    let grant = Grant { budget: whole(DOLLAR), ..named("a") };
    let start = async |at: usize| replica(&upstream, server.config(), Some(folders[at].path()), &grant).await;
    let (a, b) = (start(0).await, start(1).await);
    assert_eq!(asks(&a, "one", 3).await.status, 200);
    assert_eq!(asks(&b, "two", 3).await.status, 200);
    a.server.drain().await;
    drop(a);
    let a = start(0).await;
    all_know(&[a, b], 60).await;
    // Redis has lost everything, and only one of the two is there to tell what it spent.
    let () = server.call(&["FLUSHALL"]).await;
    let a = start(0).await;
    eventually("it tells", async || !server.names("reprise:1:m:*:b:*").await.is_empty()).await;
    let newcomer = replica(&upstream, server.config(), None, &grant).await;
    assert_eq!(asks(&newcomer, "three", 7).await.status, 200, "thirty cents, as far as anybody knows");
    all_know(&[a], 60).await;
}
