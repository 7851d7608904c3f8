//! The numbers of the store on disk, set as they change.
//!
//! | name | labels | what |
//! |---|---|---|
//! | `store_up` | | 1 while the store can be written; 0 too where there is none |
//! | `store_entries`, `store_bytes` | | rows, and bytes of the file in use |
//! | `store_writes_total` | | entries written |
//! | `store_dropped_total` | why | entries not written: `queue_full`, `too_big` |
//! | `store_reads_total` | outcome | looks into the store after a miss in L1: `found`, `none` |
//! | `store_evictions_total` | cause | rows taken out: `size`, `expired` |
//! | `store_faults_total` | kind | failures of the file: `unavailable`, `broken` |
//! | `undecodable_entries_total` | reason | stored bytes that were not served: `corrupt`, `foreign`, `newer`, `wrong_key`, `unsealed`, `misplaced` |
//! | `restored_entries_total` | | entries brought back into memory after a start |
//! | `reembed_pending` | | questions that wait for a vector of the current model |
//! | `purged_entries_total` | | entries taken out by a purge |

use super::metrics::Word;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

macro_rules! label {
    ($name:ident, $field:ident) => {
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name {
            $field: Word,
        }
    };
}
label!(ByWhy, why);
label!(ByOutcome, outcome);
label!(ByCause, cause);
label!(ByKind, kind);
label!(ByReason, reason);

#[derive(Default)]
pub struct StoreMetrics {
    up: Gauge,
    entries: Gauge,
    bytes: Gauge,
    writes: Counter,
    dropped: Family<ByWhy, Counter>,
    reads: Family<ByOutcome, Counter>,
    evictions: Family<ByCause, Counter>,
    faults: Family<ByKind, Counter>,
    undecodable: Family<ByReason, Counter>,
    restored: Counter,
    reembed: Gauge,
    purged: Counter,
}

impl StoreMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("store_up", "Whether the store can be written", self.up.clone());
        registry.register("store_entries", "Rows on disk", self.entries.clone());
        registry.register("store_bytes", "Bytes of the store's file in use", self.bytes.clone());
        registry.register("store_writes", "Entries written to disk", self.writes.clone());
        registry.register("store_dropped", "Entries not written to disk", self.dropped.clone());
        registry.register("store_reads", "Looks into the store", self.reads.clone());
        registry.register("store_evictions", "Rows taken out of the store", self.evictions.clone());
        registry.register("store_faults", "Failures of the store's file", self.faults.clone());
        registry.register("undecodable_entries", "Stored bytes not served", self.undecodable.clone());
        registry.register("restored_entries", "Entries brought back after a start", self.restored.clone());
        registry.register("reembed_pending", "Questions to be embedded anew", self.reembed.clone());
        registry.register("purged_entries", "Entries taken out by a purge", self.purged.clone());
    }

    pub fn up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    pub fn holds(&self, entries: u64, bytes: u64) {
        let [entries, bytes] = [entries, bytes].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        self.entries.set(entries);
        self.bytes.set(bytes);
    }

    pub fn written(&self, entries: usize) {
        self.writes.inc_by(entries as u64);
    }

    pub fn dropped(&self, why: Word, entries: usize) {
        count(&self.dropped, ByWhy { why }, entries);
    }

    pub fn read(&self, outcome: Word) {
        count(&self.reads, ByOutcome { outcome }, 1);
    }

    pub fn evicted(&self, cause: Word, entries: usize) {
        count(&self.evictions, ByCause { cause }, entries);
    }

    pub fn faulted(&self, kind: Word) {
        count(&self.faults, ByKind { kind }, 1);
    }

    pub fn undecodable(&self, reason: Word) {
        count(&self.undecodable, ByReason { reason }, 1);
    }

    pub fn restored(&self, entries: usize) {
        self.restored.inc_by(entries as u64);
    }

    pub fn reembed(&self, pending: usize) {
        self.reembed.set(i64::try_from(pending).unwrap_or(i64::MAX));
    }

    pub fn purged(&self, entries: usize) {
        self.purged.inc_by(entries as u64);
    }
}

fn count<L: Clone + std::hash::Hash + Eq>(family: &Family<L, Counter>, labels: L, by: usize) {
    if by > 0 {
        family.get_or_create(&labels).inc_by(by as u64);
    }
}
