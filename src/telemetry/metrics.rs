//! The closed list of metric names. All begin with `reprise_`; labels are words from fixed lists,
//! and keys up to a limit, so cardinality is bounded whatever clients send.
//!
//! | name | labels | what |
//! |---|---|---|
//! | `requests_total` | dialect, verdict, tier, reason | requests that the cache considered |
//! | `request_failures_total` | dialect, code | requests that ended in an error of ours |
//! | `decision_seconds` | verdict | from the body read to the head of the answer |
//! | `upstream_failures_total` | code | exchanges that the upstream failed |
//! | `tapes_total` | ended | recordings, by how they ended |
//! | `stale_total` | | expired answers served because the upstream failed |
//! | `followers_total` | | requests that followed another's flight |
//! | `saved_tokens_total` | kind | tokens of answers that came from the cache |
//! | `feedback_total` | word | reports on entries: `right`, `dropped`, `tightened`, `unknown` |
//! | `audits_total` | of, outcome | answers compared with a fresh one: of a `hit`, a `near` neighbour, in observe mode `observed`, `exact` |
//! | `audit_tokens_total` | kind | tokens that audits cost: `prompt`, `completion`, `judge_prompt`, `judge_completion` |
//! | `evictions_total` | cause | entries that left L1 |
//! | `entries`, `entry_bytes`, `entry_bytes_limit`; `indexed_entries`, `partitions` | | L1 now; L2 now |
//! | `shared_state`, `shared_queue` | | the shared tier now: 0 shut, 1 probing, 2 flowing; writes that wait |
//! | `shared_reads_total` | call, outcome | look-ups in Redis that were answered: `hit`, `miss` |
//! | `shared_troubles_total` | call, outcome | calls to Redis that failed: `late`, `broken`, `refused` |
//! | `shared_writes_total` | outcome | writes: `done`, `refused`, `lost`; dropped unsent: `shut`, `full` |
//! | `shared_unreadable_total` | why | values in Redis that are no entries of ours |
//! | `shared_leases_total` | outcome | turns to ask the upstream: `ours`, `answered`, `alone` |
//! | `shared_followed_total` | kind | what came from other replicas by stream: `entry`, `purge`, `report` |
//! | `flights`, `connections` | | in progress now |
//! | `store_…`, `undecodable_…`, `restored_…`, `reembed_…`, `purged_…` | | the store: see `stored` |
//! | `key_requests_total` | key, verdict | requests by who asks |
//! | `key_spent_usd_total`, `key_saved_usd_total`, `key_overhead_usd_total` | key | money, see `accounts` |
//! | `key_unknown_cost_total`, `key_limits_total` | key; by | requests of unknown cost or saving; limits judged by the count of the `fleet`, or our `own` |
//! | `ledger_write_failures_total`, `ledger_rows_lost_total`, `ledger_rows_waiting` | | the ledger's disk |
//! | `embedding_queue`; `embeddings_…`, `embedding_…`, `cross_…` | | the embedder now; what the models did: see `models` |
//!
//! Recording one request costs two hash look-ups and no allocation.

use super::accounts::AccountMetrics;
use super::deployments::Deployments;
use super::models::{ModelMetrics, Work};
use super::stored::StoreMetrics;
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

/// A word from a fixed list.
pub type Word = &'static str;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    dialect: Word,
    verdict: Word,
    tier: Word,
    reason: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    dialect: Word,
    code: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Audited {
    of: Word,
    outcome: Word,
}

macro_rules! label {
    ($name:ident, $field:ident) => {
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name {
            $field: Word,
        }
    };
}
label!(ByVerdict, verdict);
label!(ByCode, code);
label!(ByEnded, ended);
label!(ByKind, kind);
label!(ByCause, cause);
label!(ByWord, word);
label!(ByOutcome, outcome);
label!(ByWhy, why);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Called {
    call: Word,
    outcome: Word,
}

/// Buckets from 10 microseconds, an exact hit, to 10 minutes, a long answer.
#[derive(Clone)]
pub(super) struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new([
            1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
            1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0,
        ])
    }
}

/// What is read when somebody looks, rather than counted as it happens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub entries: u64,
    pub entry_bytes: u64,
    pub entry_bytes_limit: u64,
    pub indexed_entries: u64,
    pub partitions: u64,
    pub flights: u64,
    pub connections: u64,
    pub embedder: Work,
    pub embedding_queue: u64,
    pub cross_encoder: Work,
    pub shared_state: u64,
    pub shared_queue: u64,
}

/// The numbers of the tier in Redis.
#[derive(Default)]
struct SharedTier {
    reads: Family<Called, Counter>,
    troubles: Family<Called, Counter>,
    writes: Family<ByOutcome, Counter>,
    unreadable: Family<ByWhy, Counter>,
    leases: Family<ByOutcome, Counter>,
    followed: Family<ByKind, Counter>,
}

impl SharedTier {
    fn register(&self, registry: &mut Registry) {
        registry.register("shared_reads", "Look-ups in Redis that were answered", self.reads.clone());
        registry.register("shared_troubles", "Calls to Redis that failed", self.troubles.clone());
        registry.register("shared_writes", "Writes to Redis, by outcome", self.writes.clone());
        registry.register(
            "shared_unreadable",
            "Values in Redis that are no entries",
            self.unreadable.clone(),
        );
        registry.register("shared_leases", "Turns to ask the upstream", self.leases.clone());
        registry.register(
            "shared_followed",
            "What came from other replicas by stream",
            self.followed.clone(),
        );
    }
}

/// All numbers of one process.
pub struct Metrics {
    requests: Family<Decided, Counter>,
    failures: Family<Failed, Counter>,
    decisions: Family<ByVerdict, Histogram, Seconds>,
    upstream_failures: Family<ByCode, Counter>,
    tapes: Family<ByEnded, Counter>,
    followers: Counter,
    stale: Counter,
    saved_tokens: Family<ByKind, Counter>,
    evictions: Family<ByCause, Counter>,
    feedback: Family<ByWord, Counter>,
    audits: Family<Audited, Counter>,
    audit_tokens: Family<ByKind, Counter>,
    shared: SharedTier,
    gauges: [Gauge; 10],
    /// The books, by key.
    pub accounts: AccountMetrics,
    /// Of each deployment: `telemetry::deployments`.
    pub deployments: Deployments,
    embedder: ModelMetrics,
    cross_encoder: ModelMetrics,
    /// The store on disk.
    pub store: StoreMetrics,
    registry: Registry,
    /// One scrape at a time, so that counters that are copied are copied once.
    scrape: Mutex<Snapshot>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("reprise");
        let gauges: [Gauge; 10] = Default::default();
        let gauge_names = [
            ("entries", "Entries in L1"),
            ("entry_bytes", "Bytes that entries and their share of the index weigh"),
            ("entry_bytes_limit", "The limit of entry_bytes"),
            ("indexed_entries", "Entries that can be found by meaning"),
            ("partitions", "Partitions that hold any"),
            ("flights", "Requests upstream that others may follow"),
            ("connections", "Open client connections"),
            ("embedding_queue", "Questions that wait for the embedder"),
            ("shared_state", "The shared tier: 0 shut, 1 probing, 2 flowing"),
            ("shared_queue", "Writes that wait for Redis"),
        ];
        for ((name, help), gauge) in gauge_names.into_iter().zip(&gauges) {
            registry.register(name, help, gauge.clone());
        }
        let metrics = Metrics {
            requests: Family::default(),
            failures: Family::default(),
            decisions: Family::new_with_constructor(Seconds),
            upstream_failures: Family::default(),
            tapes: Family::default(),
            followers: Counter::default(),
            stale: Counter::default(),
            saved_tokens: Family::default(),
            evictions: Family::default(),
            feedback: Family::default(),
            audits: Family::default(),
            audit_tokens: Family::default(),
            shared: SharedTier::default(),
            accounts: AccountMetrics::default(),
            gauges,
            deployments: Deployments::default(),
            embedder: ModelMetrics::default(),
            cross_encoder: ModelMetrics::default(),
            store: StoreMetrics::default(),
            registry: Registry::default(),
            scrape: Mutex::default(),
        };
        metrics.deployments.register(&mut registry);
        registry.register("requests", "Requests that the cache considered", metrics.requests.clone());
        registry.register(
            "request_failures",
            "Requests that ended in an error of ours",
            metrics.failures.clone(),
        );
        registry.register(
            "decision_seconds",
            "From body to the head of the answer",
            metrics.decisions.clone(),
        );
        registry.register(
            "upstream_failures",
            "Exchanges that the upstream failed",
            metrics.upstream_failures.clone(),
        );
        registry.register("tapes", "Recordings, by how they ended", metrics.tapes.clone());
        registry.register("followers", "Requests that followed a flight", metrics.followers.clone());
        registry.register("stale", "Expired answers served for a failing upstream", metrics.stale.clone());
        registry.register("saved_tokens", "Tokens of answers from the cache", metrics.saved_tokens.clone());
        registry.register("evictions", "Entries that left L1", metrics.evictions.clone());
        registry.register("feedback", "Reports on entries", metrics.feedback.clone());
        registry.register("audits", "Answers compared with a fresh one", metrics.audits.clone());
        registry.register("audit_tokens", "Tokens that audits cost", metrics.audit_tokens.clone());
        metrics.embedder.register(
            &mut registry,
            ["embeddings", "embeddings_shed", "embedding_seconds"],
            ["Questions embedded", "Questions let through unembedded", "Time spent embedding"],
        );
        metrics.cross_encoder.register(
            &mut registry,
            ["cross_readings", "cross_readings_shed", "cross_reading_seconds"],
            ["Pairs read by the cross-encoder", "Pairs left unread", "Time spent reading pairs"],
        );
        metrics.shared.register(&mut registry);
        metrics.store.register(&mut registry);
        metrics.accounts.register(&mut registry);
        Metrics { registry, ..metrics }
    }

    /// One request, decided.
    pub fn answered(&self, dialect: Word, verdict: Word, tier: Word, reason: Word, took: Duration) {
        self.requests.get_or_create(&Decided { dialect, verdict, tier, reason }).inc();
        self.decisions.get_or_create(&ByVerdict { verdict }).observe(took.as_secs_f64());
    }

    pub fn failed(&self, dialect: Word, code: Word) {
        self.failures.get_or_create(&Failed { dialect, code }).inc();
    }

    pub fn upstream_failed(&self, code: Word) {
        self.upstream_failures.get_or_create(&ByCode { code }).inc();
    }

    pub fn taped(&self, ended: Word) {
        self.tapes.get_or_create(&ByEnded { ended }).inc();
    }

    pub fn served_stale(&self) {
        self.stale.inc();
    }

    pub fn followed(&self) {
        self.followers.inc();
    }

    /// An answer came from the cache that had cost so many tokens.
    pub fn saved(&self, prompt: u64, completion: u64) {
        self.saved_tokens.get_or_create(&ByKind { kind: "prompt" }).inc_by(prompt);
        self.saved_tokens.get_or_create(&ByKind { kind: "completion" }).inc_by(completion);
    }

    pub fn evicted(&self, cause: Word) {
        self.evictions.get_or_create(&ByCause { cause }).inc();
    }

    /// Somebody said whether an entry was right, and this came of it.
    pub fn fed_back(&self, word: Word) {
        self.feedback.get_or_create(&ByWord { word }).inc();
    }

    /// A stored answer was compared with a fresh one, or could not be.
    pub fn audited(&self, of: Word, outcome: Word) {
        self.audits.get_or_create(&Audited { of, outcome }).inc();
    }

    pub fn audit_spent(&self, kind: Word, tokens: u64) {
        self.audit_tokens.get_or_create(&ByKind { kind }).inc_by(tokens);
    }

    /// A look-up in Redis that was answered.
    pub fn shared_read(&self, call: Word, outcome: Word) {
        self.shared.reads.get_or_create(&Called { call, outcome }).inc();
    }

    pub fn shared_trouble(&self, call: Word, outcome: Word) {
        self.shared.troubles.get_or_create(&Called { call, outcome }).inc();
    }

    pub fn shared_write(&self, outcome: Word) {
        self.shared.writes.get_or_create(&ByOutcome { outcome }).inc();
    }

    pub fn shared_unreadable(&self, why: Word) {
        self.shared.unreadable.get_or_create(&ByWhy { why }).inc();
    }

    pub fn shared_lease(&self, outcome: Word) {
        self.shared.leases.get_or_create(&ByOutcome { outcome }).inc();
    }

    pub fn shared_followed(&self, kind: Word) {
        self.shared.followed.get_or_create(&ByKind { kind }).inc();
    }

    /// Everything in the OpenMetrics text format, with `now` for what is not counted here.
    pub fn encode(&self, now: Snapshot) -> String {
        let mut last = self.scrape.lock();
        let values = [
            now.entries,
            now.entry_bytes,
            now.entry_bytes_limit,
            now.indexed_entries,
            now.partitions,
            now.flights,
            now.connections,
            now.embedding_queue,
            now.shared_state,
            now.shared_queue,
        ];
        for (gauge, value) in self.gauges.iter().zip(values) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.embedder.advance(last.embedder, now.embedder);
        self.cross_encoder.advance(last.cross_encoder, now.cross_encoder);
        *last = now;
        let mut out = String::with_capacity(8_192);
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.answered("chat_completions", "hit", "l1", "", Duration::from_micros(30));
        metrics.saved(9, 3);
        let embedder = |answered| Work { answered, ..Work::default() };
        let shown = metrics.encode(Snapshot { entries: 7, embedder: embedder(5), ..Snapshot::default() });
        for line in [
            "reprise_requests_total{dialect=\"chat_completions\",verdict=\"hit\",tier=\"l1\",reason=\"\"} 1",
            "reprise_decision_seconds_count{verdict=\"hit\"} 1",
            "reprise_saved_tokens_total{kind=\"completion\"} 3",
            "reprise_entries 7",
            "reprise_embeddings_total 5",
            "# EOF",
        ] {
            assert!(shown.contains(line), "{line} not in\n{shown}");
        }
        let again = metrics.encode(Snapshot { embedder: embedder(6), ..Snapshot::default() });
        assert!(again.contains("reprise_embeddings_total 6"), "{again}");
    }
}
