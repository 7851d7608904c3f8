//! The names of everything that lies in Redis.
//!
//! | name | is | holds |
//! |---|---|---|
//! | `PREFIX:1:e:{PARTITION}:KEY` | string, PX | one entry, encoded |
//! | `PREFIX:1:v:{PARTITION}:MODEL` | vector set, PX | the partition's vectors by exact key; Redis 8 |
//! | `PREFIX:1:l:{PARTITION}:KEY` | string, PX | who asks the upstream for it now |
//! | `PREFIX:1:c:DIGEST` | string, PX | when the upstream last accepted a credential |
//! | `PREFIX:1:admitted` | stream, capped | partition and key of every admission; without vector sets |
//! | `PREFIX:1:purged` | stream, capped | every purge |
//! | `PREFIX:1:secret` | string | what scopes are keyed with, where the config gives none |
//!
//! `PARTITION` and `KEY` are 64 hex digits of keyed digests, `MODEL` is 16 of the model name's, `DIGEST` of
//! a digest of the caller's: no name holds a prompt or a credential. The number is the version of
//! this table. The braces keep what belongs together in one slot of a cluster.

use crate::base::digest::{Credential, ExactKey, Parts, Partition, Scope};

#[derive(Clone, Debug)]
pub struct Names {
    base: String,
}

impl Names {
    pub fn new(prefix: &str) -> Names {
        Names { base: format!("{prefix}:1:") }
    }

    pub fn entry(&self, partition: &Partition, key: &ExactKey) -> String {
        self.kept('e', partition, &key.hex())
    }

    /// The pattern of every entry's name.
    pub fn entries(&self) -> String {
        format!("{}e:*", self.base)
    }

    pub fn vectors(&self, partition: &Partition, model: &str) -> String {
        let model = blake3::hash(model.as_bytes()).to_hex();
        self.kept('v', partition, &model[..16])
    }

    pub fn lease(&self, partition: &Partition, key: &ExactKey) -> String {
        self.kept('l', partition, &key.hex())
    }

    /// The caller's digest is hashed once more: names show in logs and tools, and a scope is made of it.
    pub fn proof(&self, caller: &Credential) -> String {
        let digest: Scope = Parts::new("reprise-proof-1").part("caller", &caller.0).finish();
        format!("{}c:{}", self.base, digest.hex())
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

    fn kept(&self, kind: char, partition: &Partition, rest: &str) -> String {
        let mut name = String::with_capacity(self.base.len() + 70 + rest.len());
        name.push_str(&self.base);
        name.push(kind);
        name.push_str(":{");
        name.push_str(&blake3::Hash::from_bytes(partition.0).to_hex());
        name.push_str("}:");
        name.push_str(rest);
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
        assert_eq!(names.entry(&partition, &key), format!("reprise:1:e:{{{partition_hex}}}:{key_hex}"));
        assert_eq!(names.lease(&partition, &key), format!("reprise:1:l:{{{partition_hex}}}:{key_hex}"));
        let vectors = names.vectors(&partition, "model");
        assert!(vectors.starts_with(&format!("reprise:1:v:{{{partition_hex}}}:")), "{vectors}");
        assert_ne!(vectors, names.vectors(&partition, "another"));
        assert!(!names.proof(&Credential([7; 32])).contains(&"07".repeat(8)));
    }
}
