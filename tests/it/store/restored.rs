//! How long it takes until 100,000 entries are back.

use super::{kept_in, proven};
use crate::world::{World, chat};
use reprise::base::clock::Clock;
use reprise::cache::codec::Keys;
use reprise::cache::disk::{Disk, Folder, Settings};
use reprise::cache::{Content, Entry};
use reprise::config::Config;
use reprise::semantic::embedder::unit;
use reprise::telemetry::metrics::Metrics;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

const ENTRIES: u64 = 100_000;
const PARTITIONS: u64 = 100;
const ASKED: &str = "How do I reset my password?";

/// Entries like the first one on disk, with an answer of some 1.5 KiB and a vector of chance.
fn multiplied(folder: &Path) {
    let metrics = Arc::new(Metrics::new());
    let settings = Settings { max_bytes: 4 << 30, keys: Keys::none() };
    let disk = Disk::open(Folder::take(folder).unwrap(), settings, Clock::start(), metrics).unwrap();
    let mut first = disk.newest(i64::MAX, 1).remove(0).stored.unwrap();
    let embedding = first.embedding.take().unwrap();
    let Content::Answer(tape) = &first.entry.content else { panic!("an answer") };
    let began = Instant::now();
    for number in 0..ENTRIES {
        let hash = blake3::hash(&number.to_le_bytes());
        let mut chance = vec![0u8; embedding.vector.len() + 1_500];
        blake3::Hasher::new().update(hash.as_bytes()).finalize_xof().fill(&mut chance);
        let (raw, text) = chance.split_at(embedding.vector.len());
        let raw: Vec<f32> = raw.iter().map(|byte| f32::from(*byte) - 127.5).collect();
        let text: String = text.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let body = serde_json::json!({ "choices": [{ "message": { "content": text } }] }).to_string();
        let mut partition = first.entry.partition;
        partition.0[31] ^= (number % PARTITIONS) as u8;
        let mut embedding = embedding.clone();
        embedding.vector = unit(&raw, raw.len()).unwrap();
        let entry = Entry {
            key: hash.into(),
            partition,
            scope: first.entry.scope,
            namespace: None,
            model: first.entry.model.clone(),
            question: Some(Arc::from(format!("question {number}"))),
            tags: Vec::new(),
            stored: first.entry.stored,
            expires: first.entry.expires.plus(Duration::from_secs(3_600)),
            content: Content::Answer(reprise::tape::Tape::of_body(
                tape.dialect,
                body.into(),
                tape.outline.clone(),
            )),
        };
        disk.put(&Arc::new(entry), Some(embedding));
        if number % 5_000 == 0 {
            assert!(disk.flush(Duration::from_secs(60)));
        }
    }
    assert!(disk.flush(Duration::from_secs(60)));
    println!("{ENTRIES} entries written in {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute and half a gigabyte: cargo test --release --test it a_hundred_thousand -- --ignored --nocapture"]
async fn a_hundred_thousand_entries_come_back_in_time() {
    let folder = TempDir::new().unwrap();
    let keep = kept_in(folder.path());
    let roomy = |config: &mut Config| {
        keep(config);
        config.cache.memory = 4 << 30;
        config.store.max_bytes = 4 << 30;
    };
    let world = World::with(roomy).await;
    world.has_model().await;
    world.ask(ASKED).await;
    world.server.drain().await;
    multiplied(folder.path());
    let size = std::fs::metadata(folder.path().join("entries-1.db")).unwrap().len();

    let World { upstream, .. } = world;
    let began = Instant::now();
    let world = World::before(upstream, roomy).await;
    let listening = began.elapsed();
    proven(&world).await;
    let first = world.send(&chat(ASKED)).await;
    let first_hit = began.elapsed();
    assert_eq!(first.tier(), Some("l1"));
    let wanted = ENTRIES as usize + 1;
    let found = async {
        loop {
            let semantic = world.server.gateway().cache.semantic();
            // The one that proved the credential is there as well.
            if semantic.is_some_and(|semantic| semantic.index().len() >= wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), found).await.expect("all come back");
    let all = began.elapsed();
    assert_eq!(world.ask("How can I reset my password?").await.tier(), Some("l2"));
    println!(
        "{} MiB on disk; listening after {listening:?}, first exact hit after {first_hit:?}, all {wanted} findable by meaning after {all:?}",
        size >> 20
    );
    assert!(first_hit < Duration::from_secs(1) && all < Duration::from_secs(10));
}
