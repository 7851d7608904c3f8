//! Redis away, full, or gone in the middle of a command.

use super::super::roads::cluster;
use super::{Desk, EXACT, entries, run};
use crate::world::redis::{Kind, Server};
use crate::world::upstream::Upstream;
use serde_json::json;
use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};

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

/// A proxy before Redis that lets so many bytes through, either way, and then breaks every connection.
async fn cut_after(server: &Server, bytes: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, socket) = (listener.local_addr().unwrap(), server.socket());
    let left = Arc::new(AtomicUsize::new(bytes));
    #[allow(clippy::disallowed_methods, reason = "the scene's own proxy")]
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (left, Ok(mut redis)) = (left.clone(), UnixStream::connect(&socket).await) else { return };
            tokio::spawn(async move {
                let (from_client, to_client) = client.split();
                let (from_redis, to_redis) = redis.split();
                tokio::select! {
                    () = pass(from_client, to_redis, &left) => {}
                    () = pass(from_redis, to_client, &left) => {}
                }
            });
        }
    });
    at
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, left: &AtomicUsize) {
    let mut buffer = vec![0; 4_096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let take = |left: usize| Some(left.saturating_sub(length));
        let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).unwrap_or(0);
        if before <= length || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
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

    let other = Server::start(Kind::Seven);
    let url = format!("redis://{}", cut_after(&other, half).await);
    let cut = Desk::at(&upstream.url(), &url, "", EXACT);
    let (code, said) = cut.run(&["import", &whole]).await;
    assert!(code == Some(1) && said.contains("importing again brings the rest"), "{said}");
    let held = entries(&other).await;
    assert!(held > 0 && held < 600, "{held}");
    let there = Desk::before(&upstream.url(), &other, "", EXACT);
    let said = there.does(&["import", &whole]).await;
    assert!(said.contains(&format!("{} entries, {held} known", 600 - held)), "{said}");

    let url = format!("redis://{}", cut_after(&server, half).await);
    let cut = Desk::at(&upstream.url(), &url, "", EXACT);
    let (code, said) = cut.run(&["purge", "--model", "gpt-test"]).await;
    assert!(code == Some(1) && said.contains("Redis is not reached"), "{said}");
    let left = entries(&server).await;
    assert!(left > 0 && left < 600, "{left}");
    let gone = said.split(" entries are gone from Redis, and servers have been told").next();
    let gone = gone.and_then(|before| before.rsplit(' ').next()).and_then(|gone| gone.parse::<usize>().ok());
    // Of what was just being deleted nobody knows.
    assert!(gone.is_some_and(|gone| gone > 0 && gone <= 600 - left), "{left} left: {said}");
    let said = desk.does(&["purge", "--model", "gpt-test"]).await;
    assert!(said.contains(&format!("{left} entries gone in Redis")), "{said}");
}

/// A proxy before Redis: the first answer to a call of this name is passed on when the mischief is done.
pub async fn meddling(
    socket: PathBuf,
    call: &'static str,
    mischief: impl Future<Output = ()> + Send + 'static,
) -> SocketAddr {
    type Mischief = Pin<Box<dyn Future<Output = ()> + Send>>;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let mischief: Arc<Mutex<Option<Mischief>>> = Arc::new(Mutex::new(Some(Box::pin(mischief))));
    #[allow(clippy::disallowed_methods, reason = "the scene's own proxy")]
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (mischief, Ok(mut redis)) = (mischief.clone(), UnixStream::connect(&socket).await) else {
                return;
            };
            tokio::spawn(async move {
                let (mut from_client, mut to_client) = client.split();
                let (mut from_redis, mut to_redis) = redis.split();
                let (asked, word) = (AtomicBool::new(false), call.as_bytes());
                let there = async {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                        if buffer[..length].windows(word.len()).any(|part| part == word) {
                            asked.store(true, Ordering::SeqCst);
                        }
                        if to_redis.write_all(&buffer[..length]).await.is_err() {
                            return;
                        }
                    }
                };
                let back = async {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(length @ 1..) = from_redis.read(&mut buffer).await {
                        let due = asked.load(Ordering::SeqCst).then(|| mischief.lock().unwrap().take());
                        if let Some(mischief) = due.flatten() {
                            mischief.await;
                        }
                        if to_client.write_all(&buffer[..length]).await.is_err() {
                            return;
                        }
                    }
                };
                tokio::select! {
                    () = there => {}
                    () = back => {}
                }
            });
        }
    });
    at
}

/// `SCAN` finds less and less there, and says nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_given_away_in_the_middle_of_a_walk_is_no_silent_half() {
    let nodes = cluster(Kind::Eight).await;
    let upstream = Upstream::start().await;
    let desk = Desk::at(&upstream.url(), &format!("redis-cluster://127.0.0.1:{}", nodes[0].port), "", EXACT);
    desk.warms(&["one", "two"]).await;
    let slot: usize = nodes[0].server.call(&["CLUSTER", "KEYSLOT", "{reprise}"]).await;
    let other: String = nodes[1].server.call(&["CLUSTER", "MYID"]).await;
    let mut line = nodes[0].server.line().await;
    let give = async move {
        let mut give = redis::cmd("CLUSTER");
        give.arg("SETSLOT").arg(slot).arg("MIGRATING").arg(other.trim());
        give.exec_async(&mut line).await.unwrap();
    };
    let proxy = meddling(nodes[0].server.socket(), "SCAN", give).await;
    let port = proxy.port().to_string();
    let () = nodes[0].server.call(&["CONFIG", "SET", "cluster-announce-port", &port]).await;
    let file = desk.file("backup");
    let (code, said) = desk.run(&["export", &file]).await;
    assert!(code == Some(1) && said.contains("answers with ASK; its slot is moving"), "{said}");
    assert!(!Path::new(&file).exists());
}

/// As one does that saves, or runs somebody's script.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_busy_for_a_while_is_waited_for() {
    let (server, upstream) = (Server::start(Kind::Seven), Upstream::start().await);
    let desk = Desk::before(&upstream.url(), &server, "", EXACT);
    desk.warms(&["one"]).await;
    let () = server.call(&["CLIENT", "PAUSE", "3000", "ALL"]).await;
    let said = desk.does(&["export", &desk.file("backup")]).await;
    assert!(said.contains("1 entries"), "{said}");
}
