//! Who asks, what it costs, what was saved, and the books of it all.
//!
//! ```text
//! request ─ admit ─> caller or key ─ open ─> Tab ─┬─ hit ────── what the recorded answer would have cost
//!                                                 ├─ followed ─ the same, of another's flight
//!                                                 ├─ paid ───── what the upstream says it used, at its price
//!                                                 ├─ unbilled ─ the upstream refused, or was not reached
//!                                                 └─ dropped ── abandoned; unknown, if it had been asked
//!                                                      └─ one Row ─> ledger (queue, thread, SQLite) ─> reports
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
//! | `door`, `kept`, `keys` | who is let in: virtual keys, their rates and budgets |
//! | `audit` | who called what, and who changed what, line by line |
//! | `ledger` | rows to SQLite behind the request path, and what they add up to |
//! | `postgres` | the books and keys of several replicas, in one database |
//!
//! Promises: the request path takes one short lock a request and never waits for the disk. Nothing is
//! lost at a drain, 200 ms of rows at a kill. A ledger that cannot be written is a metric and a log
//! line, never a failed request.

pub mod audit;
mod caller;
mod door;
mod kept;
pub mod keys;
pub mod ledger;
pub mod postgres;
pub mod prices;
pub mod row;
mod secret;
mod tab;

use crate::base::clock::{Clock, Millis};
use crate::base::digest::{Credential, Scope};
use crate::base::fault::Fault;
use crate::base::secret::{ScopeKey, Secret};
use crate::base::tasks::Tasks;
use crate::config::{Config, ScopeBy, StorePath, accounts as settings};
use crate::telemetry::metrics::Metrics;
use crate::wire::usage::Usage;
use arc_swap::{ArcSwap, ArcSwapOption};
use caller::Callers;
use door::Door;
use http::HeaderMap;
use kept::{Kept, Spent};
use keys::fleet::Fleet;
use keys::joint::Joint;
use keys::store::{Store, Unkept};
use keys::{Admitted, Ring, Strangers, webhook};
use ledger::report::{self, Report, Wanted};
use ledger::{Ledger, Unwritten};
use prices::PriceBook;
use row::{Kind, Payer, Tag};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tab::Books;

pub use secret::secret;
pub use tab::Tab;

/// Everything about who asks and what it costs. Shared by the whole process.
#[derive(Debug)]
pub struct Accounts {
    callers: Arc<Callers>,
    door: Door,
    books: Arc<Books>,
    /// Names of digests, as the config has them.
    names: ArcSwap<Vec<settings::Caller>>,
    webhook: ArcSwapOption<Secret>,
    tasks: Tasks,
}

impl Accounts {
    /// Reads or makes the secret in `ledger.path`, and starts the ledger. Where the secret cannot be kept,
    /// one for this process alone takes its place: digests then change with the next start, and the log
    /// says so. `scopes`: what scopes are keyed with; of replicas that are to share answers, each must have
    /// the same.
    ///
    /// # Errors
    /// There are virtual keys, and they cannot be read.
    pub fn open(
        config: &Config,
        clock: Clock,
        metrics: Arc<Metrics>,
        tasks: Tasks,
        scopes: &ScopeKey,
    ) -> Result<Accounts, Unkept> {
        let ledger = &config.accounts.ledger;
        let strangers = if ledger.url.is_some() { Strangers::Refused } else { Strangers::Pass };
        Accounts::of(config, (ledger, strangers), ledger, (clock, metrics, tasks), scopes)
    }

    /// As `open`, for a process that only has to know whom a key stands for: keys are read where they are kept,
    /// nothing is booked, and no folder is made for it. A credential that looks like a key of ours and is not known here
    /// is refused, whether any are known or not: a server may know it.
    ///
    /// # Errors
    /// There are virtual keys, and they cannot be read.
    pub fn unbooked(
        config: &Config,
        clock: Clock,
        metrics: Arc<Metrics>,
        tasks: Tasks,
        scopes: &ScopeKey,
    ) -> Result<Accounts, Unkept> {
        let (nowhere, ledger) = (settings::Ledger::default(), &config.accounts.ledger);
        let keys = if Store::is_there(ledger) { ledger } else { &nowhere };
        Accounts::of(config, (keys, Strangers::Refused), &nowhere, (clock, metrics, tasks), scopes)
    }

    /// `keys`: where they are kept; `ledger`: where it is booked.
    fn of(
        config: &Config,
        (keys, strangers): (&settings::Ledger, Strangers),
        ledger: &settings::Ledger,
        (clock, metrics, tasks): (Clock, Arc<Metrics>, Tasks),
        scopes: &ScopeKey,
    ) -> Result<Accounts, Unkept> {
        let settings = &config.accounts;
        let kept = Kept::read(keys)?;
        // Where entries outlive the process, or replicas share them, the key of scopes does as well; a caller
        // must be the same one for as long. In books that replicas share, it must be the same one to all.
        let lasting = config.redis.is_some() || config.store.path != StorePath::Off;
        let who = match lasting && settings.ledger.url.is_none() {
            true => scopes.clone(),
            false => ScopeKey::from(kept.secret),
        };
        let callers = Arc::new(Callers::new(who, scopes.clone(), clock.clone()));
        // With Redis the others tell what they spent.
        let spent = match settings.ledger.url.is_some() && config.redis.is_none() {
            true => Spent::All,
            false => Spent::Own,
        };
        let door = Door::open(
            kept,
            (keys.clone(), spent, strangers),
            &settings.keys,
            callers.clone(),
            clock.clone(),
        )?;
        let joint = Joint::new(replica(ledger.path.as_deref()), clock.clone(), metrics.clone());
        let ledger = Ledger::start(ledger, clock.clone(), metrics);
        let books = Arc::new(Books { prices: ArcSwap::default(), ledger, clock, joint });
        let (names, webhook) = (ArcSwap::default(), ArcSwapOption::default());
        let accounts = Accounts { callers, door, books, names, webhook, tasks };
        accounts.reload(config);
        Ok(accounts)
    }

    /// From now on keys' limits are those of all replicas that share `fleet`.
    pub fn join(&self, fleet: Arc<dyn Fleet>) {
        self.books.joint.join(fleet);
        let (books, ring, stopping) = (self.books.clone(), self.door.looker(), self.tasks.stopping());
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = stopping => {}
                () = books.joint.keep(ring) => {}
            }
        });
    }

    /// Tells the other replicas what they do not know yet; after the last request.
    pub async fn part(&self) {
        self.books.joint.close(&self.ring()).await;
    }

    /// Takes new prices, names and keys; rows from now on are written by them.
    pub fn reload(&self, config: &Config) {
        let settings = &config.accounts;
        self.books.prices.store(Arc::new(PriceBook::of(&settings.prices)));
        self.names.store(Arc::new(settings.callers.clone()));
        self.webhook.store(settings.keys.webhook.clone().map(Arc::new));
        self.door.reload(&settings.keys);
    }

    /// Who a request comes from: a virtual key, which is taken off the headers, or else the digest of
    /// every credential header there is; all callers without one are the same caller.
    ///
    /// # Errors
    /// A key that is none, or that no longer opens.
    pub fn admit(&self, headers: &mut HeaderMap) -> Result<Admitted, Fault> {
        self.door.admit(headers)
    }

    /// Has the refusal of a wrong key wait; any other passes at once.
    pub async fn slow_down(&self, fault: Fault) -> Fault {
        self.door.slow_down(fault).await
    }

    /// Who may share answers with this caller: as the key says, else `by`. The namespace, chosen by the
    /// client, divides further.
    pub fn scope(&self, who: &Admitted, by: ScopeBy, namespace: Option<&str>) -> Scope {
        let by = who.key.as_ref().and_then(|key| key.grant.scope).unwrap_or(by);
        match (&who.key, by) {
            (Some(key), _) => self.callers.scope(who.caller, key.team.as_deref(), by, namespace),
            (None, ScopeBy::Team) => {
                let (names, digest) = (self.names.load(), who.caller.short());
                let caller = names.iter().find(|caller| caller.digest == digest);
                let team = caller.and_then(|caller| caller.team.as_deref());
                self.callers.scope(who.caller, team, by, namespace)
            }
            (None, _) => self.callers.scope(who.caller, None, by, namespace),
        }
    }

    /// The upstream accepted this caller just now.
    pub fn prove(&self, caller: Credential) {
        self.callers.prove(caller);
    }

    /// The upstream accepted this caller at `at`, by another replica's word.
    pub fn prove_at(&self, caller: Credential, at: Millis) {
        self.callers.prove_at(caller, at);
    }

    /// Whether the upstream accepted this caller within `ttl`.
    pub fn is_proven(&self, caller: Credential, ttl: Duration) -> bool {
        self.callers.is_proven(caller, ttl)
    }

    /// Opens the account of one request. `dialect` is its word; `model` what it asks for.
    ///
    /// # Errors
    /// The key's rate, concurrency or budget does not let it in.
    pub fn open_tab(
        &self,
        who: &Admitted,
        dialect: &'static str,
        model: &str,
        tags: &[Tag],
    ) -> Result<Tab, Fault> {
        Tab::open(self.books.clone(), who, dialect, model, tags)
    }

    /// The account of a request that nobody makes: nothing is counted, and no row comes of it.
    pub fn blank_tab(&self) -> Tab {
        Tab::blank(self.books.clone())
    }

    /// Books what the cache itself paid for: an audit, an escalation, an embedding. `payer` is whom it was
    /// for; `usage` is `None` where the upstream did not say.
    pub fn overhead(&self, kind: Kind, payer: Payer, model: &str, usage: Option<Usage>) {
        self.books.overhead(kind, payer, model, usage);
    }

    /// What is to be said of the soft limits that the request's key has passed; the first time in a
    /// period also to the log and the webhook.
    pub fn warning(&self, tab: &Tab) -> Option<String> {
        let key = tab.key()?;
        let (passed, fresh) = key.meter.warnings(&key.grant, self.books.clock.now());
        if let Some(one) = fresh {
            let (name, spent, limit) = (&key.grant.name, one.spent, one.limit);
            tracing::warn!(key = %key.id, name, "soft limit of the {} passed: {spent} of {limit} USD", one.period);
            if let Some(url) = self.webhook.load_full() {
                let (id, name) = (key.id.to_string(), name.clone());
                self.tasks.spawn(webhook::tell(Secret::clone(&url), id, name, one));
            }
        }
        let each = passed.iter().map(|one| format!("{} {} of {} USD", one.period, one.spent, one.limit));
        let told = each.collect::<Vec<_>>().join(", ");
        (!told.is_empty()).then_some(told)
    }

    /// Every key that is known now, of the config and of the file.
    pub fn ring(&self) -> Arc<Ring> {
        self.door.ring()
    }

    /// Changes the kept keys; what is changed holds from the next request on. Blocks: off the async
    /// threads.
    ///
    /// # Errors
    /// No file is kept, or the change cannot be made.
    pub fn change_keys<T>(
        &self,
        change: impl FnOnce(&mut Store, Millis) -> Result<T, Unkept>,
    ) -> Result<T, Unkept> {
        let changed = change(&mut Store::open(self.books.ledger.settings())?, self.books.clock.now())?;
        // It is done, whatever comes of this; the next look takes it up.
        self.door.refresh().unwrap_or_else(|wrong| {
            tracing::error!("a key was changed, and is not yet so here: {wrong}");
        });
        Ok(changed)
    }

    /// The folder of the ledger, the keys and the audit log, if they are kept.
    pub fn folder(&self) -> Option<&Path> {
        self.books.ledger.folder()
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
        let mut names = self.names.load().to_vec();
        let keys = self.ring();
        names.extend(keys.keys().iter().map(|key| settings::Caller {
            digest: key.id.to_string(),
            name: key.grant.name.clone(),
            team: key.grant.team.clone(),
        }));
        report::read(self.books.ledger.settings(), wanted, &names)
    }
}

/// Without a folder, what this process spends is told in a name of its own, and is not known to the next.
fn replica(folder: Option<&Path>) -> String {
    let passing = || Credential(rand::random()).short();
    let Some(folder) = folder else { return passing() };
    secret::replica(folder).unwrap_or_else(|wrong| {
        let folder = folder.display();
        tracing::error!("this replica's name cannot be kept in {folder}: {wrong}; what it spends counts twice after a restart");
        passing()
    })
}

fn kept_secret(folder: Option<&Path>) -> [u8; 32] {
    let Some(folder) = folder else { return rand::random() };
    secret(folder).unwrap_or_else(|wrong| {
        let folder = folder.display();
        tracing::error!("the accounts' secret cannot be kept in {folder}: {wrong}; callers get new digests");
        rand::random()
    })
}
