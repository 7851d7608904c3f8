//! All partitions: the one place where near questions are looked for.

use super::embedder::Vector;
use super::hnsw::POINT_OVERHEAD;
use super::partition::Entries;
use crate::base::digest::{ExactKey, Partition};
use ahash::{HashMap, HashMapExt};
use parking_lot::{Condvar, Mutex, RwLock};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};

/// A stored question near the one asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbour {
    pub key: ExactKey,
    /// Cosine, -1 to 1, computed from the whole vectors.
    pub score: f32,
    pub question: Arc<str>,
}

/// Whether a vector was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    Kept,
    /// Another length than this index's model gives; nothing was changed.
    WrongLength,
}

const SHARDS: usize = 64;
/// Keys, ids and their places in the tables.
const ROW_OVERHEAD: usize = 250;

/// The vectors of one model, by partition. A search never leaves its partition and sees every insert
/// that returned before it began. Small partitions are searched exactly; from `hnsw_from` entries on,
/// most rows lie in an HNSW graph that a background thread keeps, and about one best neighbour in a
/// hundred may be missed there. Locks are held for microseconds; inserts never wait for a graph.
pub struct Index {
    model: String,
    dim: usize,
    hnsw_from: usize,
    shards: Vec<RwLock<HashMap<Partition, Arc<Entries>>>>,
    background: Background,
}

impl Index {
    /// An index for vectors of `model` with `dim` numbers.
    pub fn new(model: &str, dim: usize, hnsw_from: usize) -> Index {
        let shards = (0..SHARDS).map(|_| RwLock::new(HashMap::new())).collect();
        Index { model: model.to_owned(), dim, hnsw_from, shards, background: Background::start() }
    }

    /// The model whose vectors these are.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Adds a vector, or puts it in place of the one with the same key. Microseconds.
    pub fn insert(
        &self,
        partition: Partition,
        key: ExactKey,
        vector: &Vector,
        question: Arc<str>,
    ) -> Inserted {
        if vector.len() != self.dim || vector.iter().any(|number| !number.is_finite()) {
            return Inserted::WrongLength;
        }
        // The shard stays locked while the entry goes in, so that nobody drops the partition as empty.
        let (entries, call) = {
            let shard = self.shard(&partition).read();
            match shard.get(&partition) {
                Some(entries) => (Arc::clone(entries), entries.insert(key, vector, Arc::clone(&question))),
                None => {
                    drop(shard);
                    let mut shard = self.shard(&partition).write();
                    let fresh = || Arc::new(Entries::new(self.dim, self.hnsw_from));
                    let entries = Arc::clone(shard.entry(partition).or_insert_with(fresh));
                    let call = entries.insert(key, vector, question);
                    (entries, call)
                }
            }
        };
        if call {
            self.background.call(&entries);
        }
        Inserted::Kept
    }

    /// Takes an entry out, if it is there; a partition that is empty then is dropped.
    pub fn remove(&self, partition: &Partition, key: &ExactKey) {
        let Some(entries) = self.entries(partition) else { return };
        if entries.remove(key) {
            self.background.call(&entries);
        }
        if entries.is_empty() {
            let mut shard = self.shard(partition).write();
            if shard.get(partition).is_some_and(|entries| entries.is_empty()) {
                shard.remove(partition);
            }
        }
    }

    /// Up to `k` neighbours with a cosine of at least `min_score`, best first. None for a query of
    /// another length.
    pub fn nearest(&self, partition: &Partition, query: &Vector, k: usize, min_score: f32) -> Vec<Neighbour> {
        match self.entries(partition) {
            Some(entries) if query.len() == self.dim => entries.nearest(query, k, min_score),
            _ => Vec::new(),
        }
    }

    /// Whether a partition has entries.
    pub fn knows(&self, partition: &Partition) -> bool {
        self.shard(partition).read().contains_key(partition)
    }

    /// Bytes that one more entry of this partition will take, less its question; in a graph also its links.
    pub fn bytes_for(&self, partition: &Partition) -> usize {
        let entries = self.entries(partition).map_or(0, |entries| entries.len());
        let links = if entries >= self.hnsw_from { POINT_OVERHEAD } else { 0 };
        self.dim * size_of::<f32>() + ROW_OVERHEAD + links
    }

    /// Entries of all partitions. Linear in the partitions.
    pub fn len(&self) -> usize {
        self.sum(|entries| entries.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Partitions that have entries.
    pub fn partitions(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Bytes held: rows, graphs, keys, questions and tables. Rows and tables are exact, a graph's
    /// links are estimated. Linear in the partitions.
    pub fn bytes(&self) -> usize {
        let tables = |shard: &RwLock<HashMap<Partition, Arc<Entries>>>| {
            shard.read().capacity() * (size_of::<(Partition, Arc<Entries>)>() + 1)
        };
        self.sum(|entries| entries.bytes()) + self.shards.iter().map(tables).sum::<usize>()
    }

    /// Drops everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            let dropped = std::mem::take(&mut *shard.write());
            drop(dropped);
        }
    }

    /// Blocks until the background thread has nothing to do: for benches, and before a snapshot.
    pub fn settle(&self) {
        self.background.settle();
    }

    fn sum(&self, of: impl Fn(&Entries) -> usize) -> usize {
        self.shards.iter().map(|shard| shard.read().values().map(|entries| of(entries)).sum::<usize>()).sum()
    }

    fn shard(&self, partition: &Partition) -> &RwLock<HashMap<Partition, Arc<Entries>>> {
        &self.shards[usize::from(partition.0[0]) % SHARDS]
    }

    fn entries(&self, partition: &Partition) -> Option<Arc<Entries>> {
        self.shard(partition).read().get(partition).cloned()
    }
}

/// The thread that builds graphs. It ends when the index is dropped.
struct Background {
    calls: Option<Sender<Weak<Entries>>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Partitions called for and not yet done with.
    pending: Mutex<usize>,
    done: Condvar,
    stop: AtomicBool,
}

impl Background {
    fn start() -> Background {
        let (calls, called) = channel();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("reprise-index".to_owned());
        let calls = match thread.spawn(move || work(&called, &theirs)) {
            Ok(_) => Some(calls),
            // Without the thread every partition stays flat: slower when large, never wrong.
            Err(wrong) => {
                tracing::warn!(error = %wrong, "no thread for the index; large partitions are searched flat");
                None
            }
        };
        Background { calls, shared }
    }

    fn call(&self, entries: &Arc<Entries>) {
        let Some(calls) = &self.calls else { return };
        *self.shared.pending.lock() += 1;
        if calls.send(Arc::downgrade(entries)).is_err() {
            self.shared.finished();
        }
    }

    fn settle(&self) {
        let mut pending = self.shared.pending.lock();
        while *pending > 0 {
            self.shared.done.wait(&mut pending);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.calls = None;
    }
}

impl Shared {
    fn finished(&self) {
        let mut pending = self.pending.lock();
        *pending = pending.saturating_sub(1);
        if *pending == 0 {
            self.done.notify_all();
        }
    }
}

fn work(called: &Receiver<Weak<Entries>>, shared: &Shared) {
    while let Ok(entries) = called.recv() {
        // Upgraded for one step at a time, so that a dropped partition is let go of.
        let step = || entries.upgrade().is_some_and(|entries| entries.step());
        while !shared.stop.load(Ordering::Relaxed) {
            if !step() {
                break;
            }
        }
        shared.finished();
    }
}
