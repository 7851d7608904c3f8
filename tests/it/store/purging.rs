//! Purges of every kind, and entries carried about.

use super::{exact_in, kept_in, proven, with_meaning};
use crate::world::{Answer, World, chat, chat_with, read};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

async fn purge(world: &World, order: Value) -> Answer {
    read(world.client().post(world.admin("/api/purge")).body(order.to_string())).await
}

async fn purged(world: &World, order: Value) -> u64 {
    let answer = purge(world, order).await;
    assert_eq!((answer.status, answer.json()["durable"].as_bool()), (200, Some(true)), "{:?}", answer.body);
    answer.json()["entries"].as_u64().unwrap()
}

/// Five entries that differ in everything a purge can name.
async fn stocked(folder: &Path) -> (World, Vec<(Value, Vec<(&'static str, &'static str)>)>) {
    let world = World::with(exact_in(folder)).await;
    let asked = vec![
        (chat("plain"), vec![]),
        (chat_with("other model", json!({ "model": "gpt-other" })), vec![]),
        (chat("tagged"), vec![("x-reprise-tags", "feature=faq,cohort=beta")]),
        (chat("tagged otherwise"), vec![("x-reprise-tags", "feature=search")]),
        (chat("apart"), vec![("x-reprise-namespace", "tenant-7")]),
    ];
    for (request, headers) in &asked {
        assert_eq!(world.send_with(request, headers).await.verdict(), "miss");
    }
    (world, asked)
}

/// Which of them are hits.
async fn left(world: &World, asked: &[(Value, Vec<(&'static str, &'static str)>)]) -> Vec<bool> {
    let mut left = Vec::new();
    for (request, headers) in asked {
        let mut headers = headers.clone();
        headers.push(("cache-control", "only-if-cached"));
        left.push(world.send_with(request, &headers).await.status == 200);
    }
    left
}

#[tokio::test]
async fn each_kind_takes_its_own_and_holds_after_a_restart() {
    let cases = [
        (json!({ "model": "gpt-other" }), [true, false, true, true, true]),
        (json!({ "tag": "feature" }), [true, true, false, false, true]),
        (json!({ "tag": "feature=faq" }), [true, true, false, true, true]),
        (json!({ "namespace": "tenant-7" }), [true, true, true, true, false]),
        (json!({ "tag": "feature", "model": "gpt-other" }), [true; 5]),
        (json!({ "older_than": "1h" }), [true; 5]),
        (json!({ "all": true }), [false; 5]),
    ];
    for (order, expected) in cases {
        let folder = TempDir::new().unwrap();
        let (world, asked) = stocked(folder.path()).await;
        let mut dry = order.clone();
        dry["dry_run"] = json!(true);
        let going = expected.iter().filter(|stays| !**stays).count() as u64;
        assert_eq!(purged(&world, dry).await, going, "{order}");
        assert_eq!(left(&world, &asked).await, [true; 5], "a dry run changes nothing: {order}");
        assert_eq!(purged(&world, order.clone()).await, going, "{order}");
        assert_eq!(left(&world, &asked).await, expected, "{order}");
        let world = world.restarted(exact_in(folder.path())).await;
        proven(&world).await;
        assert_eq!(left(&world, &asked).await, expected, "after a restart: {order}");
    }
}

#[tokio::test]
async fn by_entry_and_by_scope_as_they_are_listed() {
    let folder = TempDir::new().unwrap();
    let (world, asked) = stocked(folder.path()).await;
    world.send_as("sk-two", &chat("theirs")).await;
    let listed = read(world.client().get(world.admin("/api/entries?model=gpt-other"))).await.json();
    let [only] = listed["entries"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(purged(&world, json!({ "entry": only["entry"] })).await, 1);
    assert_eq!(left(&world, &asked).await, [true, false, true, true, true]);
    // The scope of the first caller without a namespace; the second caller's entry stays.
    assert_eq!(purged(&world, json!({ "scope": only["scope"] })).await, 3);
    assert_eq!(left(&world, &asked).await, [false, false, false, false, true]);
    assert_eq!(world.send_as("sk-two", &chat("theirs")).await.verdict(), "hit");
}

#[tokio::test(start_paused = true)]
async fn by_age() {
    let world = World::start().await;
    world.ask("old").await;
    tokio::time::advance(std::time::Duration::from_secs(120)).await;
    world.ask("young").await;
    assert_eq!(purged(&world, json!({ "older_than": "1m" })).await, 1);
    assert_eq!((world.ask("old").await.verdict(), world.ask("young").await.verdict()), ("miss", "hit"));
}

#[tokio::test]
async fn by_meaning_in_every_partition_in_memory_and_on_disk() {
    let folder = TempDir::new().unwrap();
    let world = with_meaning(kept_in(folder.path())).await;
    let bank = |question: &str| {
        chat_with(
            question,
            json!({ "messages": [{ "role": "system", "content": "A bank." }, { "role": "user", "content": question }] }),
        )
    };
    world.ask("How do I reset my password?").await;
    world.send(&bank("How can I change my password?")).await;
    world.ask("What is the boiling point of lead?").await;
    let order = json!({ "near": "I forgot my password", "at_least": 0.4 });
    let mut dry = order.clone();
    dry["dry_run"] = json!(true);
    let shown = purge(&world, dry).await.json();
    assert_eq!((shown["in_memory"].as_u64(), shown["on_disk"].as_u64()), (Some(2), Some(2)), "{shown}");
    let scores: Vec<f64> =
        shown["sample"].as_array().unwrap().iter().map(|one| one["score"].as_f64().unwrap()).collect();
    assert!(scores.len() == 2 && scores[0] >= scores[1] && scores[1] >= 0.4, "{shown}");
    assert_eq!(purged(&world, order).await, 2);
    let world = world.restarted(kept_in(folder.path())).await;
    world.has_model().await;
    world.until_metric("reprise_restored_entries_total", 1).await;
    proven(&world).await;
    assert_eq!(world.ask("How do I reset my password?").await.verdict(), "miss");
    assert_eq!(world.send(&bank("How can I change my password?")).await.verdict(), "miss");
    assert_eq!(world.ask("What is the boiling point of lead?").await.verdict(), "hit");
}

#[tokio::test]
async fn what_cannot_be_understood_takes_nothing_out_and_says_why() {
    let world = World::start().await;
    world.ask("q").await;
    let cases = [
        (json!({}), "names nothing"),
        (json!({ "all": true, "model": "m" }), "stands alone"),
        (json!({ "entry": "short" }), "32 hex digits"),
        (json!({ "scope": "abc" }), "16 hex digits"),
        (json!({ "older_than": "tomorrow" }), "no duration"),
        (json!({ "near": "q" }), "no model is loaded"),
        (json!({ "at_least": 0.5, "all": true }), "how near"),
        (json!({ "modle": "m" }), "unknown field"),
    ];
    for (order, words) in cases {
        let answer = purge(&world, order.clone()).await;
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && error.contains(words), "{order}: {} {error}", answer.status);
    }
    assert_eq!(world.ask("q").await.verdict(), "hit");
}

/// Runs the binary against the world's admin side.
async fn command(world: &World, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reprise"));
    command.args(args).args(["--admin", &world.admin("")]).env("KEY_OF_TEST", "sk-one");
    let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warmed_answers_are_hits_exactly_and_by_meaning() {
    let folder = TempDir::new().unwrap();
    let world = with_meaning(kept_in(folder.path())).await;
    let file = folder.path().join("faq.jsonl");
    let lines = [
        json!({ "question": "How do I reset my password?", "answer": "Press the button.", "tags": { "feature": "faq" } }),
        json!({ "request": chat("Where is my order 1001?"), "answer": crate::world::upstream::completion("In Ulm."), "ttl": 60 }),
        json!({ "question": "no answer?" }),
    ];
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    fs::write(&file, text.join("\n")).unwrap();
    let header = "authorization: Bearer env:KEY_OF_TEST";
    let path = file.display().to_string();
    let (code, said) =
        command(&world, &["warm", &path, "--model", "gpt-test", "--ttl", "7d", "--header", header]).await;
    assert_ne!(code, Some(0), "{said}");
    fs::write(&file, text[..2].join("\n")).unwrap();
    let (code, said) =
        command(&world, &["warm", &path, "--model", "gpt-test", "--ttl", "7d", "--header", header]).await;
    assert_eq!((code, said.contains("2 kept")), (Some(0), true), "{said}");
    proven(&world).await;
    let exact = world.ask("How do I reset my password?").await;
    assert_eq!((exact.tier(), exact.text().as_str()), (Some("l1"), "Press the button."));
    let ttl = exact.header("cache-status").unwrap().to_owned();
    assert!(ttl.contains("ttl=60"), "{ttl}");
    assert_eq!(world.ask("How can I reset my password?").await.tier(), Some("l2"));
    assert_eq!(world.ask("Where is my order 1001?").await.text(), "In Ulm.");
    assert_eq!(world.ask("Where is my order 1002?").await.verdict(), "miss");
    let (code, said) = command(&world, &["purge", "--tag", "feature=faq", "--dry-run"]).await;
    assert_eq!((code, said.contains("1 entries would go")), (Some(0), true), "{said}");
    let (code, said) = command(&world, &["purge", "--tag", "feature=faq"]).await;
    assert_eq!((code, said.contains("1 entries gone: 1 in memory, 1 on disk")), (Some(0), true), "{said}");
    let (code, said) = command(&world, &["purge"]).await;
    assert!(code == Some(1) && said.contains("names nothing"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_a_backup() {
    let folder = TempDir::new().unwrap();
    let world = with_meaning(kept_in(folder.path())).await;
    world.ask("How do I reset my password?").await;
    world.ask("Where is my order 1001?").await;
    let path = folder.path().join("backup");
    let file = path.display().to_string();
    let (code, said) = command(&world, &["export", &file]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(purged(&world, json!({ "all": true })).await, 2);
    assert_eq!(world.metric("reprise_indexed_entries").await, Some(0));
    let (code, said) = command(&world, &["import", &file]).await;
    assert_eq!((code, said.contains("2 entries, 0 known, 0 expired")), (Some(0), true), "{said}");
    assert_eq!(world.metric("reprise_indexed_entries").await, Some(2));
    let asked = world.upstream.calls();
    assert_eq!(world.ask("How do I reset my password?").await.tier(), Some("l1"));
    assert_eq!(world.ask("How can I reset my password?").await.tier(), Some("l2"));
    assert_eq!(world.upstream.calls(), asked);
    let (_, said) = command(&world, &["import", &file]).await;
    assert!(said.contains("0 entries, 2 known"), "{said}");

    let mut damaged = fs::read(&path).unwrap();
    let at = damaged.len() - 40;
    damaged[at] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert_eq!(purged(&world, json!({ "all": true })).await, 2);
    let (code, said) = command(&world, &["import", &file]).await;
    assert_eq!(
        (code, said.contains("1 entries, 0 known, 0 expired, 1 refused as corrupt")),
        (Some(0), true),
        "{said}"
    );
    fs::write(&path, "something else").unwrap();
    let (code, said) = command(&world, &["import", &file]).await;
    assert!(code == Some(1) && said.contains("no export"), "{said}");
}
