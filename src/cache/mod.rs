//! The cascade: what has been answered before, exactly or in other words.
//!
//! ```text
//! lookup: L1 by exact key ─ fresh, playable ─> hit
//!            └ miss ─ question, partition not empty ─> embed ─> nearest five, best first
//!                         └ each: in L1, fresh, playable, verified, or vouched for; the surest ─> hit (L2)
//! admit:  whole answer ─> L1 (bytes, expiry) ─> index of its partition (in the background)
//! ```
//! With `[redis]`, L3 stands beside L1 and behind L2 (`shared` has the picture).
//!
//! L2 is an index over L1's entries, not a second store: one entry, one weight, one eviction. What is
//! evicted from L1 leaves the index with it; on disk it stays until it expires, and comes back by its exact key.
//!
//! Promises: a hit is fresh, of the same scope and context, and, by meaning, verified. A fault of the
//! model or the index is a miss. Memory is bounded by `cache.memory`; the bound is eventual within
//! moka's write buffer (a few hundred entries). Nothing here waits but for one embedding, and for one row of
//! the disk where it may hold what memory does not.
//!
//! | file | has |
//! |---|---|
//! | `entry` | one recorded answer |
//! | `codec` | entries as bytes, with checksum and encryption |
//! | `verdict` | what was decided, as one word |
//! | `store` | L1: bytes, expiry, eviction |
//! | `lookup` | the cascade |
//! | `admit` | what may be kept, and keeping it |
//! | `feedback` | what people said of entries, and what follows from it |
//! | `outlines` | what each partition is made of, to name what differs |
//! | `explain` | the cascade told instead of done |
//! | `disk` | entries on disk, behind the request path |
//! | `restore` | entries brought back from there |
//! | `purge` | taking entries out by what they are |
//! | `rule` | a purge that holds for what is found later |
//! | `carry` | entries to and from other servers |
//! | `flight` | identical requests in progress |
//! | `shared` | L3: what replicas share through Redis |

pub mod admit;
pub mod carry;
pub mod codec;
pub mod disk;
pub mod entry;
pub mod explain;
pub mod feedback;
pub mod flight;
pub mod lookup;
pub mod outlines;
pub mod purge;
pub mod restore;
mod rule;
pub mod shared;
pub mod store;
pub mod verdict;

pub use entry::{Content, Entry};
pub use lookup::{Demand, Embedding, Found, Looked, Lookup};
pub use verdict::{Missed, Tier, Verdict};

use crate::base::clock::Clock;
use crate::semantic::Semantic;
use crate::telemetry::metrics::Metrics;
use arc_swap::ArcSwapOption;
use disk::Disk;
use feedback::Feedback;
use flight::Flights;
use outlines::Outlines;
use purge::Fleet;
use restore::Anew;
use shared::Shared;
use std::sync::{Arc, OnceLock};
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
    /// Absent where the config names no Redis.
    shared: OnceLock<Arc<Shared>>,
    /// Absent where entries are kept in memory only.
    disk: Option<Arc<Disk>>,
    anew: Anew,
    /// Who else is told of a purge.
    fleet: OnceLock<Arc<dyn Fleet>>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

impl Cache {
    /// `memory`: bytes for entries, their vectors and the index together.
    pub fn new(memory: u64, clock: Clock, metrics: Arc<Metrics>) -> Cache {
        let semantic: Arc<ArcSwapOption<Semantic>> = Arc::default();
        let store = Store::new(memory, semantic.clone(), metrics.clone());
        let (outlines, feedback) = (Outlines::new(), Feedback::new());
        Cache {
            store,
            semantic,
            flights: Arc::default(),
            outlines,
            feedback,
            shared: OnceLock::new(),
            disk: None,
            anew: Anew::default(),
            fleet: OnceLock::new(),
            metrics,
            clock,
        }
    }

    /// From now on entries are kept on disk as well.
    pub fn with_disk(self, disk: Disk) -> Cache {
        Cache { disk: Some(Arc::new(disk)), ..self }
    }

    /// Holds what is stored from now on for so long past its expiry, for `stale`.
    pub fn set_linger(&self, span: Duration) {
        self.store.set_linger(span);
    }

    /// From now on questions are compared by meaning with this model.
    pub fn set_semantic(&self, semantic: Arc<Semantic>) {
        self.semantic.store(Some(semantic));
    }

    /// The tier that replicas share, where there is one. Costs one atomic load.
    pub fn shared(&self) -> Option<&Arc<Shared>> {
        self.shared.get()
    }

    /// Once, at the start.
    fn share_through(&self, shared: Arc<Shared>) {
        let _ = self.shared.set(shared);
    }

    pub fn semantic(&self) -> Option<Arc<Semantic>> {
        self.semantic.load_full()
    }

    /// Entries in L1, and the bytes they weigh; exact after moka's pending work is done, which this does.
    pub fn size(&self) -> (u64, u64) {
        self.store.size()
    }
}
