//! Reports over the whole fleet: an entry that was found wrong for a question is so on every replica.
//!
//! They go over the stream of purges, and are learnt with them: before anything is asked of Redis. A line
//! holds no text but the model's name: the question is a digest and its vector.

use super::Shared;
use super::keeper::UNHURRIED;
use super::purge::Telling;
use super::read::bytes_of;
use crate::base::digest::ExactKey;
use crate::cache::Cache;
use crate::cache::codec;
use crate::cache::entry::{Entry, EntryId};
use crate::cache::feedback::Wrong;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Names looked at in one step of a search, and how long one may take.
const STEP: usize = 1_000;
const SEARCH: Duration = Duration::from_secs(2);

/// A report as it lies on the stream, beside its vector: numbers of four bytes, the lowest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tightened {
    /// In hex.
    pub key: String,
    /// BLAKE3 of the question that got the wrong answer, in hex.
    question: String,
    model: String,
    score: f32,
    #[serde(skip)]
    pub vector: Vec<u8>,
}

impl Tightened {
    fn read(meta: &[u8], vector: &[u8]) -> Option<(ExactKey, Wrong)> {
        let told: Tightened = serde_json::from_slice(meta).ok()?;
        let hash = |hex: &str| blake3::Hash::from_hex(hex).ok();
        let (numbers, rest) = vector.as_chunks::<4>();
        let sound = rest.is_empty() && told.score.is_finite();
        let wrong = Wrong {
            question: *hash(&told.question)?.as_bytes(),
            model: told.model.into(),
            vector: numbers.iter().map(|number| f32::from_le_bytes(*number)).collect(),
            score: told.score,
        };
        Some((ExactKey::from(hash(&told.key)?), wrong)).filter(|_| sound)
    }
}

impl Shared {
    /// Has every replica refuse what this one refuses from now on. While Redis is away it waits, as a purge does.
    pub fn tighten(&self, key: &ExactKey, wrong: &Wrong) {
        let told = Tightened {
            key: key.hex(),
            question: blake3::Hash::from_bytes(wrong.question).to_hex().to_string(),
            model: wrong.model.to_string(),
            score: wrong.score,
            vector: bytes_of(&wrong.vector),
        };
        self.wait_for_delivery(Telling::Tightened(told));
    }

    /// A report of another replica, as it lies on the stream.
    pub(super) fn take_report(&self, cache: &Cache, meta: &[u8], vector: &[u8]) {
        match Tightened::read(meta, vector) {
            Some((key, wrong)) => {
                cache.tighten(key, wrong);
                self.metrics.shared_followed("report");
            }
            None => self.metrics.shared_unreadable("report"),
        }
    }

    /// The entry of an id, wherever its key lies in Redis: for reports on what another replica has served. Goes
    /// through the names of all entries, for two seconds at most.
    pub async fn find(&self, id: &EntryId) -> Option<Arc<Entry>> {
        let lines = self.breaker.lines()?;
        let mut line = lines.write.clone();
        let pattern = self.names.entries(Some(&id.hex()));
        let searching = async {
            let mut cursor = 0_u64;
            loop {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
                let step = scan.query_async::<(u64, Vec<String>)>(&mut line);
                let (next, names) = self.timed(&lines, "find", UNHURRIED, step).await.ok()?;
                if let Some(name) = names.into_iter().next() {
                    return Some(name);
                }
                if next == 0 {
                    return None;
                }
                cursor = next;
            }
        };
        let name = tokio::time::timeout(SEARCH, searching).await.ok().flatten()?;
        let key = self.names.key_of(&name)?;
        let (mut line, mut get) = (lines.write.clone(), redis::cmd("GET"));
        let got = get.arg(&name).query_async::<Option<Vec<u8>>>(&mut line);
        let bytes = self.timed(&lines, "find", UNHURRIED, got).await.ok()??;
        let stored = codec::decode_for(&key, &bytes, &self.keys).ok()?;
        let refused = self.rules.refuses(&stored.entry, stored.embedding.as_ref());
        (!refused && stored.entry.is_fresh(self.clock.now())).then(|| Arc::new(stored.entry))
    }
}
