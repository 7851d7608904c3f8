//! What the books are kept by: prices, the ledger, names of callers.

use super::database::Database;
use super::keys::Keys;
use crate::base::money::NanoUsd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// `[ledger]`, `[prices]`, `[[price]]`, `[[caller]]`, `[keys]` and `[[key]]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accounts {
    pub ledger: Ledger,
    /// Those of the config first, then its file's, then the built-in ones; the first for a name counts.
    pub prices: Arc<Vec<Price>>,
    pub callers: Vec<Caller>,
    pub keys: Keys,
}

/// `[ledger]`
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// The folder that the ledger and the secret of the accounts lie in. `None`: nothing is written
    /// down. `Config::read` gives `data` where nothing is said; a `Config` built in code gives `None`.
    pub path: Option<PathBuf>,
    /// The database that replicas keep their books and virtual keys in together. Needs `path`, which is
    /// written first and from which rows go over. Default: none, each process keeps its own.
    pub url: Option<Arc<Database>>,
    pub audit: Audit,
    /// Rows older than this are deleted. Default 400 days: a year and a month to compare with.
    pub keep: Duration,
}

/// What is written into `audit.jsonl` in the ledger's folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audit {
    Off,
    /// What administrators do.
    #[default]
    Admin,
    /// That, and every call.
    All,
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger { path: None, url: None, audit: Audit::Admin, keep: Duration::from_secs(400 * 86_400) }
    }
}

impl Ledger {
    /// With every default, in this folder.
    pub fn at(folder: impl Into<PathBuf>) -> Ledger {
        Ledger { path: Some(folder.into()), ..Ledger::default() }
    }

    /// The folder and the database, where replicas keep their books together.
    pub fn together(&self) -> Option<(&Path, &Arc<Database>)> {
        self.path.as_deref().zip(self.url.as_ref())
    }
}

/// What one million tokens of a model cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// A model's name; one that ends in `*` stands for all that begin so.
    pub model: String,
    pub rates: Rates,
    /// The rates of a request whose prompt is longer than so many tokens.
    pub long: Option<(u64, Rates)>,
    /// The day on which it was last looked up, and where.
    pub known: Option<String>,
    pub source: Option<String>,
}

/// Each for one million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub input: NanoUsd,
    pub cached_input: NanoUsd,
    pub cache_write: NanoUsd,
    pub output: NanoUsd,
    pub reasoning: NanoUsd,
}

/// `[[caller]]`: a name for the digest of a client's own credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The 16 hex digits that `reprise savings` shows.
    pub digest: String,
    pub name: String,
    pub team: Option<String>,
}
