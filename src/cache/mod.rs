//! The cascade: what has been answered before, exactly or in other words.
//!
//! ```text
//! lookup: L1 by exact key ─ fresh, playable ─> hit
//!            └ miss ─ question, partition not empty ─> embed ─> nearest five, best first
//!                         └ each: in L1, fresh, playable, verified ─> hit (L2)
//! admit:  whole answer ─> L1 (bytes, expiry) ─> index of its partition (in the background)
//! ```
//! L2 is an index over L1's entries, not a second store: one entry, one weight, one eviction. What is
//! evicted from L1 leaves the index with it.
//!
//! Promises: a hit is fresh, of the same scope and context, and, by meaning, verified. A fault of the
//! model or the index is a miss. Memory is bounded by `cache.memory`; the bound is eventual within
//! moka's write buffer (a few hundred entries). Nothing here waits but for one embedding.
//!
//! | file | has |
//! |---|---|
//! | `entry` | one recorded answer |
//! | `verdict` | what was decided, as one word |
//! | `store` | L1: bytes, expiry, eviction |
//! | `lookup` | the cascade |
//! | `admit` | what may be kept, and keeping it |
//! | `feedback` | what people said of entries, and what follows from it |
//! | `outlines` | what each partition is made of, to name what differs |
//! | `explain` | the cascade told instead of done |
//! | `flight` | identical requests in progress |

pub mod admit;
pub mod entry;
pub mod explain;
pub mod feedback;
pub mod flight;
pub mod lookup;
pub mod outlines;
pub mod store;
pub mod verdict;

pub use entry::{Content, Entry};
pub use lookup::{Demand, Embedding, Found, Looked, Lookup};
pub use verdict::{Missed, Tier, Verdict};

use crate::base::clock::Clock;
use crate::semantic::Semantic;
use crate::telemetry::metrics::Metrics;
use arc_swap::ArcSwapOption;
use feedback::Feedback;
use flight::Flights;
use outlines::Outlines;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

/// All tiers of one process. Shared by `Arc`; every method may be called from any number of tasks.
pub struct Cache {
    store: Store,
    /// Absent until the model is loaded, and where it cannot be: lookups are then exact only.
    semantic: Arc<ArcSwapOption<Semantic>>,
    pub flights: Arc<Flights>,
    pub outlines: Outlines,
    feedback: Feedback,
    clock: Clock,
}

impl Cache {
    /// `memory`: bytes for entries, their vectors and the index together.
    pub fn new(memory: u64, clock: Clock, metrics: Arc<Metrics>) -> Cache {
        let semantic: Arc<ArcSwapOption<Semantic>> = Arc::default();
        let store = Store::new(memory, semantic.clone(), metrics);
        let (outlines, feedback) = (Outlines::new(), Feedback::new());
        Cache { store, semantic, flights: Arc::default(), outlines, feedback, clock }
    }

    /// Holds what is stored from now on for so long past its expiry, for `stale`.
    pub fn set_linger(&self, span: Duration) {
        self.store.set_linger(span);
    }

    /// From now on questions are compared by meaning with this model.
    pub fn set_semantic(&self, semantic: Arc<Semantic>) {
        self.semantic.store(Some(semantic));
    }

    pub fn semantic(&self) -> Option<Arc<Semantic>> {
        self.semantic.load_full()
    }

    /// Entries in L1, and the bytes they weigh; exact after moka's pending work is done, which this does.
    pub fn size(&self) -> (u64, u64) {
        self.store.size()
    }
}
