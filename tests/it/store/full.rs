//! A disk that is full, under the store and the ledger of the real binary, and has room again.

use crate::world::World;
use crate::world::process::Process;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What makes the disk full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disk {
    /// A small file system in the server's own namespace, filled to the last page: the real thing. Not every kernel
    /// lets an ordinary user make one.
    Small,
    /// No file may grow: a write fails as on a full disk, though with another error. Everywhere.
    Limited,
}

/// Those that can be had here.
fn disks() -> Vec<Disk> {
    let tried = in_a_namespace(&std::env::temp_dir(), Path::new("true")).output();
    let small = tried.is_ok_and(|done| done.status.success());
    let small = small.then_some(Disk::Small);
    small.into_iter().chain([Disk::Limited]).collect()
}

/// Runs `program` with a file system of 48 MiB over `folder`, which ends with it.
fn in_a_namespace(folder: &Path, program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg("mount -t tmpfs -o size=48m tmpfs \"$0\" && exec \"$@\"").arg(folder).arg(program);
    command
}

impl Disk {
    fn start(self, upstream: &str, folder: &Path) -> Process {
        let binary = Path::new(env!("CARGO_BIN_EXE_reprise"));
        let command = match self {
            Disk::Small => in_a_namespace(&folder.join("data"), binary),
            Disk::Limited => {
                let mut shell = Command::new("sh");
                // The signal that comes with the limit is ignored: a full disk sends none.
                shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(binary);
                shell
            }
        };
        Process::spawn(command, upstream, folder)
    }

    fn fill(self, process: &Process, folder: &Path) {
        match self {
            Disk::Small => {
                let path = ballast(process, folder);
                let mut file = OpenOptions::new().create_new(true).append(true).open(path).unwrap();
                let full = std::iter::repeat_with(|| file.write_all(&[1; 4_096])).find_map(Result::err);
                assert_eq!(full.unwrap().kind(), ErrorKind::StorageFull);
            }
            Disk::Limited => limit(process, "1:"),
        }
    }

    fn make_room(self, process: &Process, folder: &Path) {
        match self {
            Disk::Small => fs::remove_file(ballast(process, folder)).unwrap(),
            Disk::Limited => limit(process, "unlimited:"),
        }
    }
}

/// As the server sees it.
fn ballast(process: &Process, folder: &Path) -> PathBuf {
    let folder = folder.join("data");
    Path::new("/proc")
        .join(process.id().to_string())
        .join("root")
        .join(folder.strip_prefix("/").unwrap())
        .join("ballast")
}

fn limit(process: &Process, bytes: &str) {
    let words = ["--pid", &process.id().to_string(), &format!("--fsize={bytes}")];
    assert!(Command::new("prlimit").args(words).status().expect("prlimit runs").success());
}

#[tokio::test]
async fn a_full_disk_costs_no_request_and_nothing_once_there_is_room() {
    for disk in disks() {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let world = World::start().await;
        let process = disk.start(&world.upstream.url(), folder.path());
        // Chance does not compress.
        let mut long = [0u8; 10_000];
        blake3::Hasher::new().finalize_xof().fill(&mut long);
        let long: String = long.iter().map(|byte| format!("{byte:02x}")).collect();
        for number in 0..20 {
            process.ask(&format!("question {number} {long}")).await;
        }
        process.until_metric("reprise_store_entries", 20).await;
        process.until_metric("reprise_ledger_rows_waiting", 0).await;
        process.until_metric("reprise_store_up", 1).await;

        disk.fill(&process, folder.path());
        for number in 20..120 {
            let answer = process.ask(&format!("question {number} {long}")).await;
            assert_eq!((answer.status, answer.verdict()), (200, "miss"), "{disk:?}");
        }
        process.until_metric("reprise_store_up", 0).await;
        // A row of before may have been on its way still.
        process.until_at_least("reprise_ledger_rows_waiting", 100).await;
        for number in 0..120 {
            let again = process.ask(&format!("question {number} {long}")).await;
            assert_eq!((again.status, again.verdict()), (200, "hit"), "{disk:?}: question {number}");
        }

        disk.make_room(&process, folder.path());
        process.until_metric("reprise_store_up", 1).await;
        process.until_metric("reprise_store_entries", 120).await;
        process.until_metric("reprise_ledger_rows_waiting", 0).await;
        process.until_metric("reprise_ledger_rows_lost_total", 0).await;
        let said = process.killed();
        let times = |words: &str| said.matches(words).count();
        for (words, again) in [
            ("the store cannot be written", "the store can be written again"),
            ("the ledger can", "the ledger is written again"),
        ] {
            assert_eq!((times(words), times(again)), (1, 1), "{disk:?}, {words:?}: {said}");
        }
        let reasons = times("the disk is full");
        assert!(disk == Disk::Limited || reasons == 2, "{said}");

        if disk == Disk::Limited {
            // All of it is there after the kill.
            let world = world.restarted(super::exact_in(&folder.path().join("data"))).await;
            world.server.restored().await;
            super::proven(&world).await;
            for number in 0..120 {
                let answer = world.ask(&format!("question {number} {long}")).await;
                assert_eq!(answer.verdict(), "hit", "question {number}");
            }
            let books = rusqlite::Connection::open(folder.path().join("data/ledger.sqlite")).unwrap();
            let rows: i64 = books.query_row("SELECT count(*) FROM entry", (), |row| row.get(0)).unwrap();
            assert_eq!(rows, 240);
        }
    }
}
