//! What is left of the books when the process ends.

use super::column;
use crate::world::chat_with;
use crate::world::upstream::Upstream;
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

const REQUESTS: usize = 50;
/// The writer's pace is 200 ms; a busy machine shall make the scene slow, not fail it.
const PATIENCE: Duration = Duration::from_secs(5);

struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// The binary itself, as it is run anywhere.
    fn start(upstream: &Upstream, folder: &Path) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reprise"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--upstream"]);
        command.arg(upstream.url()).current_dir(folder).env("REPRISE__CACHE__MODE", "exact");
        let mut child = command.env("REPRISE__LEDGER__PATH", "books").stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // What is restored may be logged before it.
        let url = lines.by_ref().find_map(|line| {
            let last = line.unwrap().rsplit(' ').next().unwrap().to_owned();
            last.starts_with("http://").then_some(last)
        });
        let url = url.expect("it says where it listens");
        // Its log is read to the end, or it would wait for room.
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, url }
    }

    async fn ask(&self, number: usize) {
        let body = chat_with(&format!("q {}", number % 9), json!({ "model": "gpt-4.1-mini" })).to_string();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = client.post(format!("{}/v1/chat/completions", self.url)).body(body).send().await.unwrap();
        assert_eq!(sent.status(), 200);
        sent.bytes().await.unwrap();
    }

    fn signal(&mut self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap();
    }
}

fn rows(folder: &Path) -> usize {
    let books = folder.join("books");
    if !books.join("ledger.sqlite").is_file() {
        return 0;
    }
    let count = "SELECT CAST(count(*) AS TEXT) FROM sqlite_schema WHERE name = 'entry'";
    if column(&books, count) == ["0"] {
        return 0;
    }
    column(&books, "SELECT CAST(count(*) AS TEXT) FROM entry")[0].parse().unwrap()
}

#[tokio::test]
async fn nothing_is_lost_at_a_drain_and_what_was_written_outlives_a_kill() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (folder, upstream) = (TempDir::new().unwrap(), Upstream::start().await);
    let mut server = Server::start(&upstream, folder.path());
    for number in 0..REQUESTS {
        server.ask(number).await;
    }
    let began = SystemTime::now();
    while rows(folder.path()) < REQUESTS {
        assert!(began.elapsed().unwrap() < PATIENCE, "{} rows", rows(folder.path()));
        tokio::task::yield_now().await;
    }
    server.signal("-KILL");
    assert_eq!(rows(folder.path()), REQUESTS);

    let mut server = Server::start(&upstream, folder.path());
    for number in 0..REQUESTS {
        server.ask(number).await;
    }
    server.signal("-TERM");
    assert_eq!(rows(folder.path()), 2 * REQUESTS);
}
