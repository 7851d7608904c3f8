//! Numbers of the books, by key. Whoever asks with many keys cannot make the list long: past
//! `MOST_KEYS` the rest count together as `other`.

use crate::base::money::NanoUsd;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::HashSet;
use std::sync::atomic::AtomicU64;

const MOST_KEYS: usize = 200;
const OTHER: &str = "other";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKey {
    key: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKeyAndVerdict {
    key: String,
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWhom {
    by: &'static str,
}

type Dollars = Counter<f64, AtomicU64>;

/// Written by the ledger's own thread, not by requests; but for `limits`.
#[derive(Debug, Default)]
pub struct AccountMetrics {
    requests: Family<ByKeyAndVerdict, Counter>,
    spent: Family<ByKey, Dollars>,
    saved: Family<ByKey, Dollars>,
    overhead: Family<ByKey, Dollars>,
    unknown: Family<ByKey, Counter>,
    failures: Counter,
    lost: Counter,
    waiting: Gauge,
    ship_failures: Counter,
    unshipped: Gauge,
    limits: Family<ByWhom, Counter>,
    keys: Mutex<HashSet<String, ahash::RandomState>>,
}

impl AccountMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("key_requests", "Requests by key and verdict", self.requests.clone());
        registry.register("key_spent_usd", "What upstreams charged for, in USD", self.spent.clone());
        registry.register("key_saved_usd", "What answers from the cache would have cost", self.saved.clone());
        registry.register("key_overhead_usd", "Audits, escalations, embeddings", self.overhead.clone());
        registry.register("key_unknown_cost", "Requests of unknown cost or saving", self.unknown.clone());
        registry.register(
            "ledger_write_failures",
            "Batches that could not be written",
            self.failures.clone(),
        );
        registry.register("ledger_rows_lost", "Rows that were never written", self.lost.clone());
        let text = "Limits of keys asked for, by whose count decided: `fleet`, or this replica's `own` while Redis is away";
        registry.register("key_limits", text, self.limits.clone());
        registry.register("ledger_rows_waiting", "Rows that wait for the disk", self.waiting.clone());
        let text = "Attempts to bring rows to ledger.url that failed";
        registry.register("ledger_ship_failures", text, self.ship_failures.clone());
        let text = "Rows on disk that have not gone over to ledger.url";
        registry.register("ledger_rows_unshipped", text, self.unshipped.clone());
    }

    /// One row of the ledger. `None`: not known.
    pub fn booked(
        &self,
        key: &str,
        verdict: &'static str,
        is_request: bool,
        spent: Option<NanoUsd>,
        saved: Option<NanoUsd>,
    ) {
        let key = self.bounded(key);
        let usd = |amount: NanoUsd| amount.0 as f64 / 1e9;
        let by_key = ByKey { key: key.clone() };
        if !is_request {
            self.overhead.get_or_create(&by_key).inc_by(usd(spent.unwrap_or_default()));
            return;
        }
        self.requests.get_or_create(&ByKeyAndVerdict { key, verdict }).inc();
        self.spent.get_or_create(&by_key).inc_by(usd(spent.unwrap_or_default()));
        self.saved.get_or_create(&by_key).inc_by(usd(saved.unwrap_or_default()));
        if spent.is_none() || saved.is_none() {
            self.unknown.get_or_create(&by_key).inc();
        }
    }

    pub fn write_failed(&self) {
        self.failures.inc();
    }

    /// Rows that the fleet's database does not have yet.
    pub fn rows_unshipped(&self, count: i64) {
        self.unshipped.set(count);
    }

    pub fn ship_failed(&self) {
        self.ship_failures.inc();
    }

    pub fn rows_lost(&self, count: u64) {
        self.lost.inc_by(count);
    }

    /// A key's limit was judged by the count of all replicas, `fleet`, or for want of it by our `own`.
    pub fn limited(&self, by: &'static str) {
        self.limits.get_or_create(&ByWhom { by }).inc();
    }

    pub fn rows_waiting(&self, count: usize) {
        self.waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn bounded(&self, key: &str) -> String {
        let mut keys = self.keys.lock();
        if keys.contains(key) {
            return key.to_owned();
        }
        if keys.len() >= MOST_KEYS {
            return OTHER.to_owned();
        }
        keys.insert(key.to_owned());
        key.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_keys_is_counted_together() {
        let metrics = AccountMetrics::default();
        for number in 0..1_000 {
            metrics.booked(&format!("k{number}"), "hit", true, None, Some(NanoUsd(1_000_000_000)));
        }
        assert_eq!(metrics.bounded("k0"), "k0");
        let other = ByKey { key: OTHER.to_owned() };
        assert_eq!(metrics.saved.get_or_create(&other).get(), 800.0);
        assert_eq!(metrics.unknown.get_or_create(&other).get(), 800);
    }
}
