//! `warm`, `export`, `import` and `purge` on the Redis of a config, with and without servers on it.

use super::roads::cluster;
use super::{count, counted, eventually, flowing, hit, replica, written};
use crate::world::redis::{BOTH, Kind, Server};
use crate::world::upstream::{Upstream, completion};
use crate::world::{World, chat, chat_with};
use reprise::base::secret::Secret;
use reprise::config::{Config, Redis};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};

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
async fn a_purge_takes_what_it_names_out_of_a_bare_redis() {
    for kind in BOTH {
        let (server, upstream) = (Server::start(kind), Upstream::start().await);
        let desk = Desk::before(&upstream.url(), &server, "", "");
        desk.warms(&[ASKED, "How can I change my password?", OTHER]).await;
        let two =
            json!({ "request": chat_with("q", json!({ "model": "gpt-other" })), "answer": completion("a") });
        let file = desk.lines("two.jsonl", &[two]);
        desk.does(&["warm", &file]).await;
        assert_eq!(entries(&server).await, 4);

        let near = ["purge", "--near", "I forgot my password", "--at-least", "0.4"];
        let said = desk.does(&[&near[..], &["--dry-run"]].concat()).await;
        assert!(said.contains("2 entries would go in Redis"), "{kind:?}: {said}");
        assert!(said.contains(ASKED) && !said.contains(OTHER), "{kind:?}: {said}");
        assert_eq!(entries(&server).await, 4, "{kind:?}: a dry run takes nothing");
        assert_eq!(server.names("reprise:1:purged").await.len(), 0, "{kind:?}: and tells nobody");
        let said = desk.does(&near).await;
        assert!(said.contains("2 entries gone in Redis"), "{kind:?}: {said}");
        assert_eq!(entries(&server).await, 2, "{kind:?}");

        let said = desk.does(&["purge", "--model", "gpt-other"]).await;
        assert!(said.contains("1 entries gone in Redis"), "{kind:?}: {said}");
        let (code, said) = desk.run(&["purge"]).await;
        assert!(code == Some(1) && said.contains("names nothing"), "{said}");

        let world = started(&upstream, server.config(), |_| ()).await;
        world.has_model().await;
        assert_eq!(hit(&world, OTHER).await.text(), format!("To: {OTHER}"), "{kind:?}");
        assert!(!is_known(&world, ASKED).await, "{kind:?}");
        drop(world);
        let () = server.call(&["SET", &format!("reprise:1:e:{}", "ab".repeat(32)), "not ours"]).await;
        let said = desk.does(&["purge", "--older-than", "1h"]).await;
        assert!(said.contains("0 entries gone in Redis\n1 entries cannot be read (foreign)"), "{said}");
        desk.does(&["purge", "--all"]).await;
        assert_eq!(entries(&server).await, 0, "{kind:?}");
        assert_eq!(server.names("reprise:1:v:*").await, Vec::<String>::new(), "{kind:?}: nor vectors");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_reaches_the_servers_that_run() {
    for kind in BOTH {
        let (server, upstream) = (Server::start(kind), Upstream::start().await);
        let world = started(&upstream, server.config(), |_| ()).await;
        world.has_model().await;
        world.ask(ASKED).await;
        world.ask(OTHER).await;
        eventually("both are in Redis", async || entries(&server).await == 3).await;
        let desk = Desk::before(&upstream.url(), &server, "", "");
        let said = desk.does(&["purge", "--near", REWORDED]).await;
        assert!(said.contains("1 entries gone in Redis"), "{kind:?}: {said}");
        counted(&world, "reprise_shared_followed_total{kind=\"purge\"}", 1).await;
        assert!(!is_known(&world, ASKED).await, "{kind:?}: out of its memory, too");
        assert!(is_known(&world, OTHER).await, "{kind:?}");
        let said = desk.does(&["purge", "--all"]).await;
        assert!(said.contains("2 entries gone in Redis"), "{kind:?}: {said}");
        eventually("the server has heard of it", async || !is_known(&world, OTHER).await).await;
        let done = count(&world, "reprise_shared_writes_total{outcome=\"done\"}");
        assert_eq!(world.ask(ASKED).await.verdict(), "miss");
        written(&world, "done", done + 1).await;
        assert_eq!(entries(&server).await, 1, "{kind:?}: what is learnt afterwards stays");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_from_before_a_purge_is_refused_where_the_purge_holds() {
    let (server, upstream) = (Server::start(Kind::Seven), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    desk.warms(&["one", "two"]).await;
    let file = desk.file("backup");
    desk.does(&["export", &file]).await;
    desk.does(&["purge", "--all"]).await;
    let said = desk.does(&["import", &file]).await;
    assert!(said.contains("0 entries, 0 known, 0 expired, 2 refused as purged"), "{said}");
    assert_eq!(entries(&server).await, 0);
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
async fn without_redis_every_command_says_so_and_what_to_do() {
    let (mut server, upstream) = (Server::start(Kind::Seven), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    desk.warms(&["one"]).await;
    let (faq, file) = (desk.file("faq.jsonl"), desk.file("backup"));
    desk.does(&["export", &file]).await;
    server.kill();
    let nothing = desk.folder.path().join("nothing.toml");
    fs::write(&nothing, EXACT).unwrap();
    let new = desk.file("new");
    let commands: [&[&str]; 4] =
        [&["warm", &faq, "--model", "gpt-test"], &["export", &new], &["import", &file], &["purge", "--all"]];
    for command in commands {
        let (code, said) = desk.run(command).await;
        assert_eq!(code, Some(1), "{command:?}: {said}");
        assert!(said.contains("nothing can be done on") && said.contains("start it, or correct"), "{said}");
        let named = nothing.display().to_string();
        let (code, said) = run(&[command, &["--redis", "--config", &named]].concat()).await;
        let upstream = said.contains("names no upstream") && command[0] == "warm";
        assert!(code == Some(1) && (said.contains("names no Redis") || upstream), "{command:?}: {said}");
    }
    assert!(!Path::new(&new).exists() && !Path::new(&desk.file("new.part")).exists());
    let (code, said) = run(&["purge", "--all", "--redis", "--admin", "http://127.0.0.1:9"]).await;
    assert!(code == Some(2) && said.contains("cannot be used with"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_full_halfway_is_an_error_that_says_how_far_it_came() {
    let (server, upstream) = (Server::start(Kind::Eight), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    // Nothing that could be packed.
    let digest = |at: usize, of: usize| blake3::hash(&[at, of].map(usize::to_le_bytes).concat()).to_hex();
    let noise = |at: usize| (0..300).map(|of| digest(at, of).to_string()).collect::<String>();
    let line = |at: usize| json!({ "question": format!("q {at}"), "answer": noise(at) });
    let faq = desk.lines("many.jsonl", &(0..400).map(line).collect::<Vec<_>>());
    let warm = ["warm", &faq, "--model", "gpt-test"];
    desk.does(&warm).await;
    assert_eq!(entries(&server).await, 400);
    let file = desk.file("backup");
    desk.does(&["export", &file]).await;

    let small = Server::with(Kind::Eight, &["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let there = Desk::before(&upstream.url(), &small, "", EXACT);
    for command in [&["import", &file][..], &warm[..]] {
        let (code, said) = there.run(command).await;
        assert!(code == Some(1) && said.contains("Redis answers with OOM; raise its maxmemory"), "{said}");
        let told =
            said.split("maxmemory, or purge something; ").nth(1).and_then(|rest| rest.split(' ').next());
        let told: usize = told.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{said}"));
        let held = entries(&small).await;
        assert!(told <= held && held < 400, "{told} told, {held} there");
    }
    // Making room takes none.
    assert!(entries(&small).await > 0);
    there.does(&["purge", "--all"]).await;
    assert_eq!(entries(&small).await, 0);
}

/// A proxy before Redis that lets so many bytes of it through, and then breaks every connection.
async fn cut_after(server: &Server, bytes: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, socket) = (listener.local_addr().unwrap(), server.socket());
    let left = Arc::new(AtomicUsize::new(bytes));
    #[allow(clippy::disallowed_methods, reason = "the scene's own proxy")]
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (left, Ok(mut redis)) = (left.clone(), UnixStream::connect(&socket).await) else { return };
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.split();
                let (mut from_redis, mut to_redis) = redis.split();
                let back = async {
                    let mut buffer = vec![0; 4_096];
                    while let Ok(length @ 1..) = from_redis.read(&mut buffer).await {
                        let take = |left: usize| left.checked_sub(length);
                        let open = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
                        if !open || to_client.write_all(&buffer[..length]).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! {
                    _ = tokio::io::copy(&mut from_client, &mut to_redis) => {}
                    () = back => {}
                }
            });
        }
    });
    at
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_goes_away_halfway_leaves_no_half_export_and_no_silent_end() {
    let (server, upstream) = (Server::start(Kind::Eight), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    let text = |at: usize| format!("{at} {}", blake3::hash(&at.to_le_bytes()).to_hex());
    let questions: Vec<String> = (0..600).map(text).collect();
    desk.warms(&questions.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let whole = desk.file("whole");
    desk.does(&["export", &whole]).await;
    let half = fs::metadata(&whole).unwrap().len() as usize / 2;

    let url = format!("redis://{}", cut_after(&server, half).await);
    let cut = Desk::at(&upstream.url(), &url, "", EXACT);
    let (code, said) = cut.run(&["export", &cut.file("half")]).await;
    assert!(code == Some(1) && said.contains("the export broke off: Redis is not reached"), "{said}");
    assert!(!Path::new(&cut.file("half")).exists() && !Path::new(&cut.file("half.part")).exists());

    let url = format!("redis://{}", cut_after(&server, half).await);
    let cut = Desk::at(&upstream.url(), &url, "", EXACT);
    let (code, said) = cut.run(&["purge", "--model", "gpt-test"]).await;
    assert!(code == Some(1) && said.contains("Redis is not reached"), "{said}");
    let left = entries(&server).await;
    assert!(left > 0 && left < 600, "{left}");
    let said = desk.does(&["purge", "--model", "gpt-test"]).await;
    assert!(said.contains(&format!("{left} entries gone in Redis")), "{said}");
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
