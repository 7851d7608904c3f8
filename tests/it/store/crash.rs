//! `kill -9` of the real binary while it writes.

use super::exact_in;
use crate::world::{Answer, World, chat, read};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// How often the scene that always runs kills; `a_hundred_kills` is run by hand.
const KILLS: usize = 8;

/// What may be lost: what came in within this time before the end.
const LOST: Duration = Duration::from_secs(1);

/// The binary, and what it says. Killed when dropped.
pub struct Process {
    child: Child,
    said: BufReader<ChildStderr>,
    heard: String,
    url: String,
    admin: String,
    client: reqwest::Client,
}

impl Process {
    pub async fn start(upstream: &str, folder: &Path) -> Process {
        Process::spawn(Command::new(env!("CARGO_BIN_EXE_reprise")), upstream, folder)
    }

    pub fn spawn(mut command: Command, upstream: &str, folder: &Path) -> Process {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--upstream", upstream])
            .current_dir(folder)
            .env("REPRISE__STORE__PATH", folder.join("data"))
            .env("REPRISE__CACHE__MODE", "exact")
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut heard = String::new();
        let mut address = |mark: &str| {
            loop {
                let mut line = String::new();
                assert!(said.read_line(&mut line).expect("text") > 0, "it ended: {heard}");
                heard.push_str(&line);
                if let Some((_, rest)) = line.split_once(mark) {
                    return format!("http://{}", rest.split_whitespace().next().expect("an address"));
                }
            }
        };
        let (url, admin) = (address("on http://"), address("admin     http://"));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Process { child, said, heard, url, admin, client }
    }

    pub async fn ask(&self, question: &str) -> Answer {
        let request = self.client.post(format!("{}/v1/chat/completions", self.url));
        read(request.header("authorization", "Bearer sk-one").body(chat(question).to_string())).await
    }

    pub async fn until_metric(&self, line: &str, value: u64) {
        self.until(line, &value.to_string(), |found| found == value).await;
    }

    pub async fn until_at_least(&self, line: &str, value: u64) {
        self.until(line, &format!("{value} or more"), |found| found >= value).await;
    }

    async fn until(&self, line: &str, what: &str, holds: impl Fn(u64) -> bool) {
        let settled = async {
            loop {
                let shown = read(self.client.get(format!("{}/metrics", self.admin))).await;
                let text = String::from_utf8(shown.body.to_vec()).expect("text");
                let found = text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok());
                if found.is_some_and(&holds) {
                    return;
                }
            }
        };
        let last = tokio::time::timeout(Duration::from_secs(60), settled).await;
        assert!(last.is_ok(), "{line} never became {what}");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL; gives back everything that it said.
    pub fn killed(mut self) -> String {
        self.kill();
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("text");
        std::mem::take(&mut self.heard) + &rest
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Each round: start, check that everything older than a second before the last kill is there, write on,
/// kill at a random moment.
async fn killed_again_and_again(kills: usize) {
    let folder = TempDir::new().unwrap();
    let mut world = World::start().await;
    let mut answered: Vec<(String, Instant)> = Vec::new();
    let mut checked = 0;
    for round in 0..kills {
        let process = Process::start(&world.upstream.url(), folder.path()).await;
        // Every other one lives long enough that something is due.
        let life = if round % 2 == 0 { 1_200..2_500 } else { 20..1_200 };
        let life = Duration::from_millis(rand::random_range(life));
        let until = Instant::now() + life;
        let mut number = 0;
        while Instant::now() < until {
            let question = format!("question {round} {number} {}", "long ".repeat(number % 400));
            let Ok(answer) = tokio::time::timeout_at(until, process.ask(&question)).await else { break };
            assert_eq!(answer.status, 200);
            answered.push((question, Instant::now()));
            number += 1;
        }
        let spared = Instant::now() - LOST;
        process.killed();

        world = world.restarted(exact_in(&folder.path().join("data"))).await;
        // From memory: a starved machine may take longer than a request waits for the disk.
        world.server.restored().await;
        super::proven(&world).await;
        let due: Vec<&String> =
            answered.iter().filter(|(_, at)| *at < spared).map(|(question, _)| question).collect();
        // Every one of this round and a sample of the others.
        for (at, question) in due.iter().enumerate() {
            if question.starts_with(&format!("question {round} ")) || at % (1 + due.len() / 50) == 0 {
                let answer = world.ask(question).await;
                let text = format!("You asked: {question}");
                assert_eq!((answer.verdict(), answer.text()), ("hit", text), "round {round}");
                checked += 1;
            }
        }
        for reason in ["corrupt", "foreign", "misplaced"] {
            let line = format!("reprise_undecodable_entries_total{{reason=\"{reason}\"}}");
            assert_eq!(world.metric(&line).await, None, "round {round}");
        }
        // What came within the last second may be there or not.
        answered.retain(|(_, at)| *at < spared);
        world.server.drain().await;
    }
    println!("{kills} kills, {} answers due, {checked} looked for", answered.len());
    assert!(checked > 0, "no round lived long enough to check anything");
}

#[tokio::test]
async fn a_killed_process_loses_at_most_the_last_second() {
    killed_again_and_again(KILLS).await;
}

#[tokio::test]
#[ignore = "two minutes: cargo test --test it a_hundred_kills -- --ignored"]
async fn a_hundred_kills() {
    killed_again_and_again(100).await;
}
