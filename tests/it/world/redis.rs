//! Real Redis servers, each on a socket of its own in a folder of its own; they die with the scene.

use reprise::config::{Redis, RedisServer};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How the server lets a fleet learn by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Redis 7, from PATH. Of a later one there, vector sets are switched off.
    Seven,
    /// Redis 8, with vector sets.
    Eight,
}

pub const BOTH: [Kind; 2] = [Kind::Seven, Kind::Eight];

pub struct Server {
    kind: Kind,
    more: Vec<String>,
    folder: TempDir,
    process: Child,
}

impl Server {
    pub fn start(kind: Kind) -> Server {
        Server::with(kind, &[])
    }

    /// With more settings, as on its command line.
    pub fn with(kind: Kind, more: &[&str]) -> Server {
        let folder = TempDir::new().expect("a folder");
        let more: Vec<String> = more.iter().map(|word| (*word).to_owned()).collect();
        let process = run(kind, folder.path(), &more);
        Server { kind, more, folder, process }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// As the config would name it, with a time-box for a busy machine.
    pub fn config(&self) -> Redis {
        let server = RedisServer::Unix { path: self.socket(), db: 0 };
        Redis { timeout: Duration::from_secs(5), ..Redis::at(server) }
    }

    /// A plain connection, for looking and for mischief.
    pub async fn line(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("unix:{}", self.socket().display())).expect("a client");
        client.get_multiplexed_async_connection().await.expect("a connection")
    }

    pub async fn call<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut call = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            call.arg(*word);
        });
        call.query_async(&mut self.line().await).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Every name that matches.
    pub async fn names(&self, pattern: &str) -> Vec<String> {
        self.call(&["KEYS", pattern]).await
    }

    /// All that lies under the names that match, as `put_back` takes it.
    pub async fn dump(&self, pattern: &str) -> Vec<(String, Vec<u8>)> {
        let mut all = Vec::new();
        for name in self.names(pattern).await {
            all.push((name.clone(), self.call::<Vec<u8>>(&["DUMP", &name]).await));
        }
        assert!(!all.is_empty());
        all
    }

    pub async fn put_back(&self, all: Vec<(String, Vec<u8>)>) {
        for (name, value) in all {
            let mut put = redis::cmd("RESTORE");
            put.arg(name).arg(0).arg(value).arg("REPLACE");
            put.exec_async(&mut self.line().await).await.expect("restored");
        }
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("it lived");
        self.process.wait().expect("it ends");
    }

    /// Again, empty, at the same place.
    pub fn start_again(&mut self) {
        self.process = run(self.kind, self.folder.path(), &self.more);
    }

    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(kind: Kind, folder: &Path, more: &[String]) -> Child {
    let mut command = Command::new(binary(kind));
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(folder.join("s"));
    command.arg("--dir").arg(folder).args(more).stdout(Stdio::piped()).stderr(Stdio::null());
    if kind == Kind::Seven {
        // A server without the command takes this for nothing to rename.
        if version(&binary(kind)) >= 8 {
            command.args(["--rename-command", "VCARD", ""]);
        }
    }
    let mut process = command.spawn().unwrap_or_else(|error| panic!("{kind:?}: {error}; run scripts/test"));
    let mut said = BufReader::new(process.stdout.take().expect("piped")).lines();
    let ready = said.by_ref().any(|line| line.is_ok_and(|line| line.contains("eady to accept connections")));
    assert!(ready, "{kind:?} starts");
    std::thread::spawn(move || said.for_each(drop));
    process
}

#[allow(clippy::disallowed_methods, reason = "a scene's own setting, not the server's")]
pub fn binary(kind: Kind) -> PathBuf {
    let usual = PathBuf::from("redis-server");
    match kind {
        Kind::Seven => usual,
        Kind::Eight => match std::env::var_os("REPRISE_TEST_REDIS8") {
            Some(path) => path.into(),
            None if version(&usual) >= 8 => usual,
            None => panic!("no redis-server 8: run scripts/test, or set REPRISE_TEST_REDIS8 to one"),
        },
    }
}

fn version(binary: &Path) -> u32 {
    let said = Command::new(binary).arg("--version").output();
    let said = said.unwrap_or_else(|error| panic!("{}: {error}; run scripts/test", binary.display())).stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let major = said.split("v=").nth(1).and_then(|rest| rest.split('.').next());
    major.and_then(|major| major.parse().ok()).unwrap_or_else(|| panic!("no version in {said:?}"))
}
