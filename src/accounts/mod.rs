//! Who asks, what it costs, what was saved, and the books of it all.
//!
//! ```text
//! request ─ identify ─> caller ─ open ─> Tab ─┬─ hit ────── what the recorded answer would have cost
//!                                             ├─ followed ─ the same, of another's flight
//!                                             ├─ paid ───── what the upstream says it used, at its price
//!                                             ├─ unbilled ─ the upstream refused, or was not reached
//!                                             └─ dropped ── abandoned; unknown, if it had been asked
//!                                                  └─ one Row ─> ledger (queue, thread, SQLite) ─> reports
//! ```
//! Every request that is let in opens one tab, and of each tab comes exactly one row, whichever way the
//! request ends. Money is integer nano-dollars, and so are sums. What nobody told us is *unknown* (a
//! stream without usage, a cut answer, a model without a price): it is in no sum, and counted beside it.
//!
//! | file | has |
//! |---|---|
//! | `caller` | digests of credentials, scopes, who was accepted upstream lately |
//! | `secret` | what those digests are keyed with, in a file that outlives a restart |
//! | `prices` | what tokens of a model cost; how a model's name is matched |
//! | `row` | one line of the books |
//! | `tab` | one request's account, from its arrival to its row |
//! | `ledger` | rows to SQLite behind the request path, and what they add up to |
//!
//! Promises: the request path takes one short lock a request and never waits for the disk. Nothing is
//! lost at a drain, 200 ms of rows at a kill. A ledger that cannot be written is a metric and a log
//! line, never a failed request.

mod caller;
pub mod ledger;
pub mod prices;
pub mod row;
mod secret;
mod tab;

use crate::base::clock::Clock;
use crate::base::digest::{Credential, Scope};
use crate::config::{Config, ScopeBy, accounts as settings};
use crate::telemetry::metrics::Metrics;
use arc_swap::ArcSwap;
use caller::Callers;
use http::HeaderMap;
use ledger::report::{self, Report, Wanted};
use ledger::{Ledger, Unwritten};
use prices::PriceBook;
use row::{Payer, Tag};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tab::Books;

pub use secret::secret;
pub use tab::Tab;

/// Everything about who asks and what it costs. Shared by the whole process.
#[derive(Debug)]
pub struct Accounts {
    callers: Callers,
    books: Arc<Books>,
    /// Names of digests, as the config has them.
    names: ArcSwap<Vec<settings::Caller>>,
}

impl Accounts {
    /// Reads or makes the secret in `ledger.path`, and starts the ledger. Where the secret cannot be kept,
    /// one for this process alone takes its place: digests then change with the next start, and the log
    /// says so.
    pub fn open(config: &Config, clock: Clock, metrics: Arc<Metrics>) -> Accounts {
        let settings = &config.accounts;
        let ledger = Ledger::start(&settings.ledger, clock.clone(), metrics);
        let books = Books { prices: ArcSwap::default(), ledger, clock: clock.clone() };
        let callers = Callers::new(kept_secret(settings.ledger.path.as_deref()), clock);
        let accounts = Accounts { callers, books: Arc::new(books), names: ArcSwap::default() };
        accounts.reload(config);
        accounts
    }

    /// Takes new prices and names; rows from now on are written by them.
    pub fn reload(&self, config: &Config) {
        self.books.prices.store(Arc::new(PriceBook::of(&config.accounts.prices)));
        self.names.store(Arc::new(config.accounts.callers.clone()));
    }

    /// The digest of every credential header there is; all callers without one are the same caller.
    pub fn identify(&self, headers: &HeaderMap) -> Credential {
        self.callers.identify(headers)
    }

    /// Who may share answers with this caller. The namespace, chosen by the client, divides further.
    pub fn scope(&self, caller: Credential, by: ScopeBy, namespace: Option<&str>) -> Scope {
        self.callers.scope(caller, by, namespace)
    }

    /// The upstream accepted this caller just now.
    pub fn prove(&self, caller: Credential) {
        self.callers.prove(caller);
    }

    /// Whether the upstream accepted this caller within `ttl`.
    pub fn is_proven(&self, caller: Credential, ttl: Duration) -> bool {
        self.callers.is_proven(caller, ttl)
    }

    /// Opens the account of one request. `dialect` is its word; `model` what it asks for.
    pub fn open_tab(&self, caller: Credential, dialect: &'static str, model: &str, tags: &[Tag]) -> Tab {
        Tab::open(self.books.clone(), Payer::Credential(caller), dialect, model, tags)
    }

    /// Waits until every row so far is written. Blocks: off the async threads.
    pub fn flush(&self) {
        self.books.ledger.flush();
    }

    /// What the ledger says, up to now. Blocks likewise.
    ///
    /// # Errors
    /// No ledger is kept, or it cannot be read.
    pub fn report(&self, wanted: Wanted) -> Result<Report, Unwritten> {
        self.flush();
        let folder = self.books.ledger.folder().ok_or_else(|| Unwritten::Absent("memory".into()))?;
        report::read(folder, wanted, &self.names.load())
    }
}

fn kept_secret(folder: Option<&Path>) -> [u8; 32] {
    let Some(folder) = folder else { return rand::random() };
    secret(folder).unwrap_or_else(|wrong| {
        let folder = folder.display();
        tracing::error!("the accounts' secret cannot be kept in {folder}: {wrong}; callers get new digests");
        rand::random()
    })
}
