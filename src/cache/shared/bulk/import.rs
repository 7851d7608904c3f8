//! The entries of an export, written into Redis.

use super::{Bulk, Stopped};
use crate::cache::Cache;
use crate::cache::carry::{Frames, Imported};
use crate::cache::codec::{self, Embedding, Stored};
use crate::cache::entry::Entry;
use crate::cache::shared::write::Put;
use std::sync::Arc;

/// Entries written at once, and bytes of them as they come.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 8 << 20;

/// Refused: a purge meets it that was ordered after it was recorded.
const PURGED: &str = "purged";
/// Refused: what Redis holds under its key cannot be read, and is left.
const UNREADABLE: &str = "held_unreadable";

/// An import in progress: fed as it comes, at any cut. What has been written is there; each `feed` waits for it.
pub struct Import {
    cache: Arc<Cache>,
    bulk: Bulk,
    frames: Frames,
    waiting: Vec<Stored>,
    waiting_bytes: usize,
    imported: Imported,
}

impl Cache {
    /// # Errors
    /// There is no Redis, or it is not reached.
    pub async fn import_shared(self: &Arc<Self>) -> Result<Import, Stopped> {
        Ok(Import {
            cache: self.clone(),
            bulk: self.bulk().await?,
            frames: Frames::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            imported: Imported::default(),
        })
    }
}

impl Import {
    /// False: this is no export, or not any more; feed no more of it.
    ///
    /// # Errors
    /// Redis did not take some of it.
    pub async fn feed(&mut self, chunk: &[u8]) -> Result<bool, Stopped> {
        self.frames.feed(chunk);
        while let Some(bytes) = self.frames.next() {
            match codec::decode(&bytes, &self.bulk.shared.keys) {
                Ok(stored) => self.take(stored),
                Err(why) => self.refuse(why.word()),
            }
            self.waiting_bytes += bytes.len();
            if self.waiting.len() >= BATCH || self.waiting_bytes >= BATCH_BYTES {
                self.write().await?;
            }
        }
        Ok(self.frames.is_sound())
    }

    /// What was taken in, all of it in Redis.
    ///
    /// # Errors
    /// Redis did not take the last of it.
    pub async fn finish(mut self) -> Result<Imported, Stopped> {
        self.write().await?;
        self.imported.broke_off = self.frames.end();
        Ok(self.imported)
    }

    /// How far it has come.
    pub fn so_far(&self) -> &Imported {
        &self.imported
    }

    fn take(&mut self, stored: Stored) {
        let shared = &self.bulk.shared;
        if !stored.entry.is_fresh(shared.clock.now()) {
            self.imported.expired += 1;
            return;
        }
        if shared.rules.refuses(&stored.entry, stored.embedding.as_ref()) {
            // No replica would serve it: the purge is younger than the recording.
            return self.refuse(PURGED);
        }
        // `SCAN` may have met it twice, and files may have been put together: the newest counts.
        match self.waiting.iter_mut().find(|other| other.entry.key == stored.entry.key) {
            None => self.waiting.push(stored),
            Some(other) => {
                self.imported.known += 1;
                if other.entry.stored < stored.entry.stored {
                    *other = stored;
                }
            }
        }
    }

    /// Writes what waits, but for what Redis holds in a recording as new.
    async fn write(&mut self) -> Result<(), Stopped> {
        self.waiting_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let mut newer = self.newer(waiting).await?;
        if self.embed(&mut newer).await > 0 {
            // That took its time, and servers go on recording.
            newer = self.newer(newer).await?;
        }
        let entries: Vec<(Arc<Entry>, Option<Embedding>)> =
            newer.into_iter().map(|stored| (Arc::new(stored.entry), stored.embedding)).collect();
        for put in self.bulk.write(&entries).await? {
            match put {
                Put::Sent => self.imported.entries += 1,
                Put::Expired => self.imported.expired += 1,
                // By the vector that it has now, or a purge that was read meanwhile.
                Put::Purged => self.refuse(PURGED),
            }
        }
        Ok(())
    }

    /// Those that are newer than what lies in Redis under the same keys; the others are counted.
    async fn newer(&mut self, entries: Vec<Stored>) -> Result<Vec<Stored>, Stopped> {
        if entries.is_empty() {
            return Ok(entries);
        }
        let shared = self.bulk.shared.clone();
        let names: Vec<String> = entries.iter().map(|stored| shared.names.entry(&stored.entry.key)).collect();
        let mut newer = Vec::with_capacity(entries.len());
        for (stored, held) in entries.into_iter().zip(self.bulk.held(&names).await?) {
            match held.map(|bytes| codec::decode_for(&stored.entry.key, &bytes, &shared.keys)) {
                None => newer.push(stored),
                Some(Ok(held)) if held.entry.stored < stored.entry.stored => newer.push(stored),
                Some(Ok(_)) => self.imported.known += 1,
                // It may be newer, under a key that this config does not have.
                Some(Err(_)) => self.refuse(UNREADABLE),
            }
        }
        Ok(newer)
    }

    /// Gives vectors to those that have none of this model. Says how many were embedded.
    async fn embed(&self, entries: &mut [Stored]) -> usize {
        let Some(semantic) = self.cache.semantic() else { return 0 };
        let mut embedded = 0;
        for stored in entries {
            if stored.embedding.as_ref().is_some_and(|own| *own.model == *semantic.model_name()) {
                continue;
            }
            // One of another model is of no use to this fleet, unless there is nothing better.
            if let Some(embedding) = self.cache.embedding_for(&stored.entry).await {
                stored.embedding = Some(embedding);
                embedded += 1;
            }
        }
        embedded
    }

    fn refuse(&mut self, why: &'static str) {
        *self.imported.refused.entry(why).or_default() += 1;
    }
}
