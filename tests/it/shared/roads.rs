//! The other ways to a Redis: a cluster, sentinels, TLS with a user of its own. All of them real.

use super::{eventually, exact, flowing, hit, replica, state, written};
use crate::world::World;
use crate::world::redis::{BOTH, Kind, Server, binary};
use crate::world::tls::{Authority, free_port};
use crate::world::upstream::Upstream;
use reprise::base::secret::Secret;
use reprise::cache::purge::Order;
use reprise::cache::shared::State;
use reprise::config::{Redis, RedisServer};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const HERE: &str = "127.0.0.1";

fn at(server: RedisServer) -> Redis {
    Redis { timeout: Duration::from_secs(5), ..Redis::at(server) }
}

async fn knows(world: &World, question: &str) -> bool {
    world.ask_the_cache(question).await.tier() == Some("l3")
}

/// What one replica learns from now on, the other serves from Redis.
async fn share_again(a: &World, b: &World, since: &str) {
    let asked = std::cell::Cell::new(0);
    eventually(&format!("they share again {since}"), async || {
        let question = format!("question {} {since}", asked.replace(asked.get() + 1));
        assert_eq!(a.ask(&question).await.status, 200, "no request fails");
        tokio::time::sleep(Duration::from_millis(20)).await;
        knows(b, &question).await
    })
    .await;
}

pub struct Node {
    pub server: Server,
    pub port: u16,
    bus: u16,
}

impl Node {
    fn start(kind: Kind) -> Node {
        let (port, bus) = (free_port(), free_port());
        let words = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--bind", HERE];
        let ports = [port.to_string(), bus.to_string()];
        let mut more = words.to_vec();
        more.extend(["--port", &ports[0], "--cluster-port", &ports[1]]);
        Node { server: Server::with(kind, &more), port, bus }
    }

    async fn meet(&self, other: &Node) {
        let (port, bus) = (other.port.to_string(), other.bus.to_string());
        let () = self.server.call(&["CLUSTER", "MEET", HERE, &port, &bus]).await;
    }

    async fn says(&self, words: &[&str], what: &str) -> bool {
        self.server.call::<String>(words).await.contains(what)
    }
}

/// Three masters, and a fourth node that stands by for the one which our names belong to; that one comes first.
pub async fn cluster(kind: Kind) -> Vec<Node> {
    let mut nodes: Vec<Node> = (0..4).map(|_| Node::start(kind)).collect();
    for (at, range) in [("0", "5460"), ("5461", "10922"), ("10923", "16383")].iter().enumerate() {
        let () = nodes[at].server.call(&["CLUSTER", "ADDSLOTSRANGE", range.0, range.1]).await;
    }
    for other in &nodes[1..] {
        nodes[0].meet(other).await;
    }
    for node in &nodes {
        eventually("the cluster is whole", async || {
            let info = &["CLUSTER", "INFO"];
            node.says(info, "cluster_state:ok").await && node.says(info, "cluster_known_nodes:4").await
        })
        .await;
    }
    let slot: usize = nodes[0].server.call(&["CLUSTER", "KEYSLOT", "{reprise}"]).await;
    nodes.swap(0, slot / 5_461);
    let id: String = nodes[0].server.call(&["CLUSTER", "MYID"]).await;
    let () = nodes[3].server.call(&["CLUSTER", "REPLICATE", id.trim()]).await;
    eventually("the fourth follows", async || {
        nodes[3].says(&["INFO", "replication"], "master_link_status:up").await
    })
    .await;
    nodes
}

#[tokio::test]
async fn a_cluster_is_a_fleets_redis_and_another_node_takes_over() {
    for kind in BOTH {
        let nodes = cluster(kind).await;
        let upstream = Upstream::start().await;
        // By nodes that have nothing of ours: they say who has.
        let known = nodes[1..3].iter().map(|node| (HERE.to_owned(), node.port)).collect();
        let config = at(RedisServer::Cluster { nodes: known, tls: false });
        let a = replica(&upstream, config.clone(), |_| ()).await;
        let b = replica(&upstream, config, |_| ()).await;
        for world in [&a, &b] {
            flowing(world).await;
            world.has_model().await;
        }
        a.ask("How do I reset my password?").await;
        assert_eq!(hit(&b, "How can I reset my password?").await.verdict(), "hit", "{kind:?}");
        a.ask("How do I cancel my order?").await;
        hit(&b, "How do I cancel my order?").await;
        assert_eq!(upstream.calls(), 2, "{kind:?}");
        let names = nodes[0].server.names("*").await;
        assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("{reprise}:1:")), "{names:?}");
        for other in &nodes[1..3] {
            assert_eq!(other.server.names("*").await, Vec::<String>::new(), "all of it lies on one node");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        a.server.gateway().cache.purge(&Order { all: true, ..Order::default() }, false).await.unwrap();
        eventually("b has forgotten", async || !knows_at_all(&b, "How do I cancel my order?").await).await;

        let () = nodes[3].server.call(&["CLUSTER", "FAILOVER", "TAKEOVER"]).await;
        share_again(&a, &b, "after the take-over").await;
        assert!(nodes[3].says(&["INFO", "replication"], "role:master").await, "{kind:?}");
    }
}

async fn knows_at_all(world: &World, question: &str) -> bool {
    world.ask_the_cache(question).await.verdict() == "hit"
}

#[tokio::test]
async fn a_node_named_as_a_single_server_and_a_server_named_as_a_cluster_are_told_from_each_other() {
    let (node, port) = (Node::start(Kind::Seven), free_port());
    let server = Server::with(Kind::Seven, &["--port", &port.to_string()]);
    let upstream = Upstream::start().await;
    let single = RedisServer::Tcp { host: HERE.to_owned(), port: node.port, tls: false, db: 0 };
    let cluster = RedisServer::Cluster { nodes: vec![(HERE.to_owned(), port)], tls: false };
    for wrong in [single, cluster] {
        let world = replica(&upstream, at(wrong), exact).await;
        state(&world, State::Shut).await;
        assert_eq!(world.ask("q").await.verdict(), "miss");
        assert_eq!(world.ask("q").await.tier(), Some("l1"));
    }
    drop(server);
}

/// A sentinel, in a folder of its own; it dies with the scene.
struct Sentinel {
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl Sentinel {
    async fn over(kind: Kind, master: u16) -> Sentinel {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let settings = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind {HERE}\nsentinel monitor ours {HERE} {master} 1\n\
             sentinel down-after-milliseconds ours 500\nsentinel failover-timeout ours 3000\n"
        );
        std::fs::write(&settings, text).unwrap();
        let mut command = Command::new(binary(kind));
        command.arg(&settings).arg("--sentinel").current_dir(folder.path());
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let sentinel = Sentinel { port, process, _folder: folder };
        eventually("the sentinel knows both", async || {
            let client = redis::Client::open(format!("redis://{HERE}:{port}")).unwrap();
            let Ok(mut line) = client.get_multiplexed_async_connection().await else { return false };
            let mut call = redis::cmd("SENTINEL");
            let known = call.arg("REPLICAS").arg("ours").query_async::<Vec<redis::Value>>(&mut line).await;
            known.is_ok_and(|known| known.len() == 1)
        })
        .await;
        sentinel
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn sentinels_name_the_master_and_the_next_one_when_it_dies() {
    for kind in BOTH {
        let ports = [free_port(), free_port()];
        let [first, second] = ports.map(|port| port.to_string());
        let mut master = Server::with(kind, &["--port", &first, "--bind", HERE]);
        let standby = Server::with(kind, &["--port", &second, "--bind", HERE, "--replicaof", HERE, &first]);
        eventually("it stands by", async || {
            standby.call::<String>(&["INFO", "replication"]).await.contains("master_link_status:up")
        })
        .await;
        let sentinel = Sentinel::over(kind, ports[0]).await;
        let upstream = Upstream::start().await;
        let config = at(RedisServer::Sentinel {
            // The first of them is not there.
            sentinels: vec![(HERE.to_owned(), free_port()), (HERE.to_owned(), sentinel.port)],
            master: "ours".to_owned(),
            tls: false,
            db: 0,
        });
        let a = replica(&upstream, config.clone(), exact).await;
        let b = replica(&upstream, config, exact).await;
        for world in [&a, &b] {
            flowing(world).await;
        }
        a.ask("before").await;
        assert_eq!(hit(&b, "before").await.tier(), Some("l3"), "{kind:?}");
        written(&a, "done", 2).await;
        master.kill();
        share_again(&a, &b, "after the fail-over").await;
        let role: Vec<redis::Value> = standby.call(&["ROLE"]).await;
        assert_eq!(role[0], redis::Value::BulkString(b"master".to_vec()), "{kind:?}");
        assert_eq!(a.ask("before").await.tier(), Some("l1"));
    }
}

/// The user has the rights that the documentation recommends, and no more.
#[tokio::test]
async fn tls_and_a_user_of_ones_own_are_enough_and_a_foreign_certificate_is_not() {
    let (authority, port) = (Authority::new(), free_port());
    let (certificate, key, tls) = (authority.path("cert.pem"), authority.path("key.pem"), port.to_string());
    let more = ["--tls-port", &tls, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let more = [&more[..], &["--tls-ca-cert-file", &certificate, "--tls-auth-clients", "no"]].concat();
    let server = Server::with(Kind::Seven, &more);
    let user = ["ACL", "SETUSER", "reprise", "on", ">a-long-password", "~reprise:*", "+@all"];
    let () = server.call(&[&user[..], &["-@admin", "-@dangerous"]].concat()).await;
    let () = server.call(&["ACL", "SETUSER", "default", "off"]).await;

    let upstream = Upstream::start().await;
    let config = |ca: &Authority, password: &str| Redis {
        username: Some("reprise".to_owned()),
        password: Some(Secret::new(password.to_owned())),
        ca: Some(ca.path("cert.pem").into()),
        ..at(RedisServer::Tcp { host: "localhost".to_owned(), port, tls: true, db: 0 })
    };
    let a = replica(&upstream, config(&authority, "a-long-password"), |_| ()).await;
    let b = replica(&upstream, config(&authority, "a-long-password"), |_| ()).await;
    for world in [&a, &b] {
        flowing(world).await;
        world.has_model().await;
    }
    a.ask("How do I reset my password?").await;
    assert_eq!(hit(&b, "How can I reset my password?").await.verdict(), "hit");
    a.ask("q").await;
    hit(&b, "q").await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    a.server.gateway().cache.purge(&Order { all: true, ..Order::default() }, false).await.unwrap();
    eventually("b has forgotten", async || !knows_at_all(&b, "q").await).await;

    for (ca, password) in [(&Authority::new(), "a-long-password"), (&authority, "another")] {
        let stranger = replica(&upstream, config(ca, password), exact).await;
        state(&stranger, State::Shut).await;
        assert_eq!(stranger.ask("alone").await.status, 200);
        assert_eq!(stranger.ask("alone").await.tier(), Some("l1"));
    }
}
