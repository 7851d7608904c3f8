//! Real Postgres servers, each on a socket of its own in a folder of its own; they die with the scene.

use reprise::config::database::Database;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio_postgres::{NoTls, Row};

pub struct Server {
    folder: TempDir,
    /// Of the socket's name, and of the address where it has one.
    port: u16,
    more: Vec<String>,
    process: Child,
}

impl Server {
    pub fn start() -> Server {
        let folder = TempDir::new().expect("a folder");
        if let Some((user, group)) = other_user() {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group)).expect("given away");
        }
        let mut initdb = binary("initdb");
        let made = initdb.args(["-U", "reprise", "-A", "trust", "--no-sync", "-E", "UTF8", "-D"]);
        let made = made.arg(folder.path().join("data")).current_dir(folder.path()).output().expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let process = run(folder.path(), &[]);
        Server { folder, port: 5_432, more: Vec::new(), process }
    }

    /// A file of somebody else's, for the server alone to read.
    pub fn take_in(&self, from: &Path, name: &str) {
        let text = std::fs::read_to_string(from).expect("a file");
        self.write(&format!("data/{name}"), &text);
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("closed");
        if let Some((user, group)) = other_user() {
            std::os::unix::fs::chown(&path, Some(user), Some(group)).expect("given away");
        }
    }

    pub fn url(&self) -> String {
        format!("postgres:///postgres?host={}&user=reprise&port={}", self.folder.path().display(), self.port)
    }

    /// As the config would have it.
    pub fn config(&self) -> Option<Arc<Database>> {
        Some(Arc::new(Database::read(&self.url()).expect("a good URL")))
    }

    pub async fn rows(&self, text: &str) -> Vec<Row> {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.expect("a connection");
        tokio::select! {
            rows = client.query(text, &[]) => rows.unwrap_or_else(|error| panic!("{text}: {error:?}")),
            ended = connection => panic!("{text}: the connection ended with {ended:?}"),
        }
    }

    pub async fn number(&self, text: &str) -> i64 {
        self.rows(text).await[0].get(0)
    }

    /// At once, as a crash would.
    pub fn kill(&mut self) {
        self.signal("-QUIT");
        self.process.wait().expect("it ends");
    }

    /// With all that it was told.
    pub fn start_again(&mut self) {
        self.process = run(self.folder.path(), &self.more);
    }

    /// On a port too.
    pub fn start_again_at(&mut self, port: u16, more: &[&str]) {
        self.port = port;
        let place = [format!("port={port}"), "listen_addresses=127.0.0.1".to_owned()];
        let more = place.into_iter().chain(more.iter().map(|word| (*word).to_owned()));
        self.more = more.flat_map(|word| ["-c".to_owned(), word]).collect();
        self.start_again();
    }

    /// The server and everybody whom it serves.
    pub fn freeze(&self) {
        self.signal_all("-STOP");
    }

    pub fn thaw(&self) {
        self.signal_all("-CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// It has children as long as it lives.
    fn signal_all(&self, name: &str) {
        self.signal(name);
        let sent = Command::new("pkill").args([name, "-P", &self.process.id().to_string()]).status();
        assert!(sent.expect("pkill").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal_all("-CONT");
            self.kill();
        }
    }
}

/// Between a server and its clients; it can lose the answer to a COMMIT.
pub struct Relay {
    folder: TempDir,
    loses: Arc<AtomicUsize>,
}

impl Relay {
    pub fn before(server: &Server) -> Relay {
        let (folder, loses) = (TempDir::new().expect("a folder"), Arc::<AtomicUsize>::default());
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).expect("a socket");
        let (there, counted) = (server.folder.path().join(".s.PGSQL.5432"), loses.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = UnixStream::connect(&there).expect("the server");
                let (from, to) = (client.try_clone().expect("a copy"), server.try_clone().expect("a copy"));
                let loses = counted.clone();
                std::thread::spawn(move || carry(from, to, &loses));
                std::thread::spawn(move || carry(server, client, &AtomicUsize::new(0)));
            }
        });
        Relay { folder, loses }
    }

    /// From now on so many answers to a COMMIT are lost, and with each its connection.
    pub fn lose(&self, answers: usize) {
        self.loses.store(answers, Ordering::SeqCst);
    }

    pub fn config(&self) -> Option<Arc<Database>> {
        let url = format!("postgres:///postgres?host={}&user=reprise", self.folder.path().display());
        Some(Arc::new(Database::read(&url).expect("a good URL")))
    }
}

fn carry(mut from: UnixStream, mut to: UnixStream, loses: &AtomicUsize) {
    let mut piece = [0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let commits = piece[..read].windows(6).any(|word| word == b"COMMIT");
        let lost = commits
            && loses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if lost {
            // Nobody hears the answer; the server has the question.
            let _ = from.shutdown(Shutdown::Both);
        }
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn run(folder: &Path, more: &[String]) -> Child {
    let mut command = binary("postgres");
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).args(["-F", "-c", "listen_addresses="]);
    command.args(more).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("postgres");
    let mut said = BufReader::new(process.stderr.take().expect("piped")).lines();
    let mut heard = Vec::new();
    let ready = said.by_ref().map_while(Result::ok).any(|line| {
        heard.push(line);
        heard.last().is_some_and(|line| line.contains("ready to accept connections"))
    });
    assert!(ready, "postgres starts: {heard:?}");
    std::thread::spawn(move || said.for_each(drop));
    process
}

/// One of the server's programs, as a user that it agrees to run as: it refuses root.
fn binary(name: &str) -> Command {
    let mut command = Command::new(folder_of_binaries().join(name));
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
    command
}

/// Debian and Homebrew keep them off PATH.
fn folder_of_binaries() -> PathBuf {
    let told = Command::new("pg_config").arg("--bindir").output();
    let told = told.ok().map(|told| PathBuf::from(String::from_utf8_lossy(&told.stdout).trim()));
    let versions =
        ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"].into_iter().flat_map(|place| {
            std::fs::read_dir(place).into_iter().flatten().flatten().map(|version| version.path().join("bin"))
        });
    let has = |folder: &PathBuf| folder.join("initdb").is_file();
    told.into_iter().chain(versions).find(has).expect("no Postgres server: run scripts/test")
}

/// `postgres`, where this is root.
fn other_user() -> Option<(u32, u32)> {
    let id = |words: &[&str]| {
        let told = Command::new("id").args(words).output().expect("id");
        String::from_utf8_lossy(&told.stdout).trim().parse::<u32>().ok()
    };
    let user = || Some((id(&["-u", "postgres"])?, id(&["-g", "postgres"])?));
    (id(&["-u"]) == Some(0)).then(|| user().expect("no user postgres: run scripts/test"))
}
