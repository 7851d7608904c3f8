//! What is to be forgotten, here and on every replica.

use super::Cache;
use super::entry::{Entry, Tag};
use crate::base::clock::Millis;
use crate::base::digest::{ExactKey, Partition, Scope};
use serde::{Deserialize, Serialize};

/// One purge: of what `what` names, all that was stored until `until`. What is stored later stays.
#[derive(Clone, Debug, PartialEq)]
pub struct Purge {
    pub until: Millis,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Everything,
    Entries(Vec<(Partition, ExactKey)>),
    Scope(Scope),
    /// As asked for.
    Model(Box<str>),
    Tag(Tag),
}

impl Purge {
    pub fn meets(&self, entry: &Entry) -> bool {
        entry.stored <= self.until
            && match &self.what {
                What::Everything => true,
                What::Entries(entries) => entries.iter().any(|(_, key)| *key == entry.key),
                What::Scope(scope) => entry.scope == *scope,
                What::Model(model) => entry.model == *model,
                What::Tag(tag) => entry.tags.contains(tag),
            }
    }

    /// As other replicas read it.
    pub fn encode(&self) -> Vec<u8> {
        let entries = |entries: &[(Partition, ExactKey)]| {
            entries.iter().map(|(partition, key)| (partition.hex(), key.hex())).collect()
        };
        let what = match &self.what {
            What::Everything => Wire::Everything,
            What::Entries(held) => Wire::Entries(entries(held)),
            What::Scope(scope) => Wire::Scope(scope.hex()),
            What::Model(model) => Wire::Model(model.clone()),
            What::Tag(tag) => Wire::Tag(tag.clone()),
        };
        serde_json::to_vec(&Line { until: self.until.0, what }).unwrap_or_default()
    }

    /// `None`: not what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Option<Purge> {
        let Line { until, what } = serde_json::from_slice(bytes).ok()?;
        let what = match what {
            Wire::Everything => What::Everything,
            Wire::Entries(entries) => {
                let entry = |(partition, key): (String, String)| {
                    Some((Partition(digest(&partition)?), ExactKey(digest(&key)?)))
                };
                What::Entries(entries.into_iter().map(entry).collect::<Option<_>>()?)
            }
            Wire::Scope(scope) => What::Scope(Scope(digest(&scope)?)),
            Wire::Model(model) => What::Model(model),
            Wire::Tag(tag) => What::Tag(tag),
        };
        Some(Purge { until: Millis(until), what })
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    until: u64,
    what: Wire,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wire {
    Everything,
    Entries(Vec<(String, String)>),
    Scope(String),
    Model(Box<str>),
    Tag(Tag),
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(hex).ok().map(|hash| *hash.as_bytes())
}

impl Cache {
    /// Forgets, here and on every replica. Says how many entries left this one's memory. Walks all
    /// entries: for the admin side, off the async threads.
    pub fn purge(&self, purge: &Purge) -> usize {
        if let Some(shared) = self.shared() {
            shared.purge(purge);
        }
        self.forget(std::slice::from_ref(purge))
    }

    /// Forgets here only, in one walk.
    pub(super) fn forget(&self, purges: &[Purge]) -> usize {
        let (mut met, mut wide) = (Vec::new(), Vec::new());
        for purge in purges {
            match &purge.what {
                What::Entries(entries) => {
                    let held = entries.iter().filter_map(|(partition, key)| self.exact(key, partition));
                    met.extend(held.filter(|entry| purge.meets(entry)));
                }
                _ => wide.push(purge),
            }
        }
        if !wide.is_empty() {
            met.extend(self.store.matching(|entry| wide.iter().any(|purge| purge.meets(entry))));
        }
        met.iter().for_each(|entry| self.drop_entry(entry));
        met.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purge_comes_back_as_it_was_written() {
        let (partition, key) = (Partition([1; 32]), ExactKey([2; 32]));
        for what in [
            What::Everything,
            What::Entries(vec![(partition, key)]),
            What::Scope(Scope([3; 32])),
            What::Model("gpt".into()),
            What::Tag(("feature".into(), "faq".into())),
        ] {
            let purge = Purge { until: Millis(7), what };
            assert_eq!(Purge::decode(&purge.encode()), Some(purge));
        }
        assert_eq!(Purge::decode(b"{}"), None);
        assert_eq!(Purge::decode(br#"{"until":1,"what":{"scope":"zz"}}"#), None);
    }
}
