//! Entries brought back from the disk: all of them behind a start, one by one when they are asked for.
//!
//! Memory is filled from the newest entry on, up to nine tenths of `cache.memory`. An entry whose vector
//! comes from another model than the one in use serves by its exact key at once; its question waits
//! for a new vector, and the old one is never put into the index.

use super::codec::{Embedding, Sealed, Stored};
use super::disk::RowId;
use super::entry::Entry;
use super::{Cache, disk::Disk};
use crate::base::digest::ExactKey;
use crate::semantic::embedder::EmbedError;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Rows read at a time; other readers wait for no longer than that takes, some ten milliseconds.
const CHUNK: usize = 256;
/// How long a request waits for the disk before it goes on as a miss.
const PATIENCE: Duration = Duration::from_millis(250);
/// Questions that may wait for a new vector.
const MOST_ANEW: usize = 1_000_000;
/// How long to leave the embedder alone when it is behind.
const PAUSE: Duration = Duration::from_secs(1);
/// How often progress is logged.
const PROGRESS: Duration = Duration::from_secs(10);

/// What came back at a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    pub entries: usize,
    /// Of those, findable by meaning.
    pub indexed: usize,
    /// On disk, but not readable: each counted by its reason.
    pub undecodable: usize,
}

/// Questions without a vector of the current model.
#[derive(Default)]
pub(super) struct Anew {
    keys: Mutex<VecDeque<ExactKey>>,
    some: Notify,
}

impl Anew {
    fn push(&self, key: ExactKey) -> usize {
        let mut keys = self.keys.lock();
        if keys.len() < MOST_ANEW {
            keys.push_back(key);
        }
        self.some.notify_one();
        keys.len()
    }
}

/// What became of an entry that was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TakenIn {
    Indexed,
    ExactOnly,
    /// Expired, purged meanwhile, or there in a newer recording.
    No,
}

impl Cache {
    /// Fills memory from the disk, until it is full or `stop` says so. Blocks; call it once the model is
    /// loaded, or known to stay away.
    pub fn fill(&self, memory: u64, stop: impl Fn() -> bool) -> Filled {
        let mut filled = Filled::default();
        let Some(disk) = &self.disk else { return filled };
        let mut before = RowId::MAX;
        while !stop() && self.size().1 < memory - memory / 10 {
            let rows = disk.newest(before, CHUNK);
            let Some(last) = rows.last() else { break };
            before = last.id;
            // What an old key encrypted is written anew.
            disk.catch_up();
            for row in rows {
                let Ok(stored) = row.stored else {
                    filled.undecodable += 1;
                    continue;
                };
                let taken = self.take_in(disk, stored);
                filled.entries += usize::from(taken != TakenIn::No);
                filled.indexed += usize::from(taken == TakenIn::Indexed);
            }
        }
        self.metrics.store.restored(filled.entries);
        filled
    }

    /// Brings the entries of `keys` back into memory, as far as the disk may hold them. Whatever goes wrong,
    /// a slow disk among it, leaves them away.
    pub async fn recall(&self, keys: &[ExactKey]) {
        let Some(disk) = &self.disk else { return };
        let wanted: Vec<ExactKey> =
            keys.iter().filter(|key| !self.store.has(key) && disk.may_hold(key)).copied().collect();
        if wanted.is_empty() {
            return;
        }
        let reader = disk.clone();
        let reading = tokio::task::spawn_blocking(move || {
            wanted.iter().filter_map(|key| reader.get(key)).collect::<Vec<Stored>>()
        });
        if let Ok(Ok(found)) = tokio::time::timeout(PATIENCE, reading).await {
            for stored in found {
                self.take_in(disk, stored);
            }
        }
    }

    /// What `recall` would bring, left where it is.
    pub(super) async fn on_disk(&self, key: ExactKey) -> Option<Arc<Entry>> {
        let disk = self.disk.clone()?;
        let stored = tokio::task::spawn_blocking(move || disk.get(&key)).await.ok().flatten();
        stored.map(|stored| Arc::new(stored.entry))
    }

    /// Whether `recall` may bring something. Without a store, one branch.
    pub(super) fn may_recall(&self, key: &ExactKey) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.may_hold(key))
    }

    fn take_in(&self, disk: &Disk, stored: Stored) -> TakenIn {
        let Stored { entry, embedding, sealed } = stored;
        let now = self.clock.now();
        let purged = self.shared().is_some_and(|shared| shared.has_purged(&entry, embedding.as_ref()));
        if purged || !entry.is_fresh(now) {
            return TakenIn::No;
        }
        let entry = Arc::new(entry);
        if sealed == Sealed::Old {
            disk.put(&entry, embedding.clone());
        }
        let semantic = self.semantic();
        let usable = semantic.as_ref().zip(embedding.as_ref()).filter(|(semantic, embedding)| {
            *embedding.model == *semantic.model_name() && embedding.vector.len() == semantic.dim()
        });
        let extra = usable.map_or(0, |(semantic, _)| semantic.index().bytes_for(&entry.partition));
        let present = self.store.insert_if_absent(entry.clone(), extra, entry.ttl(now));
        if present.stored != entry.stored {
            return TakenIn::No;
        }
        let taken = match (usable, &entry.question) {
            (Some((semantic, embedding)), Some(question)) => {
                semantic.insert(entry.partition, entry.key, &embedding.vector, question.clone());
                TakenIn::Indexed
            }
            (None, Some(_)) if semantic.is_some() => {
                self.wants_vector(entry.key);
                TakenIn::ExactOnly
            }
            _ => TakenIn::ExactOnly,
        };
        // Purged while it was being read: the purge takes it off the directory first.
        if !disk.holds(&entry.key) {
            self.forget(&entry);
            return TakenIn::No;
        }
        taken
    }

    /// Its question is to be embedded, when there is time.
    pub(super) fn wants_vector(&self, key: ExactKey) {
        self.metrics.store.reembed(self.anew.push(key));
    }

    /// Out of memory, not off the disk.
    pub(super) fn forget(&self, entry: &Entry) {
        self.store.remove(&entry.key);
        if let Some(semantic) = self.semantic() {
            semantic.remove(&entry.partition, &entry.key);
        }
    }

    /// Embeds what waits for a new vector, at most `rate` a second, behind what requests ask for. Never ends.
    pub async fn reembed(&self, rate: usize) {
        let mut beat =
            tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap_or(1));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.anew.some.notified().await;
            let (mut done, mut told) = (0usize, tokio::time::Instant::now());
            loop {
                let (key, left) = {
                    let mut keys = self.anew.keys.lock();
                    (keys.pop_front(), keys.len())
                };
                self.metrics.store.reembed(left);
                let Some(key) = key else { break };
                if done == 0 {
                    tracing::info!(questions = left + 1, rate, "embedding stored questions anew");
                } else if told.elapsed() >= PROGRESS {
                    told = tokio::time::Instant::now();
                    tracing::info!(done, left, "embedding stored questions anew");
                }
                done += 1;
                beat.tick().await;
                self.reembed_one(key).await;
            }
            if done > 0 {
                tracing::info!(done, "every stored question in memory has a vector of the current model");
            }
        }
    }

    async fn reembed_one(&self, key: ExactKey) {
        let (Some(entry), Some(semantic)) = (self.store.get(&key), self.semantic()) else { return };
        let Some(question) = &entry.question else { return };
        if semantic.suits(question).is_err() {
            return;
        }
        match semantic.embed_patiently(question.clone()).await {
            Ok(vector) => self.index(&entry, vector),
            Err(EmbedError::Shed) => {
                self.anew.push(key);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => tracing::debug!("a stored question is not embedded anew: {error}"),
        }
    }

    /// Waits until all changes are on the disk, `limit` at most. True too where there is no store.
    pub async fn flush(&self, limit: Duration) -> bool {
        let Some(disk) = self.disk.clone() else { return true };
        tokio::task::spawn_blocking(move || disk.flush(limit)).await.unwrap_or(false)
    }

    /// Writes what is left and lets go of the store; what is admitted later is lost with the process.
    pub async fn close(&self) {
        let Some(disk) = self.disk.clone() else { return };
        let _ = tokio::task::spawn_blocking(move || disk.close()).await;
    }
}

/// A vector with its model's name.
pub(super) fn embedding_of(model: &str, vector: crate::semantic::embedder::Vector) -> Embedding {
    Embedding { model: Arc::from(model), vector }
}
