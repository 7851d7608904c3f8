//! The names of everything that lies in Redis.
//!
//! | name | is | holds |
//! |---|---|---|
//! | `PREFIX:1:e:KEY` | string, PX | one entry, encoded |
//! | `PREFIX:1:v:PARTITION:MODEL` | vector set, PX | the partition's vectors by exact key; Redis 8 |
//! | `PREFIX:1:l:KEY` | string, PX | who asks the upstream for it now |
//! | `PREFIX:1:c:DIGEST` | string, PX | when the upstream last accepted a credential |
//! | `PREFIX:1:m:COUNTER` | hashes and sorted sets, PX | numbers of virtual keys; see `app::limits` |
//! | `PREFIX:1:admitted` | stream, capped | partition and key of every admission with a vector; without vector sets |
//! | `PREFIX:1:purged` | stream, capped | every purge, and every report that tightens an entry |
//! | `PREFIX:1:secret` | string | what scopes are keyed with, where the config gives none |
//!
//! `PARTITION` and `KEY` are 64 hex digits of keyed digests, `MODEL` is 16 of the model name's, `DIGEST` of
//! a digest of the caller's. In a cluster `PREFIX` is in braces. No name holds a prompt or a credential. The number is the version of
//! this table.

use crate::base::digest::{Credential, ExactKey, Partition, Parts, Scope};

const ENTRY: &str = "e:";
const LEASE: &str = "l:";

#[derive(Clone, Debug)]
pub struct Names {
    base: String,
}

impl Names {
    pub fn new(prefix: &str) -> Names {
        Names { base: format!("{prefix}:1:") }
    }

    /// As `new`, with the prefix as a hash tag: in a cluster all names lie in one slot, on one node. Calls over several
    /// names (pipelines, `MGET`, scripts, `SCAN`) take that.
    pub fn tagged(prefix: &str) -> Names {
        Names::new(&format!("{{{prefix}}}"))
    }

    pub fn entry(&self, key: &ExactKey) -> String {
        self.of(ENTRY, key)
    }

    /// The pattern of the names of all entries, or of the one that an id names.
    pub fn entries(&self, id: Option<&str>) -> String {
        format!("{}{ENTRY}{}*", self.base, id.unwrap_or_default())
    }

    /// The entry that a name names.
    pub fn key_of(&self, name: &str) -> Option<ExactKey> {
        let hex = name.strip_prefix(&self.base)?.strip_prefix(ENTRY)?;
        blake3::Hash::from_hex(hex).ok().map(ExactKey::from)
    }

    pub fn lease(&self, key: &ExactKey) -> String {
        self.of(LEASE, key)
    }

    pub fn vectors(&self, partition: &Partition, model: &str) -> String {
        let model = blake3::hash(model.as_bytes()).to_hex();
        format!("{}v:{}:{}", self.base, partition.hex(), &model[..16])
    }

    /// The caller's digest is hashed once more: names show in logs and tools, and a scope is made of it.
    pub fn proof(&self, caller: &Credential) -> String {
        let digest: Scope = Parts::new("reprise-proof-1").part("caller", &caller.0).finish();
        format!("{}c:{}", self.base, digest.hex())
    }

    /// `counter` is the name that its keeper gave it.
    pub fn counter(&self, counter: &str) -> String {
        format!("{}m:{counter}", self.base)
    }

    /// The pattern of the names of all vector sets.
    pub fn vector_sets(&self) -> String {
        format!("{}v:*", self.base)
    }

    pub fn admitted(&self) -> String {
        format!("{}admitted", self.base)
    }

    pub fn purged(&self) -> String {
        format!("{}purged", self.base)
    }

    pub fn secret(&self) -> String {
        format!("{}secret", self.base)
    }

    fn of(&self, kind: &str, key: &ExactKey) -> String {
        let mut name = String::with_capacity(self.base.len() + 66);
        name.push_str(&self.base);
        name.push_str(kind);
        name.push_str(&blake3::Hash::from_bytes(key.0).to_hex());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_documented() {
        let names = Names::new("reprise");
        let (partition, key) = (Partition([0xab; 32]), ExactKey([0x01; 32]));
        let (partition_hex, key_hex) = ("ab".repeat(32), "01".repeat(32));
        assert_eq!(names.entry(&key), format!("reprise:1:e:{key_hex}"));
        assert_eq!(names.key_of(&names.entry(&key)), Some(key));
        assert_eq!(Names::tagged("reprise").entry(&key), format!("{{reprise}}:1:e:{key_hex}"));
        assert_eq!(names.key_of("reprise:1:e:xyz"), None);
        assert_eq!(names.lease(&key), format!("reprise:1:l:{key_hex}"));
        let vectors = names.vectors(&partition, "model");
        assert!(vectors.starts_with(&format!("reprise:1:v:{partition_hex}:")), "{vectors}");
        assert_ne!(vectors, names.vectors(&partition, "another"));
        assert!(!names.proof(&Credential([7; 32])).contains(&"07".repeat(8)));
    }
}
