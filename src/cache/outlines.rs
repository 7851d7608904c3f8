//! What each partition is made of, so that a request that finds its own empty can be told what
//! differs from the nearest one.

use crate::base::digest::Partition;
use crate::canon::{Difference, Outline};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;

/// Bytes of all outlines together: some ten thousand partitions. The oldest leave first.
const MEMORY: u64 = 4 << 20;
/// What the map takes beside each.
const OVERHEAD: usize = 200;

/// The outlines of the partitions that hold anything, each drawn once, when its first entry is
/// admitted. Only explanations read them; a partition whose outline has left is not compared with.
pub struct Outlines {
    held: Cache<Partition, Arc<Outline>, ahash::RandomState>,
}

/// The partition of the same scope that differs in the fewest fields.
#[derive(Clone, Debug)]
pub struct NearPartition {
    pub partition: Partition,
    pub differences: Vec<Difference>,
}

impl Outlines {
    pub(super) fn new() -> Outlines {
        let held = Cache::builder()
            .max_capacity(MEMORY)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, outline: &Arc<Outline>| u32::try_from(outline.size() + OVERHEAD).unwrap_or(u32::MAX))
            .build_with_hasher(ahash::RandomState::default());
        Outlines { held }
    }

    /// Whether a partition has been outlined. One hash look-up.
    pub fn knows(&self, partition: &Partition) -> bool {
        self.held.contains_key(partition)
    }

    pub fn put(&self, partition: Partition, outline: Outline) {
        self.held.insert(partition, Arc::new(outline));
    }

    /// Of the partitions of the same scope that `lives` admits to, the one nearest to `asked`; of
    /// several, the one that differs in the model rather than in what it is told. Linear in all outlines.
    pub(super) fn nearest(
        &self,
        asked: &Outline,
        own: &Partition,
        lives: impl Fn(&Partition) -> bool,
    ) -> Option<NearPartition> {
        let others = self.held.iter().filter(|(partition, outline)| {
            outline.scope == asked.scope && **partition != *own && lives(partition)
        });
        let near = others.map(|(partition, outline)| NearPartition {
            partition: *partition,
            differences: asked.differences(&outline),
        });
        near.min_by_key(|near| {
            let hidden = near.differences.iter().filter(|difference| difference.is_hidden()).count();
            (near.differences.len(), hidden, near.partition)
        })
    }
}
