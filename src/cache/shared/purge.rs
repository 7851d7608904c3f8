//! Purges over the whole fleet.
//!
//! A purge is a line on a stream that every replica follows, and a rule for what is read from Redis from
//! then on: nothing that it meets is taken from there any more, whether it has been deleted yet or not.

use super::Shared;
use super::breaker::Trouble;
use super::keeper::UNHURRIED;
use super::line::{Lines, within};
use super::queue::Write;
use crate::base::clock::Millis;
use crate::base::digest::{ExactKey, Partition};
use crate::cache::Cache;
use crate::cache::codec;
use crate::cache::entry::Entry;
use crate::cache::purge::{Purge, What};
use parking_lot::{Mutex, RwLock};
use redis::aio::MultiplexedConnection;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Purges that the stream keeps, about, and that a replica remembers.
pub(super) const PURGES: usize = 10_000;
/// Purges that wait for Redis to come back, at most; past that the oldest is forgotten, with a warning.
const MOST_WAITING: usize = 10_000;

/// The purges that hold for what is read from Redis. Costs a look-up one atomic load until there is one.
#[derive(Default)]
pub struct Rules {
    any: AtomicBool,
    held: RwLock<Held>,
}

#[derive(Default)]
struct Held {
    /// By exact key, until when what was stored is gone.
    entries: HashMap<ExactKey, Millis, ahash::RandomState>,
    /// All others, in the order in which they came.
    wide: VecDeque<Purge>,
}

impl Rules {
    /// Whether an entry was purged.
    pub fn refuses(&self, entry: &Entry) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let held = self.held.read();
        held.entries.get(&entry.key).is_some_and(|until| entry.stored <= *until)
            || held.wide.iter().any(|purge| purge.meets(entry))
    }

    pub fn add(&self, purge: &Purge) {
        let mut held = self.held.write();
        match &purge.what {
            What::Entries(entries) => {
                // A rule of an entry is of use until that has been deleted; of very many, none is kept.
                if held.entries.len() + entries.len() > 10 * PURGES {
                    held.entries.clear();
                }
                held.entries.extend(entries.iter().map(|(_, key)| (*key, purge.until)));
            }
            _ => {
                // One that covers another replaces it.
                held.wide.retain(|other| other.what != purge.what || other.until > purge.until);
                if held.wide.len() >= PURGES {
                    held.wide.pop_front();
                }
                held.wide.push_back(purge.clone());
            }
        }
        self.any.store(true, Ordering::Release);
    }
}

/// Names looked at in one step of a scrub.
const STEP: usize = 200;

/// What has not been done in Redis yet.
#[derive(Default)]
pub struct Waiting {
    /// Not on the stream yet.
    undelivered: Mutex<VecDeque<Purge>>,
    /// Purges that name no entries, each with how far what it meets has been deleted. Until then the rule
    /// holds; what a process leaves behind when it ends expires by itself.
    unscrubbed: Mutex<VecDeque<(Purge, u64)>>,
}

impl Shared {
    /// Has a purge done in Redis and on every other replica. Returns at once; while Redis is away the purge
    /// waits, and is delivered before Redis is asked for anything again.
    pub fn purge(&self, purge: &Purge) {
        self.rules.add(purge);
        {
            let mut waiting = self.waiting.undelivered.lock();
            if waiting.len() >= MOST_WAITING {
                waiting.pop_front();
                tracing::warn!("too many purges wait for Redis; the oldest is not passed on");
            }
            waiting.push_back(purge.clone());
        }
        self.enqueue(Write::Purges);
    }

    pub(super) async fn deliver_purges(&self, lines: &Arc<Lines>) {
        let mut line = lines.write.clone();
        if let Err(trouble) = self.deliver(&mut line).await {
            self.met(lines, "purge", &trouble);
        }
        self.scrub_on();
    }

    /// Delivers what waits, oldest first. A purge that Redis refuses stays, and so keeps Redis from being
    /// asked: what was purged must not come back.
    pub(super) async fn deliver(&self, line: &mut MultiplexedConnection) -> Result<(), Trouble> {
        loop {
            let Some(purge) = self.waiting.undelivered.lock().front().cloned() else { return Ok(()) };
            let mut pipe = redis::pipe();
            if let What::Entries(entries) = &purge.what {
                for (partition, key) in entries {
                    pipe.cmd("UNLINK").arg(self.names.entry(partition, key)).ignore();
                }
            }
            pipe.cmd("XADD").arg(self.names.purged()).arg("MAXLEN").arg("~").arg(PURGES).arg("*");
            pipe.arg("w").arg(purge.encode()).arg("r").arg(&self.replica).ignore();
            match within(UNHURRIED, pipe.exec_async(line)).await {
                Ok(()) => {
                    self.waiting.undelivered.lock().pop_front();
                    if !matches!(purge.what, What::Entries(_)) {
                        self.waiting.unscrubbed.lock().push_back((purge, 0));
                    }
                }
                Err(Trouble::Refused(code)) => {
                    return Err(Trouble::Broken(format!("it refuses a purge with {code}")));
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Purges of other replicas.
    pub(super) fn take_purges<'p>(&self, cache: &Cache, written: impl Iterator<Item = &'p [u8]>) {
        let mut purges = Vec::new();
        for bytes in written {
            match Purge::decode(bytes) {
                Some(purge) => {
                    self.rules.add(&purge);
                    self.metrics.shared_followed("purge");
                    purges.push(purge);
                }
                None => self.metrics.shared_unreadable("purge"),
            }
        }
        cache.forget(&purges);
    }

    /// Has the scrubbing go on, if there is any to do.
    pub(super) fn scrub_on(&self) {
        if !self.waiting.unscrubbed.lock().is_empty() {
            self.enqueue(Write::Scrub);
        }
    }

    /// One step through the names in Redis, deleting what the oldest unscrubbed purge meets. Writes go on
    /// between two steps.
    pub(super) async fn scrub(&self, lines: &Arc<Lines>) {
        let Some((purge, cursor)) = self.waiting.unscrubbed.lock().front().cloned() else { return };
        let mut line = lines.write.clone();
        let step = async {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(self.names.entries()).arg("COUNT").arg(STEP);
            let (next, names): (u64, Vec<String>) = scan.query_async(&mut line).await?;
            if names.is_empty() {
                return Ok(next);
            }
            let mut read = redis::cmd("MGET");
            let held: Vec<Option<Vec<u8>>> = read.arg(&names).query_async(&mut line).await?;
            let met = |bytes: &Vec<u8>| {
                codec::decode(bytes, &self.keys).is_ok_and(|stored| purge.meets(&stored.entry))
            };
            let gone: Vec<&String> = names
                .iter()
                .zip(&held)
                .filter(|(_, bytes)| bytes.as_ref().is_some_and(met))
                .map(|(name, _)| name)
                .collect();
            if !gone.is_empty() {
                redis::cmd("UNLINK").arg(&gone).exec_async(&mut line).await?;
            }
            Ok(next)
        };
        let done = self.timed(lines, "scrub", UNHURRIED, step).await;
        let mut unscrubbed = self.waiting.unscrubbed.lock();
        match done {
            Ok(0) => drop(unscrubbed.pop_front()),
            Ok(next) => {
                if let Some(front) = unscrubbed.front_mut() {
                    front.1 = next;
                }
            }
            // Tried again when it flows again, or with the next purge; the rule holds.
            Err(_) => return,
        }
        drop(unscrubbed);
        self.scrub_on();
    }

    /// Deletes entries that a purge has met.
    pub(super) fn delete(&self, entries: Vec<(Partition, ExactKey)>) {
        if !entries.is_empty() {
            self.enqueue(Write::Delete { entries });
        }
    }
}
