//! Purges over the whole fleet.
//!
//! A purge is a line on a stream that every replica follows, and a rule for what is read from Redis from
//! then on: nothing that it meets is taken from there any more, whether it has been deleted yet or not.

use super::Shared;
use super::breaker::Trouble;
use super::keeper::UNHURRIED;
use super::line::{Lines, within};
use super::queue::Write;
use super::report::Tightened;
use crate::base::clock::Millis;
use crate::base::digest::ExactKey;
use crate::cache::Cache;
use crate::cache::codec::{self, Embedding};
use crate::cache::entry::Entry;
use crate::cache::purge::{Fleet, Order, Refused};
use crate::cache::rule::Rule;
use parking_lot::{Mutex, RwLock};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Purges that the stream keeps, about, and that a replica remembers.
pub(super) const PURGES: usize = 10_000;
/// Purges that wait for Redis to come back, at most; past that the oldest is forgotten, with a warning.
const MOST_WAITING: usize = 10_000;
/// Entries that a purge names for the other replicas at most; what else it meets they find by its order.
pub(super) const MOST_NAMED: usize = 1_000;
/// Entries that are remembered one by one.
const MOST_KEYS: usize = 100_000;
/// Names looked at in one step of a scrub.
const STEP: usize = 200;

/// One line of the stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Told {
    /// In milliseconds since 1970; what is stored later stays.
    until: u64,
    order: Order,
    /// In hex.
    keys: Vec<String>,
}

impl Told {
    fn keys(&self) -> Vec<ExactKey> {
        self.keys.iter().filter_map(|hex| blake3::Hash::from_hex(hex).ok()).map(ExactKey::from).collect()
    }
}

/// A purge that holds for what is read from now on.
struct Held {
    order: Order,
    rule: Arc<Rule>,
    until: Millis,
}

/// The purges that hold for what is read from Redis. Costs a look-up one atomic load until there is one.
#[derive(Default)]
pub struct Rules {
    any: AtomicBool,
    keys: RwLock<HashMap<ExactKey, Millis, ahash::RandomState>>,
    wide: RwLock<VecDeque<Held>>,
}

impl Rules {
    /// Whether an entry was purged.
    pub fn refuses(&self, entry: &Entry, embedding: Option<&Embedding>) -> bool {
        self.any.load(Ordering::Acquire)
            && (self.keys.read().get(&entry.key).is_some_and(|until| entry.stored <= *until)
                || self
                    .wide
                    .read()
                    .iter()
                    .any(|held| entry.stored <= held.until && held.rule.meets(entry, embedding)))
    }

    fn add_keys(&self, keys: &[ExactKey], until: Millis) {
        let mut held = self.keys.write();
        if held.len() + keys.len() > MOST_KEYS {
            held.clear();
        }
        held.extend(keys.iter().map(|key| (*key, until)));
        self.any.store(true, Ordering::Release);
    }

    fn add(&self, order: &Order, rule: Arc<Rule>, until: Millis) {
        let mut held = self.wide.write();
        // The same order, given again, holds for longer.
        held.retain(|other| other.order != *order || other.until > until);
        if held.len() >= PURGES {
            held.pop_front();
        }
        held.push_back(Held { order: order.clone(), rule, until });
        self.any.store(true, Ordering::Release);
    }
}

/// What is yet to be done in Redis.
#[derive(Default)]
pub struct Waiting {
    /// Not on the stream yet.
    undelivered: Mutex<VecDeque<Telling>>,
    /// Orders whose entries are being deleted. Until then the rule holds; what a process leaves undone when it
    /// ends expires by itself.
    unscrubbed: Mutex<VecDeque<Scrub>>,
    /// Orders by meaning that came before there was a model; what they name has been done.
    unjudged: Mutex<VecDeque<Told>>,
}

/// What the other replicas are to be told, and have not been yet.
#[derive(Clone)]
pub(super) enum Telling {
    Purge(Told),
    Tightened(Tightened),
}

impl Telling {
    /// The line of the stream: field and value.
    fn line(&self) -> Vec<(&'static str, Vec<u8>)> {
        match self {
            Telling::Purge(told) => vec![("w", serde_json::to_vec(told).unwrap_or_default())],
            Telling::Tightened(told) => {
                vec![("t", serde_json::to_vec(told).unwrap_or_default()), ("v", told.vector.clone())]
            }
        }
    }

    /// Entries that leave Redis with it.
    fn keys(&self) -> Vec<ExactKey> {
        match self {
            Telling::Purge(told) => told.keys(),
            Telling::Tightened(_) => Vec::new(),
        }
    }
}

/// How far the names in Redis have been looked through for one order.
#[derive(Clone)]
struct Scrub {
    rule: Arc<Rule>,
    until: Millis,
    pattern: String,
    cursor: u64,
}

impl Fleet for Shared {
    fn purged<'a>(
        &'a self,
        order: &'a Order,
        keys: &'a [ExactKey],
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.tell(order, keys))
    }
}

impl Shared {
    /// Whether an entry has been purged somewhere in the fleet.
    pub fn has_purged(&self, entry: &Entry, embedding: Option<&Embedding>) -> bool {
        self.rules.refuses(entry, embedding)
    }

    /// One entry that has been taken out here.
    pub fn drop_entry(&self, entry: &Entry) {
        let order = Order { entry: Some(entry.id()), ..Order::default() };
        self.rules.add_keys(&[entry.key], self.clock.now());
        self.deliver_later(&order, &[entry.key], self.clock.now());
    }

    /// Has an order carried out in Redis and on every other replica. While Redis is away it waits, and is
    /// delivered before Redis is asked for anything again.
    async fn tell(&self, order: &Order, keys: &[ExactKey]) {
        let (Some(cache), until) = (self.cache.upgrade(), self.clock.now()) else { return };
        match cache.rule(order, until).await {
            Ok(rule) => {
                let rule = Arc::new(rule);
                self.rules.add_keys(keys, until);
                self.rules.add(order, rule.clone(), until);
                let pattern = self.names.entries(order.entry.as_deref());
                let scrub = Scrub { rule: rule.clone(), until, pattern, cursor: 0 };
                self.waiting.unscrubbed.lock().push_back(scrub);
                // What came from Redis after the walk, and before the rule held.
                take_out(cache, vec![(rule, until)], keys.to_vec()).await;
            }
            Err(refused) => tracing::warn!("a purge is passed on by its entries only: {refused}"),
        }
        self.deliver_later(order, keys, until);
    }

    fn deliver_later(&self, order: &Order, keys: &[ExactKey], until: Millis) {
        for some in keys.chunks(MOST_NAMED) {
            self.enqueue(Write::Delete { keys: some.to_vec() });
        }
        let keys = keys.iter().take(MOST_NAMED).map(ExactKey::hex).collect();
        self.wait_for_delivery(Telling::Purge(Told { until: until.0, order: order.clone(), keys }));
    }

    pub(super) fn wait_for_delivery(&self, telling: Telling) {
        {
            let mut waiting = self.waiting.undelivered.lock();
            if waiting.len() >= MOST_WAITING {
                waiting.pop_front();
                tracing::warn!("too many purges wait for Redis; the oldest is not passed on");
            }
            waiting.push_back(telling);
        }
        self.enqueue(Write::Purges);
    }

    /// From now on nothing that the rule meets is taken from Redis here.
    pub(super) fn rule_out(&self, order: &Order, rule: Arc<Rule>, until: Millis) {
        self.rules.add(order, rule, until);
    }

    /// The line that tells every replica of an order, and of entries that it meets.
    pub(super) fn announcement(&self, order: &Order, keys: &[ExactKey], until: Millis) -> redis::Cmd {
        let keys = keys.iter().map(ExactKey::hex).collect();
        let told = Telling::Purge(Told { until: until.0, order: order.clone(), keys });
        self.line_of(&told)
    }

    fn line_of(&self, told: &Telling) -> redis::Cmd {
        let mut line = redis::cmd("XADD");
        line.arg(self.names.purged()).arg("MAXLEN").arg("~").arg(PURGES).arg("*");
        for (field, value) in told.line() {
            line.arg(field).arg(value);
        }
        line.arg("r").arg(&self.replica);
        line
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
            let Some(told) = self.waiting.undelivered.lock().front().cloned() else { return Ok(()) };
            let mut pipe = redis::pipe();
            for key in told.keys() {
                pipe.cmd("UNLINK").arg(self.names.entry(&key)).ignore();
            }
            pipe.add_command(self.line_of(&told)).ignore();
            match within(UNHURRIED, pipe.exec_async(line)).await {
                Ok(()) => drop(self.waiting.undelivered.lock().pop_front()),
                Err(Trouble::Refused(code)) => {
                    return Err(Trouble::Broken(format!("it refuses a purge with {code}")));
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Purges of other replicas. The rules hold when this returns, and memory and disk are walked.
    pub(super) async fn take_purges(&self, cache: &Arc<Cache>, written: Vec<Vec<u8>>) {
        let mut all: Vec<Told> = Vec::with_capacity(written.len());
        for bytes in written {
            match serde_json::from_slice(&bytes) {
                Ok(told) => all.push(told),
                Err(_) => self.metrics.shared_unreadable("purge"),
            }
        }
        let taken = all.len();
        self.take(cache, all).await;
        (0..taken).for_each(|_| self.metrics.shared_followed("purge"));
    }

    /// Purges by meaning that came before the model did.
    pub(super) async fn take_unjudged(&self, cache: &Arc<Cache>) {
        let unjudged = std::mem::take(&mut *self.waiting.unjudged.lock());
        if !unjudged.is_empty() {
            self.take(cache, unjudged.into()).await;
        }
    }

    async fn take(&self, cache: &Arc<Cache>, all: Vec<Told>) {
        let (mut rules, mut keys) = (Vec::new(), Vec::new());
        for told in all {
            let (until, named) = (Millis(told.until), told.keys());
            self.rules.add_keys(&named, until);
            keys.extend(named);
            match cache.rule(&told.order, until).await {
                // Of one entry that is named there is nothing else to find.
                Ok(_) if told.order.entry.is_some() && !told.keys.is_empty() => {}
                Ok(rule) => {
                    let rule = Arc::new(rule);
                    self.rules.add(&told.order, rule.clone(), until);
                    rules.push((rule, until));
                }
                Err(refused) => {
                    tracing::warn!("a purge is carried out by its entries only: {refused}");
                    if matches!(refused, Refused::NoMeaning(_)) && cache.semantic().is_none() {
                        self.judge_later(Told { keys: Vec::new(), ..told });
                    }
                }
            }
        }
        if !rules.is_empty() || !keys.is_empty() {
            take_out(cache.clone(), rules, keys).await;
        }
    }

    fn judge_later(&self, told: Told) {
        let mut unjudged = self.waiting.unjudged.lock();
        if unjudged.len() >= PURGES {
            unjudged.pop_front();
        }
        unjudged.push_back(told);
    }

    /// Has the scrubbing go on, if there is any to do.
    pub(super) fn scrub_on(&self) {
        if !self.waiting.unscrubbed.lock().is_empty() {
            self.enqueue(Write::Scrub);
        }
    }

    /// One step through the names in Redis, deleting what the oldest unscrubbed order meets. Writes go on
    /// between two steps.
    pub(super) async fn scrub(&self, lines: &Arc<Lines>) {
        let Some(scrub) = self.waiting.unscrubbed.lock().front().cloned() else { return };
        let mut line = lines.write.clone();
        let step = async {
            let mut scan = redis::cmd("SCAN");
            scan.arg(scrub.cursor).arg("MATCH").arg(&scrub.pattern).arg("COUNT").arg(STEP);
            let (next, names): (u64, Vec<String>) = scan.query_async(&mut line).await?;
            if names.is_empty() {
                return Ok(next);
            }
            let held: Vec<Option<Vec<u8>>> = redis::cmd("MGET").arg(&names).query_async(&mut line).await?;
            let both = names.iter().zip(&held);
            let gone: Vec<&String> = both
                .filter(|(_, bytes)| bytes.as_ref().is_some_and(|bytes| self.is_met(&scrub, bytes)))
                .map(|(name, _)| name)
                .collect();
            if !gone.is_empty() {
                redis::cmd("UNLINK").arg(&gone).exec_async(&mut line).await?;
            }
            Ok(next)
        };
        let done = self.timed(lines, "scrub", UNHURRIED, step).await;
        {
            let mut unscrubbed = self.waiting.unscrubbed.lock();
            match (done, unscrubbed.front_mut()) {
                (Ok(next @ 1..), Some(front)) => front.cursor = next,
                (Ok(_), _) => drop(unscrubbed.pop_front()),
                // Tried again when it flows again, or with the next purge; the rule holds.
                (Err(_), _) => return,
            }
        }
        self.scrub_on();
    }

    fn is_met(&self, scrub: &Scrub, bytes: &[u8]) -> bool {
        codec::decode(bytes, &self.keys).is_ok_and(|stored| {
            stored.entry.stored <= scrub.until && scrub.rule.meets(&stored.entry, stored.embedding.as_ref())
        })
    }
}

async fn take_out(cache: Arc<Cache>, rules: Vec<(Arc<Rule>, Millis)>, keys: Vec<ExactKey>) {
    // A walk that panicked has said so; the rules hold all the same.
    let _ = tokio::task::spawn_blocking(move || cache.take_out(&rules, &keys)).await;
}
