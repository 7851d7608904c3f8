//! The real binary as a process of its own, for what only a process shows: its death, its limits, its surroundings.

use super::{Answer, chat, read};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

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
