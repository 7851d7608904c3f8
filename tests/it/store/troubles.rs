//! Files that are damaged, foreign, taken or encrypted otherwise.

use super::{exact_in, proven};
use crate::world::World;
use reprise::app;
use reprise::base::secret::Secret;
use reprise::config::{CacheMode, Config, StorePath};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const FILE: &str = "entries-1.db";

async fn filled(folder: &Path, questions: usize) -> World {
    let world = World::with(exact_in(folder)).await;
    for number in 0..questions {
        world.ask(&format!("question {number}")).await;
    }
    world.server.drain().await;
    world
}

/// How many of the questions are hits, asked after a start on `folder`.
async fn hits(world: &World, questions: usize) -> usize {
    proven(world).await;
    let mut hits = 0;
    for number in 0..questions {
        hits += usize::from(world.ask(&format!("question {number}")).await.verdict() == "hit");
    }
    hits
}

#[tokio::test]
async fn a_second_process_on_one_path_is_refused_and_told_what_to_do() {
    let folder = TempDir::new().unwrap();
    let world = World::with(exact_in(folder.path())).await;
    let mut config = Config::clone(&world.server.gateway().settings.load().config);
    config.policy.mode = CacheMode::Exact;
    let refused = app::start(config).await.err().expect("the folder is taken").to_string();
    let pid = format!("in use by another reprise process (pid {})", std::process::id());
    assert!(refused.contains(&pid) && refused.contains("set store.path"), "{refused}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_refused_if_it_was_asked_for() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "not a folder").unwrap();
    let world = World::start().await;
    let mut config = Config::clone(&world.server.gateway().settings.load().config);
    config.store.path = StorePath::Given(folder.path().join("file"));
    let refused = app::start(config).await.err().expect("it is a file").to_string();
    assert!(refused.contains("cannot be used") && refused.contains("store.path"), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_no_store_is_put_aside_and_not_overwritten() {
    for foreign in [b"not a database at all".repeat(100), foreign_database()] {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(FILE), &foreign).unwrap();
        let world = World::with(exact_in(folder.path())).await;
        world.ask("q").await;
        assert_eq!(world.ask("q").await.verdict(), "hit");
        assert!(world.server.gateway().cache.flush(Duration::from_secs(10)).await);
        assert_eq!(world.metric("reprise_store_up").await, Some(1));
        assert_eq!(world.metric("reprise_store_faults_total{kind=\"broken\"}").await, Some(1));
        let aside = fs::read(folder.path().join("entries-1.db.broken")).unwrap();
        assert_eq!(aside, foreign);
    }
}

fn foreign_database() -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("theirs.db");
    let theirs = rusqlite::Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE entries (precious TEXT); INSERT INTO entries VALUES ('x');").unwrap();
    drop(theirs);
    fs::read(path).unwrap()
}

/// Noise over a page of the file, wherever: the server starts, serves no wrong answer, and goes on.
#[tokio::test]
async fn a_damaged_file_costs_entries_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let world = filled(folder.path(), 40).await;
    let whole = fs::read(folder.path().join(FILE)).unwrap();
    let mut upstream = Some(world.upstream);
    drop(world.server);
    for place in 0..8 {
        let at = place * whole.len() / 8;
        let mut damaged = whole.clone();
        let end = (at + 4_000).min(whole.len());
        damaged[at..end].iter_mut().for_each(|byte| *byte ^= 0xa5);
        fs::write(folder.path().join(FILE), &damaged).unwrap();
        let world = World::before(upstream.take().unwrap(), exact_in(folder.path())).await;
        proven(&world).await;
        for number in 0..40 {
            let question = format!("question {number}");
            let answer = world.ask(&question).await;
            assert_eq!(
                (answer.status, answer.text()),
                (200, format!("You asked: {question}")),
                "damaged at {at}"
            );
        }
        let question = format!("after {place}");
        world.ask(&question).await;
        assert_eq!(world.ask(&question).await.verdict(), "hit");
        world.server.drain().await;
        upstream = Some(world.upstream);
    }
}

#[tokio::test]
async fn a_changed_row_is_a_miss_with_its_reason() {
    let folder = TempDir::new().unwrap();
    let world = filled(folder.path(), 4).await;
    let file = rusqlite::Connection::open(folder.path().join(FILE)).unwrap();
    let body = |id: i64| -> Vec<u8> {
        file.query_row("SELECT body FROM entries WHERE id = ?1", [id], |row| row.get(0)).unwrap()
    };
    let mut changed = body(1);
    changed[30] ^= 1;
    let mut newer = body(2);
    newer[4] = 200;
    for (id, bytes) in [(1, changed), (2, newer), (3, body(4))] {
        file.execute("UPDATE entries SET body = ?2 WHERE id = ?1", rusqlite::params![id, bytes]).unwrap();
    }
    drop(file);
    let world = world.restarted(exact_in(folder.path())).await;
    assert_eq!(hits(&world, 4).await, 1);
    for reason in ["corrupt", "newer", "misplaced"] {
        let line = format!("reprise_undecodable_entries_total{{reason=\"{reason}\"}}");
        assert!(world.metric(&line).await >= Some(1), "{reason}");
    }
}

fn encrypted(folder: &Path, key: Option<&str>, old: Option<&str>) -> impl Fn(&mut Config) + use<> {
    let keep = exact_in(folder);
    let secret = |name: Option<&str>| name.map(|name| Secret::new(name.repeat(32)));
    let (key, old) = (secret(key), secret(old));
    move |config| {
        keep(config);
        (config.store.encryption_key, config.store.encryption_key_old) = (key.clone(), old.clone());
    }
}

#[tokio::test]
async fn keys_rotate_without_losing_anything_and_a_wrong_key_is_a_miss() {
    let folder = TempDir::new().unwrap();
    let world = World::with(encrypted(folder.path(), Some("a"), None)).await;
    world.ask("question 0").await;
    let world = world.restarted(encrypted(folder.path(), Some("b"), Some("a"))).await;
    world.until_metric("reprise_restored_entries_total", 1).await;
    assert_eq!(hits(&world, 1).await, 1);
    // Written again under the new key on the way: the old one can go.
    let world = world.restarted(encrypted(folder.path(), Some("b"), None)).await;
    assert_eq!(hits(&world, 1).await, 1);
    let file = fs::read(folder.path().join(FILE)).unwrap();
    assert!(!file.windows(8).any(|bytes| bytes == b"question"), "nothing can be read");
    let world = world.restarted(encrypted(folder.path(), Some("c"), None)).await;
    assert_eq!(hits(&world, 1).await, 0);
    assert!(world.metric("reprise_undecodable_entries_total{reason=\"wrong_key\"}").await >= Some(1));
}
