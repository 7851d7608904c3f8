//! What the store may hold, in memory, so that a miss costs no look at the disk.

use super::database::Hash;
use ahash::AHashSet;
use parking_lot::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};

const SHARDS: usize = 16;

/// The hashes of all rows; some ten bytes each. Until they are read at the start it admits to everything.
#[derive(Default)]
pub struct Directory {
    shards: [RwLock<AHashSet<Hash>>; SHARDS],
    complete: AtomicBool,
}

impl Directory {
    pub fn may_hold(&self, hash: Hash) -> bool {
        !self.complete.load(Ordering::Acquire) || self.holds(hash)
    }

    /// Whether a row is known to be there.
    pub fn holds(&self, hash: Hash) -> bool {
        self.shard(hash).read().contains(&hash)
    }

    pub fn add(&self, hash: Hash) {
        self.shard(hash).write().insert(hash);
    }

    pub fn remove(&self, hash: Hash) {
        self.shard(hash).write().remove(&hash);
    }

    pub fn clear(&self) {
        self.shards.iter().for_each(|shard| shard.write().clear());
    }

    /// Every row has been added.
    pub fn completed(&self) {
        self.complete.store(true, Ordering::Release);
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    fn shard(&self, hash: Hash) -> &RwLock<AHashSet<Hash>> {
        &self.shards[hash.rem_euclid(SHARDS as Hash) as usize]
    }
}
