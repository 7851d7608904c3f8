//! Text that must not be printed.

use arc_swap::ArcSwap;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A credential. `Debug` shows nothing of it, and its memory is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// The text itself, for the one place that sends or hashes it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What digests of credentials are keyed with; who has not got it cannot test a guess. Clones mean the
/// same key, and it may be replaced while the process runs: what was scoped under the old one is then
/// found no more. Reading costs one atomic load.
#[derive(Clone)]
pub struct ScopeKey(Arc<ArcSwap<[u8; 32]>>);

/// Whether a key was another one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    Yes,
    No,
}

impl ScopeKey {
    pub fn get(&self) -> [u8; 32] {
        **self.0.load()
    }

    pub fn replace(&self, key: [u8; 32]) -> Replaced {
        if self.get() == key {
            return Replaced::No;
        }
        self.0.store(Arc::new(key));
        Replaced::Yes
    }
}

impl From<[u8; 32]> for ScopeKey {
    fn from(key: [u8; 32]) -> ScopeKey {
        ScopeKey(Arc::new(ArcSwap::from_pointee(key)))
    }
}

impl fmt::Debug for ScopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScopeKey(…)")
    }
}
