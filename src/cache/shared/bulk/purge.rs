//! What an order names, deleted in Redis and on every replica.
//!
//! The order goes onto the stream first, so that from then on no replica takes from Redis what it meets; then all
//! entries are gone through. What stands in an entry decides, so Redis 7 and 8 are judged alike.

use super::{Bulk, Stopped, Walk};
use crate::base::clock::Millis;
use crate::base::digest::ExactKey;
use crate::cache::Cache;
use crate::cache::codec::{self, Stored};
use crate::cache::purge::{Listed, NAMED, Order, Refused, listed, shorten};
use crate::cache::rule::{Judged, Rule};
use crate::cache::shared::Trouble;
use crate::cache::shared::line::{Meaning, trouble, within};
use crate::cache::shared::purge::MOST_NAMED;
use crate::cache::shared::write::{are_there, taking_out};
use ahash::AHashSet;
use redis::{RedisResult, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Members of a vector set that are looked at in one go.
const SAMPLED: usize = 1_000;

/// What was, or on a dry run would be, deleted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Purged {
    pub dry_run: bool,
    pub entries: usize,
    /// The order meets them, and they stay: by their clock they were recorded after it was given.
    pub newer: usize,
    /// They have no vector of the current model, so that `near` cannot judge them.
    pub unjudged: usize,
    /// What could not be read, and was left, by the reason's word. `all` takes it too.
    pub unreadable: BTreeMap<&'static str, usize>,
    /// Some of them, the nearest first.
    pub sample: Vec<Listed>,
}

/// Why an order was not carried out, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Unpurged {
    #[error(transparent)]
    Order(#[from] Refused),
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error("{why}; {gone} entries are gone from Redis, and servers {}; purging again does the rest", .told.words())]
    HalfDone { why: Stopped, gone: usize, told: Told },
}

/// Whether the servers know of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    No,
    /// The order is on the stream. Of one by meaning, servers without a model take the entries that are named
    /// after it, and these are not there yet.
    Order,
    /// With all that there is to say.
    All,
}

impl Told {
    /// When the order is on the stream.
    fn of(order: &Order) -> Told {
        if order.near.is_some() { Told::Order } else { Told::All }
    }

    fn words(self) -> &'static str {
        match self {
            Told::No => "have not been told",
            Told::Order => "have been told, but for the ones without a model",
            Told::All => "have been told",
        }
    }
}

/// An order that is being carried out.
struct Purging<'a> {
    bulk: Bulk,
    order: &'a Order,
    rule: Arc<Rule>,
    until: Millis,
    /// Met so far: 32 bytes each.
    met: AHashSet<ExactKey>,
    told: Told,
    purged: Purged,
}

impl Cache {
    /// Has Redis hold nothing that an order meets and that was stored before now, and tells every replica. When this
    /// returns it is deleted; the replicas hear of it from the stream, milliseconds later. Nothing of it is done in
    /// this process's own memory. Costs one walk over all entries. What the order meets and what by its recorder's
    /// clock is younger than this process's now stays, and is counted.
    ///
    /// # Errors
    /// An order that cannot be understood or compared with, or Redis not reached: then nothing has been done.
    /// `HalfDone`: Redis went away.
    pub async fn purge_shared(&self, order: &Order, dry_run: bool) -> Result<Purged, Unpurged> {
        let until = self.clock.now();
        let rule = Arc::new(self.rule(order, until).await?);
        let bulk = self.bulk().await?;
        let purged = Purged { dry_run, ..Purged::default() };
        let mut purging = Purging { bulk, order, rule, until, met: AHashSet::new(), told: Told::No, purged };
        if dry_run {
            purging.walk().await?;
        } else if let Err(why) = purging.carry_out().await {
            return Err(Unpurged::HalfDone { why, gone: purging.met.len(), told: purging.told });
        }
        purging.purged.entries = purging.met.len();
        Ok(purging.purged)
    }
}

impl Purging<'_> {
    async fn carry_out(&mut self) -> Result<(), Stopped> {
        let order = self.order;
        self.bulk.shared.rule_out(order, self.rule.clone(), self.until);
        match self.tell(order, &[]).await {
            Ok(()) => self.told = Told::of(order),
            // Deleting makes room.
            Err(Stopped(Trouble::Refused(code))) if code == "OOM" => {}
            Err(stopped) => return Err(stopped),
        }
        self.walk().await?;
        if order.all && self.bulk.meaning == Meaning::VectorSets {
            self.sweep_sets().await?;
        }
        if self.told == Told::No {
            self.tell(order, &[]).await?;
            self.told = Told::of(order);
        }
        if self.told == Told::Order {
            self.name_them().await?;
        }
        Ok(())
    }

    /// A replica without a model cannot judge what is near: it is told the entries. The order itself stands on the
    /// stream once, as every line that repeats it has every replica embed its text and walk all that it holds.
    async fn name_them(&mut self) -> Result<(), Stopped> {
        let keys: Vec<ExactKey> = self.met.iter().copied().collect();
        for some in keys.chunks(MOST_NAMED) {
            let entry = some.first().map(|key| key.hex()[..32].to_owned());
            self.tell(&Order { entry, ..Order::default() }, some).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, order: &Order, keys: &[ExactKey]) -> Result<(), Stopped> {
        let line = self.bulk.shared.announcement(order, keys, self.until);
        within(super::PATIENCE, line.exec_async(&mut self.bulk.line)).await.map_err(Stopped)
    }

    async fn walk(&mut self) -> Result<(), Stopped> {
        let shared = self.bulk.shared.clone();
        let id = self.order.entry.as_ref().map(|id| id.to_ascii_lowercase());
        let mut walk = Walk::over(&shared, id.as_deref());
        while let Some(found) = self.bulk.step(&mut walk).await? {
            let mut gone: Vec<(ExactKey, Option<Stored>)> = Vec::new();
            for (key, bytes) in found {
                match codec::decode_for(&key, &bytes, &shared.keys) {
                    Ok(stored) if self.meets(&stored) => gone.push((key, Some(stored))),
                    Ok(_) => {}
                    Err(_) if self.order.all => gone.push((key, None)),
                    Err(why) => *self.purged.unreadable.entry(why.word()).or_default() += 1,
                }
            }
            if !self.purged.dry_run {
                self.delete(&gone).await?;
            }
            self.met.extend(gone.into_iter().map(|(key, _)| key));
        }
        shorten(&mut self.purged.sample);
        Ok(())
    }

    fn meets(&mut self, stored: &Stored) -> bool {
        let entry = &stored.entry;
        match self.rule.judge(entry, stored.embedding.as_ref()) {
            Judged::Met(_) if entry.stored > self.until => {
                self.purged.newer += 1;
                false
            }
            Judged::Met(score) => {
                self.purged.sample.push(listed(entry, self.until, score));
                if self.purged.sample.len() >= 8 * NAMED {
                    shorten(&mut self.purged.sample);
                }
                true
            }
            Judged::Unmet => false,
            Judged::Unjudged => {
                self.purged.unjudged += 1;
                false
            }
        }
    }

    /// Entries, and their vectors with them.
    async fn delete(&mut self, gone: &[(ExactKey, Option<Stored>)]) -> Result<(), Stopped> {
        if gone.is_empty() {
            return Ok(());
        }
        let (names, meaning) = (&self.bulk.shared.names, self.bulk.meaning);
        let mut pipe = redis::pipe();
        pipe.ignore_errors();
        for (key, stored) in gone {
            pipe.cmd("UNLINK").arg(names.entry(key));
            let embedding =
                stored.as_ref().and_then(|stored| Some((&stored.entry, stored.embedding.as_ref()?)));
            if let Some((entry, embedding)) = embedding.filter(|_| meaning == Meaning::VectorSets) {
                pipe.cmd("VREM").arg(names.vectors(&entry.partition, &embedding.model)).arg(&key.0);
            }
        }
        self.run(&pipe).await
    }

    /// All of it, or an error.
    async fn run(&mut self, pipe: &redis::Pipeline) -> Result<(), Stopped> {
        let results = self.bulk.run(pipe).await?;
        let wrong = results.iter().find_map(|result: &RedisResult<Value>| result.as_ref().err());
        wrong.map_or(Ok(()), |error| Err(Stopped(trouble(error))))
    }

    /// Takes vectors out whose entries are gone, long ago or just now.
    async fn sweep_sets(&mut self) -> Result<(), Stopped> {
        let shared = self.bulk.shared.clone();
        let (pattern, mut cursor) = (shared.names.vector_sets(), 0);
        loop {
            let (next, sets) = self.bulk.scan(cursor, &pattern).await?;
            for set in sets {
                self.sweep_set(&set).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Some members at a time, until none of those that come up is dead.
    async fn sweep_set(&mut self, set: &str) -> Result<(), Stopped> {
        loop {
            let mut some = redis::cmd("VRANDMEMBER");
            let some = some.arg(set).arg(SAMPLED).query_async::<Value>(&mut self.bulk.line);
            let sample = within(super::PATIENCE, some).await.map_err(Stopped)?;
            let looked = self.bulk.shared.looked_at(set, &sample);
            if looked.is_empty() {
                return Ok(());
            }
            let there = self.bulk.run(&are_there(&looked)).await?;
            let pipe = taking_out(&looked, &there);
            if pipe.is_empty() {
                return Ok(());
            }
            self.run(&pipe).await?;
        }
    }
}
