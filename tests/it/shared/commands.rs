//! `warm`, `export`, `import` and `purge` on the Redis of a config, with and without servers on it.

mod importing;
mod purging;
mod troubles;
mod warming;

use super::roads::cluster;
use super::{flowing, hit, replica};
use crate::world::postgres;
use crate::world::redis::{BOTH, Kind, Server};
use crate::world::upstream::Upstream;
use crate::world::{World, chat, chat_with};
use reprise::base::secret::Secret;
use reprise::config::{Config, Redis};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const ASKED: &str = "How do I reset my password?";
const REWORDED: &str = "How can I reset my password?";
const OTHER: &str = "What is the boiling point of lead?";
const FLEET: &str = "the-secret-of-a-fleet";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const NEW_KEY: &str = "fedcba9876543210fedcba9876543210";
const EXACT: &str = "[cache]\nmode = \"exact\"\n";

/// What a scene's commands are given: a config that names a Redis and an upstream, and files beside it.
struct Desk {
    folder: TempDir,
    config: PathBuf,
}

impl Desk {
    /// `redis` goes into `[redis]`, `more` behind it.
    fn before(upstream: &str, server: &Server, redis: &str, more: &str) -> Desk {
        Desk::at(upstream, &format!("unix://{}", server.socket().display()), redis, more)
    }

    fn at(upstream: &str, url: &str, redis: &str, more: &str) -> Desk {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("reprise.toml");
        let text = format!(
            "[redis]\nurl = \"{url}\"\n{redis}\n{more}\n[ledger]\npath = \"\"\n[[upstream]]\nurl = \"{upstream}\"\n"
        );
        fs::write(&config, text).unwrap();
        Desk { folder, config }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn lines(&self, name: &str, lines: &[Value]) -> String {
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        fs::write(self.file(name), text.join("\n")).unwrap();
        self.file(name)
    }

    /// Has the config say something else.
    fn change(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&self.config, text.replace(from, to)).unwrap();
    }

    /// The binary's exit code, and all that it says.
    async fn run(&self, args: &[&str]) -> (Option<i32>, String) {
        run(&[args, &["--redis", "--config", &self.config.display().to_string()]].concat()).await
    }

    /// The same, of which nothing may go wrong.
    async fn does(&self, args: &[&str]) -> String {
        let (code, said) = self.run(args).await;
        assert_eq!(code, Some(0), "{args:?}: {said}");
        said
    }

    /// Brings questions along, each with an answer of its own, for whoever asks with `sk-one`.
    async fn warms(&self, questions: &[&str]) -> String {
        let line = |question: &&str| json!({ "question": question, "answer": format!("To: {question}") });
        let file = self.lines("faq.jsonl", &questions.iter().map(line).collect::<Vec<_>>());
        self.does(&["warm", &file, "--model", "gpt-test", "--header", "authorization: Bearer env:CALLER"])
            .await
    }
}

async fn run(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reprise"));
    command.args(args).env("CALLER", "sk-one").env("FLEET", FLEET).env("KEY", KEY).env("NEW_KEY", NEW_KEY);
    let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.unwrap();
    let both = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&both).into_owned())
}

/// Replicas of a fleet whose secret is given.
fn given(server: &Server) -> Redis {
    Redis { secret: Some(Secret::new(FLEET.to_owned())), ..server.config() }
}

/// A server on this Redis, whose usual caller has been accepted.
async fn started(upstream: &Upstream, redis: Redis, change: impl Fn(&mut Config)) -> World {
    let world = replica(upstream, redis, change).await;
    flowing(&world).await;
    let hello = chat_with("hello", json!({ "seed": upstream.calls() }));
    assert_eq!(world.send(&hello).await.verdict(), "miss");
    world
}

/// An order as another replica tells it, naming no entries, that holds for what is recorded until so many milliseconds
/// from now.
async fn ordered(server: &Server, order: Value, ahead: u64) {
    let (seconds, micros): (u64, u64) = server.call(&["TIME"]).await;
    let until = seconds * 1_000 + micros / 1_000 + ahead;
    let told = json!({ "until": until, "order": order, "keys": [] }).to_string();
    let _: String = server.call(&["XADD", "reprise:1:purged", "*", "w", &told, "r", "somebody"]).await;
}

async fn entries(server: &Server) -> usize {
    server.names("reprise:1:e:*").await.len()
}

async fn is_known(world: &World, question: &str) -> bool {
    world.ask_the_cache(question).await.verdict() == "hit"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_warmed_into_a_bare_redis_is_served_by_a_server_that_starts_later() {
    for kind in BOTH {
        let (server, upstream) = (Server::start(kind), Upstream::start().await);
        let desk = Desk::before(&upstream.url(), &server, "", "");
        let said = desk.warms(&[ASKED, "Where is my order 1001?"]).await;
        assert!(said.contains("2 kept, 0 kept for the same request only"), "{kind:?}: {said}");
        assert!(said.contains("the fleet had no secret yet"), "{kind:?}: {said}");
        let said = desk.warms(&[OTHER]).await;
        assert!(!said.contains("no secret"), "{kind:?}: {said}");

        let world = started(&upstream, server.config(), |_| ()).await;
        world.has_model().await;
        let exact = hit(&world, ASKED).await;
        assert_eq!(exact.text(), format!("To: {ASKED}"), "{kind:?}");
        let near = hit(&world, "What's the boiling point of lead?").await;
        assert_eq!(near.text(), format!("To: {OTHER}"), "{kind:?}");
        assert!(near.header("x-reprise-score").is_some(), "{kind:?}: {:?}", near.headers);
        assert!(!is_known(&world, "Where is my order 1002?").await, "{kind:?}");
        let hello = chat_with("hello", json!({ "seed": 77 }));
        world.send_as("sk-two", &hello).await;
        assert_eq!(world.send_as("sk-two", &chat(ASKED)).await.verdict(), "miss", "{kind:?}: another caller");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_warmed_is_learnt_by_servers_that_run() {
    for kind in BOTH {
        let (server, upstream) = (Server::start(kind), Upstream::start().await);
        let world = started(&upstream, server.config(), |_| ()).await;
        world.has_model().await;
        let desk = Desk::before("https://elsewhere.example", &server, "", "");
        // The server was started with --upstream, and so is the command.
        let file = desk.lines("faq.jsonl", &[json!({ "question": ASKED, "answer": "Press the button." })]);
        let header = "authorization: Bearer env:CALLER";
        let at = upstream.url();
        let warm = ["warm", &file, "--model", "gpt-test", "--header", header, "--upstream", &at];
        let said = desk.does(&warm).await;
        assert!(said.contains("1 kept") && !said.contains("no secret"), "{kind:?}: {said}");
        let answer = hit(&world, REWORDED).await;
        assert_eq!(answer.text(), "Press the button.", "{kind:?}");
    }
}

/// A key's rate is for requests, and nobody makes any here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_virtual_key_is_warmed_for_whatever_its_rate() {
    let (server, upstream) = (Server::start(Kind::Seven), Upstream::start().await);
    let key = "[[key]]\nname = \"ours\"\nsecret = \"env:CALLER\"\nrpm = 1\n";
    let desk = Desk::before(&upstream.url(), &server, "", &format!("{EXACT}{key}"));
    // A key that the upstream is not shown need not be there.
    desk.change("[[upstream]]\n", "[[upstream]]\nkey = \"env:NOT_SET_HERE\"\n");
    let said = desk.warms(&["one", "two", "three"]).await;
    assert!(said.contains("3 kept for the same request only, 0 refused"), "{said}");
    assert_eq!(server.names("reprise:1:m:*").await, Vec::<String>::new(), "nothing is counted");
    let world = started(&upstream, server.config(), |config| {
        super::exact(config);
        let grant = reprise::config::keys::Grant { name: "ours".to_owned(), ..Default::default() };
        let secret = Secret::new("sk-one".to_owned());
        config.upstreams[0].key = Some(Secret::new(KEY.to_owned()));
        config.accounts.keys.listed = vec![reprise::config::keys::Listed { secret, expires: None, grant }];
    })
    .await;
    assert_eq!(hit(&world, "three").await.text(), "To: three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_the_keys_file_is_the_caller_that_it_is_for_a_server() {
    let (server, upstream, books) =
        (Server::start(Kind::Eight), Upstream::start().await, TempDir::new().unwrap());
    let folder = books.path().join("books");
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    desk.change("path = \"\"", &format!("path = \"{}\"", folder.display()));
    desk.change("[[upstream]]\n", "[[upstream]]\nkey = \"env:KEY\"\n");
    desk.warms(&["of no key"]).await;
    assert!(!folder.exists(), "what only looks for keys makes no folder");
    let (code, said) = run(&["keys", "create", "ours", "--config", &desk.config.display().to_string()]).await;
    let text = said.split_whitespace().find(|word| word.starts_with("rpk-")).map(str::to_owned);
    let (Some(0), Some(text)) = (code, text) else { panic!("{said}") };
    let key = desk.file("key");
    fs::write(&key, &text).unwrap();
    let file = desk.lines("faq.jsonl", &[json!({ "question": "of a key", "answer": "For the key." })]);
    let header = format!("authorization: Bearer file:{key}");
    desk.does(&["warm", &file, "--model", "gpt-test", "--header", &header]).await;
    assert!(!folder.join("ledger.sqlite").exists(), "nothing is booked");
    let world = started(&upstream, server.config(), |config| {
        super::exact(config);
        config.upstreams[0].key = Some(Secret::new(KEY.to_owned()));
        config.accounts.ledger.path = Some(folder.clone());
    })
    .await;
    assert_eq!(world.send_as(&text, &chat("of a key")).await.text(), "For the key.");
    assert_eq!(world.ask_the_cache("of a key").await.status, 504, "another caller");
}

/// Where replicas share their books, callers are told by the secret that lies there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_with_its_keys_in_postgres_is_warmed_likewise() {
    let (server, upstream, books) =
        (Server::start(Kind::Seven), Upstream::start().await, TempDir::new().unwrap());
    let mut postgres = postgres::Server::start();
    let world = started(&upstream, server.config(), |config| {
        super::exact(config);
        config.upstreams[0].key = Some(Secret::new(KEY.to_owned()));
        config.accounts.ledger.path = Some(books.path().join("of the server"));
        config.accounts.ledger.url = postgres.config();
    })
    .await;
    let made = world.client().post(world.admin("/api/keys")).body(json!({ "name": "ours" }).to_string());
    let made = crate::world::read(made).await.json();
    let text = made["key"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();

    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    let folder = books.path().join("of the command");
    desk.change("path = \"\"", &format!("path = \"{}\"\nurl = \"{}\"", folder.display(), postgres.url()));
    desk.change("[[upstream]]\n", "[[upstream]]\nkey = \"env:KEY\"\n");
    let key = desk.file("key");
    fs::write(&key, &text).unwrap();
    let file = desk.lines("faq.jsonl", &[json!({ "question": "of a key", "answer": "For the key." })]);
    let header = format!("authorization: Bearer file:{key}");
    desk.does(&["warm", &file, "--model", "gpt-test", "--header", &header]).await;
    desk.warms(&["of no key"]).await;
    assert_eq!(world.send_as(&text, &chat("of a key")).await.text(), "For the key.");
    assert_eq!(hit(&world, "of no key").await.text(), "To: of no key");

    postgres.kill();
    let said = desk.does(&["purge", "--all"]).await;
    assert!(said.contains("3 entries gone"), "whose entries go is nobody's question: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_exported_from_a_redis_is_served_from_another() {
    for (from, to) in [(Kind::Seven, Kind::Eight), (Kind::Eight, Kind::Seven)] {
        let (server, upstream) = (Server::start(from), Upstream::start().await);
        let desk = Desk::before(&upstream.url(), &server, "secret = \"env:FLEET\"", "");
        desk.warms(&[ASKED, OTHER]).await;
        assert_eq!(server.names("reprise:1:secret").await, Vec::<String>::new());
        let () = server.call(&["SET", &format!("reprise:1:e:{}", "ab".repeat(32)), "somebody else's"]).await;
        let () = server.call(&["SET", "reprise:1:e:xyz", "no key at all"]).await;
        let file = desk.file("backup");
        let said = desk.does(&["export", &file]).await;
        assert!(said.contains("2 entries, 0 expired, 0 purged, 1 left out as foreign"), "{from:?}: {said}");
        assert!(!Path::new(&desk.file("backup.part")).exists());

        let other = Server::start(to);
        let there = Desk::before(&upstream.url(), &other, "secret = \"env:FLEET\"", "");
        let said = there.does(&["import", &file]).await;
        assert!(said.contains("2 entries, 0 known, 0 expired"), "{to:?}: {said}");
        let said = there.does(&["import", &file]).await;
        assert!(said.contains("0 entries, 2 known, 0 expired"), "{to:?}: {said}");
        let world = started(&upstream, given(&other), |_| ()).await;
        world.has_model().await;
        assert_eq!(hit(&world, OTHER).await.text(), format!("To: {OTHER}"), "{to:?}");
        let near = hit(&world, REWORDED).await;
        assert_eq!(near.text(), format!("To: {ASKED}"), "{to:?}");
        assert!(near.header("x-reprise-score").is_some(), "{to:?}");

        fs::write(&file, "something else").unwrap();
        let (code, said) = there.run(&["import", &file]).await;
        assert!(code == Some(1) && said.contains("no export"), "{said}");
    }
}

/// A server without a store exports no vectors; a fleet needs them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_without_a_vector_is_embedded_on_its_way_into_redis() {
    let upstream = Upstream::start().await;
    for kind in BOTH {
        let (empty, server) = (Server::start(Kind::Seven), Server::start(kind));
        let world = started(&upstream, given(&empty), |_| ()).await;
        world.has_model().await;
        let first = world.ask(ASKED).await;
        let desk = Desk::before(&upstream.url(), &server, "secret = \"env:FLEET\"", "");
        let file = desk.file("backup");
        let (code, said) = run(&["export", &file, "--admin", &world.admin("")]).await;
        assert_eq!(code, Some(0), "{said}");
        drop(world);
        desk.does(&["import", &file]).await;
        let later = started(&upstream, given(&server), |_| ()).await;
        later.has_model().await;
        assert_eq!(hit(&later, REWORDED).await.body, first.body, "{kind:?}");
        upstream.unsay();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_stay_encrypted_wherever_they_are_carried() {
    let (server, upstream) = (Server::start(Kind::Eight), Upstream::start().await);
    let desk = |server: &Server, store: &str| {
        Desk::before(&upstream.url(), server, "secret = \"env:FLEET\"", &format!("{EXACT}[store]\n{store}"))
    };
    let first = desk(&server, "encryption_key = \"env:KEY\"\n");
    first.warms(&["Where is my purple umbrella?"]).await;
    let name = server.names("reprise:1:e:*").await.remove(0);
    let lies: Vec<u8> = server.call(&["GET", &name]).await;
    assert!(!lies.windows(8).any(|part| part == b"umbrella"));

    let blind = desk(&server, "");
    let said = blind.does(&["export", &blind.file("none")]).await;
    assert!(said.contains("0 entries, 0 expired, 0 purged, 1 left out as wrong_key"), "{said}");
    let said = blind.does(&["purge", "--model", "gpt-test", "--dry-run"]).await;
    assert!(
        said.contains("0 entries would go") && said.contains("1 entries cannot be read (wrong_key)"),
        "{said}"
    );

    let rotated = desk(&server, "encryption_key = \"env:NEW_KEY\"\nencryption_key_old = \"env:KEY\"\n");
    let file = rotated.file("backup");
    let said = rotated.does(&["export", &file]).await;
    assert!(said.contains("1 entries"), "{said}");
    assert!(!fs::read(&file).unwrap().windows(8).any(|part| part == b"umbrella"));
    let other = Server::start(Kind::Seven);
    let only_new = desk(&other, "encryption_key = \"env:NEW_KEY\"\n");
    let said = only_new.does(&["import", &file]).await;
    assert!(said.contains("1 entries, 0 known"), "written anew under the new key: {said}");
    let world = started(&upstream, given(&other), |config| {
        super::exact(config);
        config.store.encryption_key = Some(Secret::new(NEW_KEY.to_owned()));
    })
    .await;
    assert!(is_known(&world, "Where is my purple umbrella?").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_worked_on_like_any_other_redis() {
    let nodes = cluster(Kind::Eight).await;
    let upstream = Upstream::start().await;
    // By a node that has nothing of ours.
    let url = format!("redis-cluster://127.0.0.1:{}", nodes[1].port);
    let desk = Desk::at(&upstream.url(), &url, "", EXACT);
    desk.warms(&["one", "two"]).await;
    let held = async || nodes[0].server.names("{reprise}:1:e:*").await.len();
    assert_eq!(held().await, 2);
    let file = desk.file("backup");
    assert!(desk.does(&["export", &file]).await.contains("2 entries"));
    assert!(desk.does(&["import", &file]).await.contains("0 entries, 2 known"));
    assert!(desk.does(&["purge", "--all"]).await.contains("2 entries gone in Redis"));
    assert_eq!(held().await, 0);
}
