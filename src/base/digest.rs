//! 32-byte BLAKE3 digests, one type per meaning, so that none can stand in for another.

use std::fmt;

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The first eight bytes in hex: short enough for a header or a log, never a key.
            pub fn short(&self) -> String {
                let mut text = String::with_capacity(16);
                for byte in &self.0[..8] {
                    text.push_str(&format!("{byte:02x}"));
                }
                text
            }

            pub fn hex(&self) -> String {
                blake3::Hash::from_bytes(self.0).to_hex().to_string()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl From<blake3::Hash> for $name {
            fn from(hash: blake3::Hash) -> Self {
                $name(*hash.as_bytes())
            }
        }
    };
}

digest!(
    /// Who may share answers: by default one API key. Part of every other key.
    Scope
);
digest!(
    /// Scope and context. Semantic search never leaves one partition.
    Partition
);
digest!(
    /// Scope and the whole canonical request, question included.
    ExactKey
);
digest!(
    /// A client's own credential, keyed with a secret of this process; the credential is not kept.
    Credential
);

/// A hasher for parts: each part is tagged and length-prefixed, so no two sequences of parts can
/// run into one another. The first thing hashed is a version word.
pub struct Parts {
    key: Option<[u8; 32]>,
    /// Written but not hashed yet. A call of the hasher for each of many short pieces costs as much as the hashing.
    waiting: Vec<u8>,
    /// Two kilobytes, and not needed where all the parts can wait.
    hasher: Option<Box<blake3::Hasher>>,
}

/// Bytes that wait at most: one chunk of BLAKE3.
const ROOM: usize = blake3::CHUNK_LEN;

impl Parts {
    pub fn new(version: &str) -> Parts {
        Parts::with(None, version)
    }

    pub fn keyed(key: &[u8; 32], version: &str) -> Parts {
        Parts::with(Some(*key), version)
    }

    fn with(key: Option<[u8; 32]>, version: &str) -> Parts {
        let mut parts = Parts { key, waiting: Vec::with_capacity(ROOM), hasher: None };
        parts.part("version", version.as_bytes());
        parts
    }

    pub fn part(&mut self, tag: &str, bytes: &[u8]) -> &mut Self {
        for piece in [tag.as_bytes(), bytes] {
            self.write(&(piece.len() as u64).to_le_bytes());
            self.write(piece);
        }
        self
    }

    fn write(&mut self, piece: &[u8]) {
        if piece.len() <= ROOM - self.waiting.len() {
            self.waiting.extend_from_slice(piece);
            return;
        }
        let begin =
            || Box::new(self.key.as_ref().map_or_else(blake3::Hasher::new, blake3::Hasher::new_keyed));
        let hasher = self.hasher.get_or_insert_with(begin);
        hasher.update(&self.waiting).update(piece);
        self.waiting.clear();
    }

    pub fn finish<D: From<blake3::Hash>>(&mut self) -> D {
        D::from(match (&mut self.hasher, &self.key) {
            (Some(hasher), _) => hasher.update(&std::mem::take(&mut self.waiting)).finalize(),
            (None, Some(key)) => blake3::keyed_hash(key, &self.waiting),
            (None, None) => blake3::hash(&self.waiting),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Parts, ROOM, Scope};
    use proptest::prelude::*;

    proptest! {
        /// What waits, and how long, changes no digest: keys on disk and in Redis outlive a release.
        #[test]
        fn pieces_are_hashed_one_after_the_other(
            lengths in prop::collection::vec(0..2 * ROOM, 0..6),
            key in prop::option::of(any::<[u8; 32]>()),
        ) {
            let (mut parts, mut whole) = match &key {
                Some(key) => (Parts::keyed(key, "word"), blake3::Hasher::new_keyed(key)),
                None => (Parts::new("word"), blake3::Hasher::new()),
            };
            let pieces: Vec<Vec<u8>> = lengths.iter().map(|length| vec![7; *length]).collect();
            let named = [("version", "word".as_bytes())].into_iter();
            for (tag, piece) in named.chain(pieces.iter().map(|piece| ("tag", piece.as_slice()))) {
                for piece in [tag.as_bytes(), piece] {
                    whole.update(&(piece.len() as u64).to_le_bytes()).update(piece);
                }
            }
            for piece in &pieces {
                parts.part("tag", piece);
            }
            prop_assert_eq!(parts.finish::<Scope>(), Scope::from(whole.finalize()));
        }
    }
}
