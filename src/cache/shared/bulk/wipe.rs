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
use crate::cache::shared::line::{Meaning, within};
use crate::cache::shared::purge::MOST_NAMED;
use ahash::AHashSet;
use redis::Value;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What was, or on a dry run would be, deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Wiped {
    pub dry_run: bool,
    pub entries: usize,
    /// They have no vector of the current model, so that `near` cannot judge them.
    pub unjudged: usize,
    /// What could not be read, and was left, by the reason's word. `all` takes it too.
    pub unreadable: BTreeMap<&'static str, usize>,
    /// Some of them, the nearest first.
    pub sample: Vec<Listed>,
}

/// Why an order was not carried out, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum Unwiped {
    #[error(transparent)]
    Order(#[from] Refused),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// An order that is being carried out.
struct Wipe<'a> {
    bulk: Bulk,
    order: &'a Order,
    rule: Arc<Rule>,
    until: Millis,
    /// Met so far: 32 bytes each.
    met: AHashSet<ExactKey>,
    wiped: Wiped,
}

impl Cache {
    /// Has Redis hold nothing that an order meets and that was stored before now, and tells every replica. When this
    /// returns it is deleted; the replicas hear of it from the stream, milliseconds later. Nothing of it is done in
    /// this process's own memory. Costs one walk over all entries.
    ///
    /// # Errors
    /// An order that cannot be understood or compared with: then nothing has been done. Redis away: some may be gone.
    pub async fn wipe_shared(&self, order: &Order, dry_run: bool) -> Result<Wiped, Unwiped> {
        let shared = self.shared().ok_or(Stopped(Trouble::Shut))?;
        let until = shared.clock.now();
        let rule = Arc::new(self.rule(order, until).await?);
        let bulk = shared.bulk().await?;
        let wiped = Wiped { dry_run, ..Wiped::default() };
        let mut wipe = Wipe { bulk, order, rule, until, met: AHashSet::new(), wiped };
        match dry_run {
            true => wipe.walk().await?,
            false => wipe.carry_out().await?,
        }
        wipe.wiped.entries = wipe.met.len();
        Ok(wipe.wiped)
    }
}

impl Wipe<'_> {
    async fn carry_out(&mut self) -> Result<(), Stopped> {
        self.bulk.shared.rule_out(self.order, self.rule.clone(), self.until);
        let told = match self.tell(&[]).await {
            Ok(()) => true,
            // Deleting makes room.
            Err(Stopped(Trouble::Refused(code))) if code == "OOM" => false,
            Err(stopped) => return Err(stopped),
        };
        self.walk().await?;
        if self.order.all && self.bulk.meaning == Meaning::VectorSets {
            self.sweep_sets().await?;
        }
        // A replica without a model cannot judge what is near: it is told the entries.
        let named = self.order.near.is_some() && !self.met.is_empty();
        let keys: Vec<ExactKey> = self.met.iter().copied().filter(|_| named).collect();
        if !told && keys.is_empty() {
            self.tell(&[]).await?;
        }
        for some in keys.chunks(MOST_NAMED) {
            self.tell(some).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, keys: &[ExactKey]) -> Result<(), Stopped> {
        let line = self.bulk.shared.announcement(self.order, keys, self.until);
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
                    Err(why) => *self.wiped.unreadable.entry(why.word()).or_default() += 1,
                }
            }
            if !self.wiped.dry_run {
                self.delete(&gone).await?;
            }
            self.met.extend(gone.into_iter().map(|(key, _)| key));
        }
        shorten(&mut self.wiped.sample);
        Ok(())
    }

    fn meets(&mut self, stored: &Stored) -> bool {
        let entry = &stored.entry;
        if entry.stored > self.until {
            return false;
        }
        match self.rule.judge(entry, stored.embedding.as_ref()) {
            Judged::Met(score) => {
                self.wiped.sample.push(listed(entry, self.until, score));
                if self.wiped.sample.len() >= 8 * NAMED {
                    shorten(&mut self.wiped.sample);
                }
                true
            }
            Judged::Unmet => false,
            Judged::Unjudged => {
                self.wiped.unjudged += 1;
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
        let results = self.bulk.run(&pipe).await?;
        match results.into_iter().find_map(Result::err) {
            None => Ok(()),
            Some(error) => Err(Stopped(crate::cache::shared::line::trouble(&error))),
        }
    }

    /// Takes vectors out whose entries are gone, long ago or just now.
    async fn sweep_sets(&mut self) -> Result<(), Stopped> {
        let shared = self.bulk.shared.clone();
        let (pattern, mut cursor) = (shared.names.vector_sets(), 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(super::STEP);
            let asked = scan.query_async::<(u64, Vec<String>)>(&mut self.bulk.line);
            let (next, sets) = within(super::PATIENCE, asked).await.map_err(Stopped)?;
            for set in sets {
                self.sweep_set(&set).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn sweep_set(&mut self, set: &str) -> Result<(), Stopped> {
        let shared = self.bulk.shared.clone();
        let (mut count, mut all) = (redis::cmd("VCARD"), redis::cmd("VRANDMEMBER"));
        let count = within(super::PATIENCE, count.arg(set).query_async::<i64>(&mut self.bulk.line)).await;
        let count = count.map_err(Stopped)?;
        if count == 0 {
            return Ok(());
        }
        all.arg(set).arg(count);
        let members = within(super::PATIENCE, all.query_async::<Vec<Vec<u8>>>(&mut self.bulk.line)).await;
        let members: Vec<ExactKey> = members
            .map_err(Stopped)?
            .into_iter()
            .filter_map(|member| member.try_into().ok())
            .map(ExactKey)
            .collect();
        for some in members.chunks(super::STEP) {
            let mut pipe = redis::pipe();
            pipe.ignore_errors();
            some.iter().for_each(|member| {
                pipe.cmd("EXISTS").arg(shared.names.entry(member));
            });
            let there = self.bulk.run(&pipe).await?;
            let gone = some.iter().zip(there).filter(|(_, there)| matches!(there, Ok(Value::Int(0))));
            let mut pipe = redis::pipe();
            pipe.ignore_errors();
            gone.for_each(|(member, _)| {
                pipe.cmd("VREM").arg(set).arg(&member.0);
            });
            if !pipe.is_empty() {
                self.bulk.run(&pipe).await?;
            }
        }
        Ok(())
    }
}
