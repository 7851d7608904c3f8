//! One key's limits over all replicas: what is asked of the fleet, and what it is told behind the requests.
//!
//! ```text
//! enter ─ a permit at hand, or a few more of the fleet's for this minute ─> let in
//! ask ─── held here ─ held in the fleet (one round trip) ─> upstream
//! settle ─ counted here ─> worker ─ what was spent, which holds are over ─> fleet
//!                           └ each second: keys in use, for what the others have spent
//! ```
//! Promises: a request waits for the fleet's time-box at most, and none is refused because the fleet is away:
//! then this replica's own count decides, together with what the others are known to have spent. Without a
//! fleet every call costs one branch.

use super::fleet::{Ask, Fleet, Message, Refused};
use super::meter::{Hold, Hurry, Permit, over_budget, too_many_at_once, too_many_requests, too_many_tokens};
use super::{Key, Ring};
use crate::base::clock::Clock;
use crate::base::fault::Fault;
use crate::telemetry::metrics::Metrics;
use futures_util::StreamExt;
use parking_lot::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;

/// Between two rounds of the worker: what others spent is known here after this.
const PACE: Duration = Duration::from_secs(1);
/// Keys that are told of at once.
const ABREAST: usize = 64;

/// What all keys of this process share with other replicas.
pub struct Joint {
    fleet: OnceLock<Arc<dyn Fleet>>,
    replica: Arc<str>,
    /// Keys of which there is something to tell.
    untold: Mutex<Vec<Arc<Key>>>,
    wake: Notify,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// It was said that another process tells in this one's name.
    twin: AtomicBool,
}

impl fmt::Debug for Joint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Joint of replica {}", self.replica)
    }
}

impl Joint {
    pub fn new(replica: String, clock: Clock, metrics: Arc<Metrics>) -> Joint {
        let (fleet, untold, wake) = (OnceLock::new(), Mutex::default(), Notify::new());
        Joint { fleet, replica: replica.into(), untold, wake, clock, metrics, twin: AtomicBool::new(false) }
    }

    /// From now on limits are those of all replicas. The first fleet stays.
    pub fn join(&self, fleet: Arc<dyn Fleet>) {
        // Only the start calls this.
        let _ = self.fleet.set(fleet);
    }

    /// Whether there are other replicas to ask.
    pub fn is_joined(&self) -> bool {
        self.fleet.get().is_some()
    }

    /// Whether what `key` holds is held in the fleet too.
    pub fn shares(&self, key: &Key) -> bool {
        self.fleet.get().is_some() && key.grant.is_metered()
    }

    /// A request's part of the fleet's rate. Most are let in by what was taken before.
    pub async fn enter(&self, key: &Key) -> Result<(), Fault> {
        let (Some(fleet), Some(most)) = (self.fleet.get(), key.grant.rpm) else { return Ok(()) };
        let now = self.clock.now();
        let (want, minute) = match key.meter.permit(most, now) {
            Permit::Had => return Ok(()),
            Permit::UsedUp => return Err(too_many_requests(&key.grant, now)),
            Permit::Ask { want, minute } => (want, minute),
        };
        let granted = fleet.requests(&key.digest, minute, want, most).await;
        self.judged(granted.is_some());
        key.meter.permitted((minute, most), want, granted.unwrap_or(1));
        match granted {
            Some(0) => Err(too_many_requests(&key.grant, now)),
            _ => Ok(()),
        }
    }

    /// Holds in the fleet what is held here already. Refused, it is settled like any other.
    pub async fn hold(&self, key: &Key, hold: &Hold) -> Result<(), Fault> {
        let (Some(fleet), Some(id)) = (self.fleet.get(), hold.id) else { return Ok(()) };
        let grant = &key.grant;
        let ask = Ask {
            id,
            cost: hold.cost.0,
            tokens: hold.tokens,
            tpm: grant.tpm,
            concurrency: grant.concurrency,
            budget: grant.budget.limits().map(|limit| limit.map(|limit| limit.0)),
        };
        let told = self.tell(fleet.as_ref(), key, Some(ask)).await;
        self.judged(told.is_some());
        match told.flatten() {
            None => Ok(()),
            Some(Refused::Budget(at)) => Err(over_budget(at)),
            Some(Refused::Tokens) => Err(too_many_tokens(grant, self.clock.now())),
            Some(Refused::Concurrency) => Err(too_many_at_once(grant)),
        }
    }

    /// Something of the key is to be told, behind the request.
    pub fn settled(&self, key: &Arc<Key>) {
        if self.fleet.get().is_some() && key.grant.is_told() {
            self.note(key);
            self.wake.notify_one();
        }
    }

    fn note(&self, key: &Arc<Key>) {
        if key.meter.is_news() {
            self.untold.lock().push(key.clone());
        }
    }

    /// The worker: tells what is to be told, until the process goes down.
    pub async fn keep(&self, ring: impl Fn() -> Arc<Ring>) {
        let Some(fleet) = self.fleet.get() else { return };
        let (mut known, mut pace) = (None, tokio::time::interval(PACE));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                _ = pace.tick() => {
                    let now = fleet.connection();
                    // What is not told again after a loss would not count any more.
                    let anew = now.is_some() && now != known;
                    known = now;
                    let ring = ring();
                    let told = ring.keys().iter().filter(|key| key.grant.is_told());
                    told.filter(|key| key.meter.is_in_use(anew)).for_each(|key| self.note(key));
                }
            }
            self.tell_all().await;
        }
    }

    /// The last word: what the worker did not come to.
    pub async fn close(&self, ring: &Ring) {
        let told = ring.keys().iter().filter(|key| key.grant.is_told() && key.meter.owes());
        self.tell_of(told.cloned().collect()).await;
    }

    /// Tells of every key of which there is something to tell.
    async fn tell_all(&self) {
        let keys = std::mem::take(&mut *self.untold.lock());
        self.tell_of(keys).await;
    }

    async fn tell_of(&self, keys: Vec<Arc<Key>>) {
        let Some(fleet) = self.fleet.get() else { return };
        let telling = futures_util::stream::iter(keys).for_each_concurrent(ABREAST, |key| async move {
            key.meter.is_told();
            if self.tell(fleet.as_ref(), &key, None).await.is_none() {
                // Again at the next round.
                self.note(&key);
            }
        });
        telling.await;
    }

    /// `None`: the fleet is away.
    async fn tell(&self, fleet: &dyn Fleet, key: &Key, ask: Option<Ask>) -> Option<Option<Refused>> {
        let hurry = if ask.is_some() { Hurry::Request } else { Hurry::None };
        let word = key.meter.word(self.clock.now(), hurry);
        let (digest, replica) = (key.digest.clone(), self.replica.clone());
        let message = Message { key: digest, replica, word, ask };
        let told = fleet.tell(&message).await?;
        let twin = key.meter.heard(message.word.periods, &told, &message.word.over);
        if twin && !self.twin.swap(true, Ordering::Relaxed) {
            let replica = &self.replica;
            tracing::error!(
                %replica,
                "another process counts in this one's name, so budgets are overrun: give each a ledger.path of its own"
            );
        }
        Some(told.refused)
    }

    fn judged(&self, together: bool) {
        self.metrics.accounts.limited(if together { "fleet" } else { "own" });
    }
}
