//! What outlives a restart, a crash and a bad disk.

mod crash;
mod full;
mod models;
mod purging;
mod restored;
mod troubles;

use crate::world::{World, chat, chat_with, read};
use reprise::config::{CacheMode, Config, StorePath};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const ASKED: &str = "How do I reset my password?";
const OTHER: &str = "What is the boiling point of lead?";
const REWORDED: &str = "How can I reset my password?";

pub fn kept_in(folder: &Path) -> impl Fn(&mut Config) + use<> {
    let path = StorePath::Given(folder.to_owned());
    move |config| {
        config.store.path = path.clone();
        config.semantic.patience = Duration::from_secs(10);
    }
}

pub fn exact_in(folder: &Path) -> impl Fn(&mut Config) + use<> {
    let keep = kept_in(folder);
    move |config| {
        keep(config);
        config.policy.mode = CacheMode::Exact;
    }
}

async fn with_meaning(change: impl Fn(&mut Config)) -> World {
    let world = World::with(change).await;
    world.server.semantic_ready().await.expect("the model loads; run scripts/fetch");
    world
}

/// The usual caller's credential has been accepted.
pub async fn proven(world: &World) {
    let sent = world.send(&chat_with("anything", json!({ "seed": world.upstream.calls() }))).await;
    assert_eq!(sent.verdict(), "miss");
}

#[tokio::test]
async fn a_restart_keeps_exact_hits_and_hits_by_meaning() {
    let folder = TempDir::new().unwrap();
    let world = with_meaning(kept_in(folder.path())).await;
    let first = world.ask(ASKED).await;
    let streamed = world.send(&chat_with(OTHER, json!({ "stream": true }))).await;
    let world = world.restarted(kept_in(folder.path())).await;
    let unproven = world.ask(ASKED).await;
    assert_eq!((unproven.verdict(), unproven.reason()), ("miss", Some("credential_unproven")));

    let world = world.restarted(kept_in(folder.path())).await;
    world.server.semantic_ready().await.unwrap();
    world.until_metric("reprise_restored_entries_total", 2).await;
    // The first of them may have been asked anew before the model was there; its vector then comes now.
    world.until_metric("reprise_indexed_entries", 2).await;
    proven(&world).await;
    let again = world.ask(ASKED).await;
    assert_eq!((again.tier(), &again.body), (Some("l1"), &first.body));
    assert_eq!(world.ask(REWORDED).await.tier(), Some("l2"));
    let again = world.send(&chat_with(OTHER, json!({ "stream": true }))).await;
    assert_eq!((again.tier(), again.streamed_text()), (Some("l1"), streamed.streamed_text()));
    let other = world.send_as("sk-two", &chat(ASKED)).await;
    assert_eq!(other.verdict(), "miss", "scopes survive, and stay apart");
}

/// A model that takes its time must not keep exact hits waiting.
#[tokio::test]
async fn exact_hits_come_from_the_disk_before_memory_is_filled() {
    let folder = TempDir::new().unwrap();
    let world = World::with(exact_in(folder.path())).await;
    for number in 0..20 {
        world.ask(&format!("question {number}")).await;
    }
    let small = exact_in(folder.path());
    let world = world
        .restarted(|config| {
            small(config);
            // Room for a few of them only: the others stay on disk.
            (config.cache.memory, config.cache.max_entry) = (1 << 16, 1 << 15);
        })
        .await;
    proven(&world).await;
    for number in 0..20 {
        assert_eq!(world.ask(&format!("question {number}")).await.tier(), Some("l1"), "question {number}");
    }
    assert_eq!(world.upstream.calls(), 21);
}

#[tokio::test]
async fn embeddings_survive_input_by_input() {
    let folder = TempDir::new().unwrap();
    let world = World::with(exact_in(folder.path())).await;
    let batch = |input: serde_json::Value| json!({ "model": "e", "input": input });
    let answer = json!({ "object": "list", "model": "e", "usage": { "prompt_tokens": 4, "total_tokens": 4 },
        "data": [{ "object": "embedding", "index": 0, "embedding": [0.5, 1.0] },
                 { "object": "embedding", "index": 1, "embedding": [0.25, 2.0] }] });
    world.upstream.will(crate::world::upstream::body(200, answer.clone()));
    read(world.post("/v1/embeddings", &batch(json!(["a", "b"])))).await;
    let world = world.restarted(exact_in(folder.path())).await;
    proven(&world).await;
    let again = read(world.post("/v1/embeddings", &batch(json!(["b", "a"])))).await;
    assert_eq!((again.verdict(), world.upstream.calls()), ("hit", 2));
    assert_eq!(again.json()["data"][0]["embedding"], answer["data"][1]["embedding"]);
}

#[tokio::test]
async fn what_expired_meanwhile_stays_away() {
    let folder = TempDir::new().unwrap();
    let world = World::with(exact_in(folder.path())).await;
    world.send_with(&chat("short"), &[("x-reprise-ttl", "1")]).await;
    world.ask("long").await;
    // The disk's clock is the system's: the entry is written as if it had been stored long ago.
    world.server.drain().await;
    let file = rusqlite::Connection::open(folder.path().join("entries-1.db")).unwrap();
    let least: i64 = file.query_row("SELECT min(expires) FROM entries", (), |row| row.get(0)).unwrap();
    file.execute("UPDATE entries SET expires = 1 WHERE expires = ?1", [least]).unwrap();
    drop(file);
    let world = world.restarted(exact_in(folder.path())).await;
    world.server.gateway().cache.flush(Duration::from_secs(10)).await;
    assert_eq!(world.metric("reprise_store_evictions_total{cause=\"expired\"}").await, Some(1));
    assert_eq!(world.metric("reprise_store_entries").await, Some(1));
}

#[tokio::test]
async fn without_a_path_nothing_is_written() {
    let world = World::start().await;
    world.ask("q").await;
    assert!(world.server.gateway().cache.flush(Duration::ZERO).await);
    assert_eq!(world.metric("reprise_store_writes_total").await, Some(0));
    assert_eq!(world.metric("reprise_store_up").await, Some(0));
}

#[tokio::test]
async fn another_upstream_begins_with_nothing() {
    let folder = TempDir::new().unwrap();
    let world = World::with(exact_in(folder.path())).await;
    world.ask("q").await;
    world.server.drain().await;
    drop(world);
    let world = World::with(exact_in(folder.path())).await;
    proven(&world).await;
    assert_eq!(world.ask("q").await.verdict(), "miss");
}

#[tokio::test]
async fn a_reported_entry_does_not_come_back() {
    let folder = TempDir::new().unwrap();
    let world = World::with(exact_in(folder.path())).await;
    let id = world.ask("q").await;
    let id = world.ask("q").await.header("x-reprise-entry").map(str::to_owned).unwrap_or_else(|| {
        panic!("no entry: {:?}", id.headers);
    });
    let report = json!({ "entry": id, "right": false }).to_string();
    assert_eq!(read(world.client().post(world.admin("/api/feedback")).body(report)).await.status, 200);
    let world = world.restarted(exact_in(folder.path())).await;
    proven(&world).await;
    assert_eq!(world.ask("q").await.verdict(), "miss");
}
