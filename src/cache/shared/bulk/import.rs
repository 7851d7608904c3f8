//! The entries of an export, written into Redis.

use super::{Bulk, Stopped};
use crate::base::clock::Millis;
use crate::cache::Cache;
use crate::cache::carry::{Frames, Imported};
use crate::cache::codec::{self, Embedding, Stored};
use crate::cache::entry::Entry;
use std::sync::Arc;

/// Entries written at once, and bytes of them as they come.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 8 << 20;

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
        let shared = self.shared().ok_or(Stopped(super::Trouble::Shut))?;
        let bulk = shared.bulk().await?;
        Ok(Import {
            cache: self.clone(),
            bulk,
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
                Err(why) => *self.imported.refused.entry(why.word()).or_default() += 1,
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
            *self.imported.refused.entry("purged").or_default() += 1;
            return;
        }
        // An export has each entry once; of one that was put together, the newest counts.
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
        if waiting.is_empty() {
            return Ok(());
        }
        let held = self.recorded(&waiting).await?;
        let mut entries: Vec<(Arc<Entry>, Option<Embedding>)> = Vec::new();
        for (stored, held) in waiting.into_iter().zip(held) {
            if held.is_some_and(|held| held >= stored.entry.stored) {
                self.imported.known += 1;
                continue;
            }
            let entry = Arc::new(stored.entry);
            let embedding = match (stored.embedding, self.cache.semantic()) {
                (Some(own), Some(semantic)) if *own.model == *semantic.model_name() => Some(own),
                // One of another model is of no use to this fleet, unless there is nothing better.
                (other, Some(_)) => self.cache.embedding_for(&entry).await.or(other),
                (other, None) => other,
            };
            entries.push((entry, embedding));
        }
        self.bulk.write(&entries).await?;
        self.imported.entries += entries.len();
        Ok(())
    }

    /// When what lies in Redis under the same keys was recorded.
    async fn recorded(&mut self, entries: &[Stored]) -> Result<Vec<Option<Millis>>, Stopped> {
        let names: Vec<String> =
            entries.iter().map(|stored| self.bulk.shared.names.entry(&stored.entry.key)).collect();
        let held = self.bulk.held(&names).await?;
        let keys = &self.bulk.shared.keys;
        let recorded = entries.iter().zip(held).map(|(stored, bytes)| {
            let held = codec::decode_for(&stored.entry.key, &bytes?, keys).ok()?;
            Some(held.entry.stored)
        });
        Ok(recorded.collect())
    }
}
