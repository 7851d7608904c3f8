//! Redis away, slow, full, lying: each is a miss, and nothing else.

use super::{count, counted, exact, fleet, flowing, hit, replica, state, written};
use crate::world::World;
use crate::world::redis::{BOTH, Kind, Server};
use crate::world::upstream::Upstream;
use reprise::cache::shared::State;
use reprise::config::{Redis, RedisServer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};
use tokio::time::Instant;

const TIME_BOX: Duration = Duration::from_millis(50);
/// What a request may take in a scene beside its time-boxes, on a machine that does other things too: this tells a
/// hang. How many time-boxes were waited for is counted; what they cost is measured by `scripts/shared`.
const BUSY: Duration = Duration::from_secs(10);

/// Asks something new; the answer is there no later than `boxes` time-boxes and what it takes anyway.
async fn asks_anew(world: &World, question: &str, boxes: u32) {
    let began = Instant::now();
    let answer = world.ask(question).await;
    assert_eq!((answer.status, answer.verdict()), (200, "miss"), "{question}");
    let took = began.elapsed();
    assert!(took < boxes * TIME_BOX + BUSY, "{question} took {took:?}");
}

async fn boxed(server: &Server) -> World {
    let upstream = Upstream::start().await;
    let world = replica(&upstream, Redis { timeout: TIME_BOX, ..server.config() }, exact).await;
    flowing(&world).await;
    world
}

#[tokio::test]
async fn a_killed_redis_is_a_miss_and_comes_back_by_itself() {
    for kind in BOTH {
        let mut server = Server::start(kind);
        let world = boxed(&server).await;
        world.ask("before").await;
        server.kill();
        for question in ["one", "two", "three", "four"] {
            asks_anew(&world, question, 3).await;
            assert_eq!(world.ask(question).await.tier(), Some("l1"), "what is here is served from here");
        }
        assert_eq!(world.ask("before").await.tier(), Some("l1"));
        state(&world, State::Shut).await;
        server.start_again();
        flowing(&world).await;
        let [other] = another(&world, &server).await;
        world.ask("after").await;
        assert_eq!(hit(&other, "after").await.tier(), Some("l3"), "{kind:?}");
        assert_eq!(world.ask("before").await.tier(), Some("l1"));
    }
}

#[tokio::test]
async fn a_redis_that_has_lost_everything_takes_nothing_from_those_who_have_it() {
    let mut server = Server::start(Kind::Seven);
    let [a, b, c] = fleet(&server, exact).await;
    a.ask("q").await;
    for other in [&b, &c] {
        hit(other, "q").await;
    }
    server.kill();
    for world in [&a, &b, &c] {
        state(world, State::Shut).await;
    }
    server.start_again();
    for world in [&a, &b, &c] {
        flowing(world).await;
        assert_eq!(world.ask("q").await.tier(), Some("l1"), "the fleet's secret is the one it had");
    }
    c.ask("r").await;
    assert_eq!(hit(&a, "r").await.tier(), Some("l3"));
}

async fn another(world: &World, server: &Server) -> [World; 1] {
    let other = replica(&world.upstream, server.config(), exact).await;
    flowing(&other).await;
    [other]
}

#[tokio::test]
async fn a_frozen_redis_holds_nobody_up() {
    let server = Server::start(Kind::Eight);
    let world = boxed(&server).await;
    world.ask("before").await;
    let before = late(&world);
    server.freeze();
    for at in 0..6 {
        asks_anew(&world, &format!("while frozen {at}"), 3).await;
    }
    assert_eq!(world.ask("before").await.tier(), Some("l1"));
    state(&world, State::Shut).await;
    let waited = late(&world);
    assert!(
        (1..=5).contains(&(waited - before)),
        "three late calls in a row shut it, not {}",
        waited - before
    );
    for at in 0..20 {
        asks_anew(&world, &format!("while shut {at}"), 0).await;
    }
    assert_eq!(late(&world), waited, "a shut breaker costs no time-box");
    server.thaw();
    flowing(&world).await;
    let [other] = another(&world, &server).await;
    world.ask("after").await;
    hit(&other, "after").await;
}

/// Calls of requests that waited for a whole time-box, and heartbeats that did.
fn late(world: &World) -> u64 {
    let calls = ["get", "lease", "proof", "ping"];
    let name = |call| format!("reprise_shared_troubles_total{{call=\"{call}\",outcome=\"late\"}}");
    calls.into_iter().map(|call| count(world, &name(call))).sum()
}

#[tokio::test]
async fn a_full_redis_is_read_and_written_again_when_there_is_room() {
    for kind in BOTH {
        let server = Server::start(kind);
        let [a, b] = fleet(&server, exact).await;
        a.ask("before").await;
        written(&a, "done", 2).await;
        let () = server.call(&["CONFIG", "SET", "maxmemory", "1"]).await;
        for question in ["one", "two", "three"] {
            assert_eq!(a.ask(question).await.verdict(), "miss", "{kind:?}");
            assert_eq!(a.ask(question).await.tier(), Some("l1"));
        }
        written(&a, "refused", 1).await;
        assert_eq!(hit(&b, "before").await.tier(), Some("l3"), "{kind:?}: what is there is read");
        let shared = a.server.gateway().cache.shared().unwrap();
        assert_eq!(shared.state(), State::Flowing);
        let () = server.call(&["CONFIG", "SET", "maxmemory", "0"]).await;
        a.ask("after").await;
        assert_eq!(hit(&b, "after").await.tier(), Some("l3"), "{kind:?}");
    }
}

#[tokio::test]
async fn a_redis_that_may_only_be_read_is_read() {
    let server = Server::start(Kind::Seven);
    let [a, b] = fleet(&server, exact).await;
    a.ask("before").await;
    written(&a, "done", 2).await;
    // A replica of nobody that can be reached: it serves what it has, and takes nothing.
    let () = server.call(&["REPLICAOF", "127.0.0.1", "1"]).await;
    assert_eq!(a.ask("new").await.verdict(), "miss");
    written(&a, "refused", 1).await;
    assert_eq!(hit(&b, "before").await.tier(), Some("l3"));
    let () = server.call(&["REPLICAOF", "NO", "ONE"]).await;
    flowing(&a).await;
    a.ask("after").await;
    flowing(&b).await;
    hit(&b, "after").await;
}

#[tokio::test]
async fn a_user_without_rights_is_told_by_metrics_and_nothing_else() {
    let server = Server::start(Kind::Eight);
    let [a] = fleet(&server, exact).await;
    a.ask("before").await;
    written(&a, "done", 2).await;
    let () = server
        .call(&["ACL", "SETUSER", "reader", "on", ">long-password", "~*", "+@read", "+@connection"])
        .await;
    let password = Some(reprise::base::secret::Secret::new("long-password".to_owned()));
    let redis = Redis { username: Some("reader".to_owned()), password, ..server.config() };
    let reader = replica(&a.upstream, redis, exact).await;
    flowing(&reader).await;
    assert_eq!(hit(&reader, "before").await.tier(), Some("l3"));
    assert_eq!(reader.ask("new").await.verdict(), "miss");
    written(&reader, "refused", 1).await;

    let wrong = Some(reprise::base::secret::Secret::new("wrong".to_owned()));
    let redis = Redis { username: Some("reader".to_owned()), password: wrong, ..server.config() };
    let stranger = replica(&a.upstream, redis, exact).await;
    state(&stranger, State::Shut).await;
    assert_eq!(stranger.ask("new").await.verdict(), "miss");
}

#[tokio::test]
async fn a_redis_that_comes_later_is_found() {
    let mut server = Server::start(Kind::Seven);
    let config = server.config();
    server.kill();
    let upstream = Upstream::start().await;
    let began = Instant::now();
    let a = replica(&upstream, config.clone(), exact).await;
    assert!(began.elapsed() < Duration::from_secs(5), "a start waits for no Redis");
    assert_eq!(a.ask("q").await.verdict(), "miss");
    assert_eq!(a.ask("q").await.tier(), Some("l1"));
    server.start_again();
    flowing(&a).await;
    let b = replica(&upstream, config, exact).await;
    flowing(&b).await;
    a.ask("r").await;
    assert_eq!(hit(&b, "r").await.tier(), Some("l3"), "both have the same secret now");
}

/// What a proxy does with the next bytes that Redis sends.
const FAITHFUL: u8 = 0;
const LATE: u8 = 1;
const GARBAGE: u8 = 2;

/// Between a replica and Redis, and up to no good when told so.
struct Proxy {
    at: SocketAddr,
    mood: Arc<AtomicU8>,
}

impl Proxy {
    async fn before(server: &Server) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (at, mood, socket) =
            (listener.local_addr().unwrap(), Arc::new(AtomicU8::new(FAITHFUL)), server.socket());
        let moods = mood.clone();
        #[allow(clippy::disallowed_methods, reason = "the scene's own proxy")]
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (moods, Ok(redis)) = (moods.clone(), UnixStream::connect(&socket).await) else {
                    continue;
                };
                let (mut client_read, mut client_write) = client.into_split();
                let (mut redis_read, mut redis_write) = redis.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut client_read, &mut redis_write).await });
                tokio::spawn(async move {
                    let mut buffer = vec![0; 65_536];
                    while let Ok(length @ 1..) = redis_read.read(&mut buffer).await {
                        let mut bytes = &buffer[..length];
                        match moods.load(Ordering::SeqCst) {
                            LATE => tokio::time::sleep(Duration::from_secs(1)).await,
                            GARBAGE => bytes = b"HTTP/1.1 400 Bad Request\r\n\r\n<html>\x00\xff",
                            _ => {}
                        }
                        if client_write.write_all(bytes).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Proxy { at, mood }
    }

    fn config(&self) -> Redis {
        let host = self.at.ip().to_string();
        let server = RedisServer::Tcp { host, port: self.at.port(), tls: false, db: 0 };
        Redis { timeout: TIME_BOX, ..Redis::at(server) }
    }

    fn turn(&self, mood: u8) {
        self.mood.store(mood, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_redis_that_is_a_second_late_or_talks_nonsense_is_left_alone_until_it_recovers() {
    let server = Server::start(Kind::Eight);
    let proxy = Proxy::before(&server).await;
    let upstream = Upstream::start().await;
    let world = replica(&upstream, proxy.config(), exact).await;
    flowing(&world).await;
    for mood in [LATE, GARBAGE] {
        world.ask(&format!("before {mood}")).await;
        proxy.turn(mood);
        for at in 0..6 {
            asks_anew(&world, &format!("in mood {mood}: {at}"), 3).await;
        }
        state(&world, State::Shut).await;
        assert_eq!(world.ask(&format!("before {mood}")).await.tier(), Some("l1"));
        proxy.turn(FAITHFUL);
        flowing(&world).await;
        let written_before = count(&world, "reprise_shared_writes_total{outcome=\"done\"}");
        world.ask(&format!("after {mood}")).await;
        counted(&world, "reprise_shared_writes_total{outcome=\"done\"}", written_before + 1).await;
    }
}

#[tokio::test]
async fn a_server_that_is_no_redis_is_refused_and_harms_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    #[allow(clippy::disallowed_methods, reason = "the scene's own server")]
    tokio::spawn(async move {
        for answer in
            [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\xff\x00\x01", b"*99999999\r\n", b""].iter().cycle()
        {
            let Ok((mut client, _)) = listener.accept().await else { return };
            let _ = client.write_all(answer).await;
            // The last one says nothing and hangs.
            tokio::spawn(async move { client.read_to_end(&mut Vec::new()).await });
        }
    });
    let server = RedisServer::Tcp { host: at.ip().to_string(), port: at.port(), tls: false, db: 0 };
    let upstream = Upstream::start().await;
    let config =
        Redis { timeout: TIME_BOX, connect_timeout: Duration::from_millis(100), ..Redis::at(server) };
    let world = replica(&upstream, config, exact).await;
    state(&world, State::Shut).await;
    for at in 0..20 {
        asks_anew(&world, &format!("q {at}"), 0).await;
        assert_eq!(world.ask(&format!("q {at}")).await.tier(), Some("l1"));
    }
}
