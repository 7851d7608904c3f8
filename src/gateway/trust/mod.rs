//! Whether hits can be trusted: budgets of wrong answers, audits in the background, observe mode.
//!
//! ```text
//! hit by meaning ─ drawn? ─> desk (bounded) ─> audit: the same request upstream, read whole ┐
//! miss near one  ─ drawn? ─> its own answer is recorded anyway ─────────────────────────────┤ a fresh answer
//! would-be hit (observe) ──> the upstream's answer, likewise ───────────────────────────────┘
//!       compare: equal text, else by text, meaning or judge ─> verdict ─> Budget ─> the next lookup's threshold
//!                                                                └ a wrong hit tightens its entry
//! ```
//!
//! | file | has |
//! |---|---|
//! | `watch` | one route's evidence: its budget, its counts, the threshold of a lookup |
//! | `watches` | all routes' evidence: opened from the config, kept across reloads |
//! | `state` | the file that the evidence survives a restart in |
//! | `desk` | how much auditing may go on at once, and when it rests |
//! | `audit` | one audit from the draw to the verdict |
//! | `said`, `compare` | what an answer says, and whether two come to the same |
//! | `judge` | the deployment that is asked |
//! | `report` | what `/api/budget` and `/api/observe` tell |
//!
//! **Promises.** A client never waits for an audit: a drawn hit is answered first, and costs it one atomic read and some
//! tens of nanoseconds. An audit is the caller's own request with the caller's own headers, so nobody's answer is
//! fetched with another's credential; it goes out once, whatever becomes of it. Whatever cannot be had
//! (upstream down, judge silent, desk full, process stopping) is no verdict and counts as lost, never as right.
//! A route without a budget pays one branch.
//!
//! **Only eventual.** Evidence is written every ten seconds and at a drain; a crash loses what came since.

pub mod audit;
pub mod compare;
mod desk;
mod judge;
pub mod report;
mod said;
mod state;
mod watch;
mod watches;

pub use watch::{Count, Watch};
pub use watches::{Trust, Unwatchable, Watches};

use super::Gateway;
use crate::base::digest::Partition;
use std::sync::Arc;
use std::time::Duration;

/// How often evidence is written, if there is new.
const WRITES: Duration = Duration::from_secs(10);

impl Gateway {
    /// Writes the evidence behind the requests until the process stops. Ends at once where it is kept in memory only.
    pub async fn keep_evidence(self: Arc<Self>) {
        if !self.trust.is_kept() {
            return;
        }
        let mut stopping = std::pin::pin!(self.tasks.stopping());
        loop {
            tokio::select! {
                () = &mut stopping => return,
                () = tokio::time::sleep(WRITES) => self.write_evidence().await,
            }
        }
    }

    /// A user said that a hit was wrong that lay `score` away: it counts for the route that last had a hit by meaning in
    /// this partition.
    pub fn complain(&self, partition: &Partition, score: f32) {
        let settings = self.settings.load();
        if let Some(watch) = self.trust.whose(&settings.watches, partition) {
            watch.budget.complain(score);
        }
    }

    /// Writes the evidence now. A failure is told once, and changes nothing else.
    pub async fn write_evidence(self: &Arc<Self>) {
        if self.settings.load().watches.is_empty() {
            return;
        }
        let gateway = self.clone();
        // It fails only where the process is torn down.
        let _ =
            tokio::task::spawn_blocking(move || gateway.trust.save(&gateway.settings.load().watches)).await;
    }
}
