//! All partitions: the one place where near questions are looked for.

use super::codes::sign_words;
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
/// that returned before it began. Small partitions are searched exactly, larger ones by a short list; from `hnsw_from`
/// entries on, most rows lie in an HNSW graph that a background thread keeps, where 5 in 1,000 best neighbours were
/// missed at 100,000 entries. Inserts never wait for a graph to be built.
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

    /// Every key of every partition with a cosine of at least `min_score`, and that. Exact, by looking at all
    /// vectors, a few milliseconds for 10,000: for the admin side.
    pub fn within(&self, query: &Vector, min_score: f32) -> Vec<(ExactKey, f32)> {
        if query.len() != self.dim {
            return Vec::new();
        }
        let of = |shard: &RwLock<HashMap<Partition, Arc<Entries>>>| {
            shard.read().values().cloned().collect::<Vec<Arc<Entries>>>()
        };
        self.shards.iter().flat_map(of).flat_map(|entries| entries.within(query, min_score)).collect()
    }

    /// Whether a partition has entries.
    pub fn knows(&self, partition: &Partition) -> bool {
        self.shard(partition).read().contains_key(partition)
    }

    /// Entries of one partition.
    pub fn held(&self, partition: &Partition) -> usize {
        self.entries(partition).map_or(0, |entries| entries.len())
    }

    /// Bytes that one more entry of this partition will take, less its question; in a graph also its links.
    pub fn bytes_for(&self, partition: &Partition) -> usize {
        let entries = self.entries(partition).map_or(0, |entries| entries.len());
        let links = if entries >= self.hnsw_from { POINT_OVERHEAD } else { 0 };
        self.dim * (size_of::<f32>() + 1) + sign_words(self.dim) * size_of::<u64>() + ROW_OVERHEAD + links
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
            // Without the thread every partition stays flat: slower when large.
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
        loop {
            let more = entries.upgrade().is_some_and(|entries| entries.step());
            if !more || shared.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        shared.finished();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::embedder::unit;

    const HERE: Partition = Partition([1; 32]);

    fn key(number: u64) -> ExactKey {
        ExactKey(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    /// A unit vector of 32 numbers that depends on `seed` only.
    fn vector(seed: u64) -> Vector {
        let hash = blake3::hash(&seed.to_le_bytes());
        let raw: Vec<f32> = hash.as_bytes().iter().map(|byte| f32::from(*byte) - 127.5).collect();
        unit(&raw, 32).unwrap()
    }

    fn insert(index: &Index, number: u64) {
        let question = Arc::from(format!("question {number}"));
        assert_eq!(index.insert(HERE, key(number), &vector(number), question), Inserted::Kept);
    }

    /// How many of `numbers` are found as their own best neighbour.
    fn found(index: &Index, numbers: impl Iterator<Item = u64>) -> usize {
        let finds = |number: &u64| {
            let best = index.nearest(&HERE, &vector(*number), 1, 0.99);
            best.first().is_some_and(|best| {
                best.key == key(*number) && *best.question == format!("question {number}")
            })
        };
        numbers.filter(finds).count()
    }

    #[test]
    fn a_large_partition_turns_into_a_graph_and_nothing_is_lost_on_the_way() {
        let index = Index::new("model", 32, 300);
        for number in 0..1_000 {
            insert(&index, number);
            // Searched while the graph is being built: what was inserted is found at once.
            assert!(number % 100 != 0 || found(&index, number..=number) == 1, "{number}");
        }
        index.settle();
        assert_eq!(index.len(), 1_000);
        assert!(found(&index, 0..1_000) >= 990);
    }

    #[test]
    fn the_dead_are_never_found_and_their_graph_is_rebuilt_without_them() {
        let index = Index::new("model", 32, 200);
        (0..800).for_each(|number| insert(&index, number));
        index.settle();
        let full = index.bytes();
        (0..600).for_each(|number| index.remove(&HERE, &key(number)));
        assert_eq!(found(&index, 0..600), 0);
        index.settle();
        assert_eq!(found(&index, 0..600), 0);
        assert!(found(&index, 600..800) >= 198);
        assert!(index.bytes() < full / 2, "{} of {full}", index.bytes());
        (600..800).for_each(|number| index.remove(&HERE, &key(number)));
        assert_eq!((index.len(), index.partitions()), (0, 0));
    }

    #[test]
    fn a_key_inserted_again_has_its_newest_vector_only() {
        let index = Index::new("model", 32, 1_000);
        insert(&index, 1);
        index.insert(HERE, key(1), &vector(2), Arc::from("newer"));
        assert_eq!(index.len(), 1);
        assert_eq!(index.nearest(&HERE, &vector(1), 5, 0.99), []);
        assert_eq!(&*index.nearest(&HERE, &vector(2), 5, 0.99)[0].question, "newer");
    }

    #[test]
    fn a_vector_of_another_model_is_not_taken_and_finds_nothing() {
        let index = Index::new("model", 32, 1_000);
        insert(&index, 1);
        let other: Vector = unit(&[1.0; 16], 16).unwrap();
        assert_eq!(index.insert(HERE, key(2), &other, Arc::from("other")), Inserted::WrongLength);
        assert_eq!(index.nearest(&HERE, &other, 5, -1.0), []);
        assert_eq!(index.len(), 1);
    }

    #[test]
    fn neighbours_come_best_first_and_no_more_than_asked() {
        let index = Index::new("model", 32, 1_000);
        (0..50).for_each(|number| insert(&index, number));
        let near = index.nearest(&HERE, &vector(7), 3, -1.0);
        assert_eq!(near.len(), 3);
        assert_eq!(near[0].key, key(7));
        assert!(near[0].score >= near[1].score && near[1].score >= near[2].score);
    }

    #[test]
    fn inserts_searches_and_removals_from_many_threads_keep_every_promise() {
        let index = Index::new("model", 32, 100);
        std::thread::scope(|threads| {
            for lane in 0..4u64 {
                let index = &index;
                threads.spawn(move || {
                    for number in (lane * 1_000)..(lane * 1_000 + 200) {
                        insert(index, number);
                        index.nearest(&HERE, &vector(number), 2, 0.9);
                        if number % 2 == 0 {
                            index.remove(&HERE, &key(number));
                        }
                    }
                });
            }
        });
        index.settle();
        assert_eq!(index.len(), 400);
        let kept =
            (0..4u64).flat_map(|lane| (lane * 1_000)..(lane * 1_000 + 200)).filter(|number| number % 2 == 1);
        assert!(found(&index, kept) >= 396);
        let removed =
            (0..4u64).flat_map(|lane| (lane * 1_000)..(lane * 1_000 + 200)).filter(|number| number % 2 == 0);
        assert_eq!(found(&index, removed), 0);
    }
}
