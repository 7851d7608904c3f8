//! What the models did, copied from their pools when somebody looks.
//!
//! | name | what |
//! |---|---|
//! | `embeddings_total`, `embeddings_shed_total`, `embedding_seconds_total` | questions embedded, let through unembedded; time spent |
//! | `cross_readings_total`, `cross_readings_shed_total`, `cross_reading_seconds_total` | the same of pairs that the cross-encoder read |

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// One model's work since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    pub answered: u64,
    pub shed: u64,
    pub time: Duration,
}

/// The counters of one model.
#[derive(Default)]
pub(super) struct ModelMetrics {
    answered: Counter,
    shed: Counter,
    time: Counter<f64, AtomicU64>,
}

impl ModelMetrics {
    /// `names` and `help` of what was answered, what was shed, and the time.
    pub fn register(&self, registry: &mut Registry, names: [&str; 3], help: [&str; 3]) {
        registry.register(names[0], help[0], self.answered.clone());
        registry.register(names[1], help[1], self.shed.clone());
        registry.register(names[2], help[2], self.time.clone());
    }

    /// Counts what was done since `last`.
    pub fn advance(&self, last: Work, now: Work) {
        self.answered.inc_by(now.answered.saturating_sub(last.answered));
        self.shed.inc_by(now.shed.saturating_sub(last.shed));
        self.time.inc_by(now.time.saturating_sub(last.time).as_secs_f64());
    }
}
