//! L1: entries by exact key, weighed in bytes, each with its own expiry.

use super::entry::{Entry, EntryId};
use crate::base::digest::ExactKey;
use crate::semantic::Semantic;
use crate::telemetry::metrics::Metrics;
use ahash::AHashMap;
use arc_swap::ArcSwapOption;
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::sync::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// One stored entry and what it weighs, its share of the index included.
#[derive(Clone)]
struct Weighed {
    entry: Arc<Entry>,
    weight: u32,
    /// From now to its expiry.
    ttl: Duration,
}

impl Weighed {
    fn new(entry: Arc<Entry>, extra: usize, ttl: Duration) -> Weighed {
        let weight = u32::try_from(entry.size() + extra).unwrap_or(u32::MAX);
        Weighed { entry, weight, ttl }
    }
}

/// moka, with TinyLFU admission: under pressure what is asked often stays, and a flood of one-off
/// requests does not wash it out. Clones share the entries.
#[derive(Clone)]
pub struct Store {
    cache: Cache<ExactKey, Weighed, ahash::RandomState>,
    /// Milliseconds that an entry is held past its expiry.
    linger: Arc<AtomicU64>,
}

impl Store {
    /// Whatever leaves for another reason than a newer entry of its key also leaves the index.
    pub fn new(memory: u64, semantic: Arc<ArcSwapOption<Semantic>>, metrics: Arc<Metrics>) -> Store {
        let linger = Arc::<AtomicU64>::default();
        let cache = Cache::builder()
            .max_capacity(memory)
            .weigher(|_, held: &Weighed| held.weight)
            .expire_after(UntilExpiry(linger.clone()))
            .eviction_listener(move |key, held: Weighed, cause| {
                if cause == RemovalCause::Replaced {
                    return;
                }
                metrics.evicted(cause_word(cause));
                if let Some(semantic) = semantic.load().as_ref() {
                    semantic.remove(&held.entry.partition, &key);
                }
            })
            .build_with_hasher(ahash::RandomState::default());
        Store { cache, linger }
    }

    /// Holds entries that are stored from now on for so long past their expiry.
    pub fn set_linger(&self, span: Duration) {
        self.linger.store(u64::try_from(span.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn get(&self, key: &ExactKey) -> Option<Arc<Entry>> {
        self.cache.get(key).map(|held| held.entry)
    }

    /// `extra`: bytes of the index that this entry will take.
    pub fn insert(&self, entry: Arc<Entry>, extra: usize) {
        let ttl = entry.expires.since(entry.stored);
        self.cache.insert(entry.key, Weighed::new(entry, extra, ttl));
    }

    /// Unless there is one of its key. Gives back which is there then.
    pub fn insert_if_absent(&self, entry: Arc<Entry>, extra: usize, ttl: Duration) -> Arc<Entry> {
        let held = self.cache.entry(entry.key).or_insert_with(|| Weighed::new(entry, extra, ttl));
        held.into_value().entry
    }

    /// Every entry, without counting as a use; off the async threads.
    pub fn all(&self) -> impl Iterator<Item = Arc<Entry>> + '_ {
        self.cache.iter().map(|(_, held)| held.entry)
    }

    /// Whether it is there, without counting as a use.
    pub fn has(&self, key: &ExactKey) -> bool {
        self.cache.contains_key(key)
    }

    /// The entries of `keys` that are there, without counting as a use. Walks all entries:
    /// for the admin side, off the async threads.
    pub fn peek(&self, keys: &[ExactKey]) -> AHashMap<ExactKey, Arc<Entry>> {
        let mut wanted = keys.iter().filter(|key| self.has(key)).count();
        let mut found = AHashMap::with_capacity(wanted);
        let mut entries = self.cache.iter();
        while wanted > 0
            && let Some((key, held)) = entries.next()
        {
            if keys.contains(&key) {
                found.insert(*key, held.entry);
                wanted -= 1;
            }
        }
        found
    }

    /// The entry that an id names, likewise by a walk.
    pub fn find(&self, id: EntryId) -> Option<Arc<Entry>> {
        self.cache.iter().find(|(key, _)| id.names(key)).map(|(_, held)| held.entry)
    }

    /// Whether another tenth of the memory is free; eventual, as the bound is.
    pub fn has_room(&self) -> bool {
        self.cache.policy().max_capacity().is_none_or(|most| self.cache.weighted_size() < most / 10 * 9)
    }

    pub fn remove(&self, key: &ExactKey) {
        self.cache.invalidate(key);
    }

    pub fn size(&self) -> (u64, u64) {
        self.cache.run_pending_tasks();
        (self.cache.entry_count(), self.cache.weighted_size())
    }
}

fn cause_word(cause: RemovalCause) -> &'static str {
    match cause {
        RemovalCause::Expired => "expired",
        RemovalCause::Explicit => "purged",
        RemovalCause::Replaced => "replaced",
        RemovalCause::Size => "size",
    }
}

/// Frees the memory of what has expired. Whether an entry is fresh is decided by our own clock at
/// lookup (`Entry::is_fresh`); this one only has to be no earlier.
struct UntilExpiry(Arc<AtomicU64>);

impl UntilExpiry {
    fn held_for(&self, held: &Weighed) -> Duration {
        held.ttl.saturating_add(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

impl Expiry<ExactKey, Weighed> for UntilExpiry {
    fn expire_after_create(&self, _: &ExactKey, held: &Weighed, _: Instant) -> Option<Duration> {
        Some(self.held_for(held))
    }

    fn expire_after_update(
        &self,
        _: &ExactKey,
        held: &Weighed,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.held_for(held))
    }
}
