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
pub struct Parts(blake3::Hasher);

impl Parts {
    pub fn new(version: &str) -> Parts {
        let mut parts = Parts(blake3::Hasher::new());
        parts.part("version", version.as_bytes());
        parts
    }

    pub fn keyed(key: &[u8; 32], version: &str) -> Parts {
        let mut parts = Parts(blake3::Hasher::new_keyed(key));
        parts.part("version", version.as_bytes());
        parts
    }

    pub fn part(&mut self, tag: &str, bytes: &[u8]) -> &mut Self {
        for piece in [tag.as_bytes(), bytes] {
            self.0.update(&(piece.len() as u64).to_le_bytes());
            self.0.update(piece);
        }
        self
    }

    pub fn finish<D: From<blake3::Hash>>(&self) -> D {
        D::from(self.0.finalize())
    }
}
