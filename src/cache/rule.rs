//! A purge that holds for what is found later, too: in Redis, or on a disk that is read back.

use super::Cache;
use super::codec::Embedding;
use super::disk::RowId;
use super::entry::Entry;
use super::purge::{CHUNK, Filter, Order, Refused};
use crate::base::clock::Millis;
use crate::base::digest::ExactKey;
use ahash::AHashSet;
use std::sync::Arc;

/// An order, understood once and for all: ages count from when it was given.
pub(super) struct Rule(Filter);

/// What a rule says of one entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Judged {
    /// With its cosine, where the rule asks for one.
    Met(Option<f32>),
    Unmet,
    /// All but its meaning fits, and it has no vector of the model that the rule compares with.
    Unjudged,
}

impl Rule {
    pub(super) fn meets(&self, entry: &Entry, embedding: Option<&Embedding>) -> bool {
        matches!(self.judge(entry, embedding), Judged::Met(_))
    }

    pub(super) fn judge(&self, entry: &Entry, embedding: Option<&Embedding>) -> Judged {
        if !self.0.fits(entry) {
            return Judged::Unmet;
        }
        let Some(near) = &self.0.near else { return Judged::Met(None) };
        let same = embedding.filter(|held| *held.model == *near.model);
        let Some(held) = same.filter(|held| held.vector.len() == near.vector.len()) else {
            return if entry.question.is_some() { Judged::Unjudged } else { Judged::Unmet };
        };
        let cosine: f32 = held.vector.iter().zip(near.vector.iter()).map(|(a, b)| a * b).sum();
        if cosine >= near.at_least { Judged::Met(Some(cosine)) } else { Judged::Unmet }
    }
}

impl Cache {
    /// What an order that was given at `at` means for what is found later.
    pub(super) async fn rule(&self, order: &Order, at: Millis) -> Result<Rule, Refused> {
        let near = match &order.near {
            None => None,
            Some(text) => Some(self.near(text, order.at_least).await?),
        };
        order.filter(at, near).map(Rule)
    }

    /// Takes out what was stored until each `Millis` and meets its rule, and `keys`, of memory and off the disk;
    /// tells nobody. Blocks for a walk over both.
    pub(super) fn take_out(&self, rules: &[(Arc<Rule>, Millis)], keys: &[ExactKey]) {
        let semantic = self.semantic();
        let near_keys = |rule: &Rule| {
            let near = rule.0.near.as_ref()?;
            let semantic = semantic.as_ref().filter(|semantic| *semantic.model_name() == *near.model);
            let within = semantic.map(|semantic| semantic.index().within(&near.vector, near.at_least));
            Some(within.unwrap_or_default().into_iter().map(|(key, _)| key).collect::<AHashSet<ExactKey>>())
        };
        let mut gone: Vec<Arc<Entry>> = keys.iter().filter_map(|key| self.store.get(key)).collect();
        for (rule, until) in rules {
            let near = near_keys(rule);
            let is_near = |entry: &Entry| near.as_ref().is_none_or(|near| near.contains(&entry.key));
            let met = |entry: &Arc<Entry>| entry.stored <= *until && rule.0.fits(entry) && is_near(entry);
            gone.extend(self.store.all().filter(met));
        }
        if let Some(disk) = &self.disk {
            keys.iter().for_each(|key| disk.remove(key));
        }
        if !rules.is_empty() {
            self.take_off_disk(|entry, embedding| {
                rules.iter().any(|(rule, until)| entry.stored <= *until && rule.meets(entry, embedding))
            });
        }
        gone.iter().for_each(|entry| self.drop_entry(entry));
    }

    fn take_off_disk(&self, met: impl Fn(&Entry, Option<&Embedding>) -> bool) {
        let Some(disk) = &self.disk else { return };
        let mut before = RowId::MAX;
        loop {
            let rows = disk.newest(before, CHUNK);
            let Some(last) = rows.last() else { return };
            before = last.id;
            for stored in rows.into_iter().filter_map(|row| row.stored.ok()) {
                if met(&stored.entry, stored.embedding.as_ref()) {
                    disk.remove(&stored.entry.key);
                }
            }
        }
    }
}
