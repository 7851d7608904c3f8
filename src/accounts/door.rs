//! The door: the ring of keys as it is now, kept up with the config and with the keys that are kept.

use super::caller::Callers;
use super::keys::store::{Store, Stored, Unkept};
use super::keys::{Admitted, Key, Ring, Strangers, estimate};
use super::ledger::{self, Charge};
use super::postgres::copy;
use crate::base::clock::Clock;
use crate::base::fault::{Fault, Kind};
use crate::base::money::NanoUsd;
use crate::config::accounts::Ledger;
use crate::config::keys::{Keys, Listed};
use ahash::{AHashMap, AHashSet};
use arc_swap::ArcSwap;
use http::HeaderMap;
use parking_lot::{Condvar, Mutex};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Between two looks at the kept keys: one that somebody else disables stops within this.
const LOOK: Duration = Duration::from_millis(250);
/// After a look that failed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long an answer to a wrong key is kept waiting, and how many wait at most; more are turned away.
const PENALTY: Duration = Duration::from_secs(1);
const MOST_WAITING: usize = 64;

#[derive(Debug)]
pub(super) struct Door {
    shared: Arc<Shared>,
    callers: Arc<Callers>,
    penalties: Semaphore,
}

#[derive(Debug)]
struct Shared {
    secret: [u8; 32],
    ledger: Ledger,
    spent: Spent,
    clock: Clock,
    ring: ArcSwap<Ring>,
    /// Held while a new ring is made, so that two do not cross; never while anybody waits for a disk or a
    /// database.
    sources: Mutex<Sources>,
    /// Where keys are kept, once it is there, and its version when it was read last. Held while it is read.
    store: Mutex<Option<Open>>,
    closing: Mutex<bool>,
    wake: Condvar,
}

/// What the ring is made of.
#[derive(Debug)]
struct Sources {
    config: Keys,
    stored: Vec<Stored>,
}

struct Open {
    store: Store,
    seen: i64,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Open at {}", self.seen)
    }
}

/// By which books a key's budgets go on after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// By this replica's own: what the others spent they tell themselves.
    Own,
    /// By all that lie where the keys do.
    All,
}

/// The keys at the start, and what they are hashed with.
pub(super) struct Kept {
    pub secret: [u8; 32],
    stored: Vec<Stored>,
    open: Option<Open>,
}

impl Kept {
    /// Reads the keys of the folder, or of the fleet. While the fleet's database is away those count that were seen
    /// there last. Blocks, ten seconds at most.
    ///
    /// # Errors
    /// Keys are there and cannot be read: without them nobody could be told from anybody else.
    pub fn read(ledger: &Ledger) -> Result<Kept, Unkept> {
        let Some((folder, _)) = ledger.path.as_deref().zip(ledger.url.as_ref()) else {
            let secret = super::kept_secret(ledger.path.as_deref());
            let mut kept = Kept { secret, stored: Vec::new(), open: None };
            if Store::is_there(ledger) {
                let (open, stored) = Open::read(Store::open(ledger)?)?;
                (kept.stored, kept.open) = (stored, Some(open));
            }
            return Ok(kept);
        };
        match Store::open(ledger).and_then(Open::read) {
            Ok((open, stored)) => {
                let left = Store::left_in(folder)?;
                let lost = left.iter().filter(|key| !stored.iter().any(|other| other.id == key.id)).count();
                if lost > 0 {
                    tracing::warn!(
                        "{lost} keys of keys.sqlite are not among those of the fleet and do not open: make them anew \
                         with `reprise keys create`"
                    );
                }
                Ok(Kept { secret: open.store.secret(), stored, open: Some(open) })
            }
            Err(wrong @ Unkept::Postgres(_)) => match copy::read(folder)? {
                Some((secret, stored)) => {
                    tracing::error!("{wrong}; until then keys are as they were last seen");
                    Ok(Kept { secret, stored, open: None })
                }
                None => Err(wrong),
            },
            Err(wrong) => Err(wrong),
        }
    }
}

impl Open {
    fn read(mut store: Store) -> Result<(Open, Vec<Stored>), Unkept> {
        // Before its keys: what changes while they are read is seen at the next look.
        let seen = store.version()?;
        let stored = store.all()?;
        Ok((Open { store, seen }, stored))
    }
}

impl Door {
    /// Opens with the keys of the start, and watches for changes of them.
    ///
    /// # Errors
    /// There is no thread for that.
    pub fn open(
        kept: Kept,
        (ledger, spent, strangers): (Ledger, Spent, Strangers),
        config: &Keys,
        callers: Arc<Callers>,
        clock: Clock,
    ) -> Result<Door, Unkept> {
        let shared = Arc::new(Shared {
            secret: kept.secret,
            ledger,
            spent,
            clock,
            ring: ArcSwap::from_pointee(Ring::default().with(strangers)),
            sources: Mutex::new(Sources { config: config.clone(), stored: Vec::new() }),
            store: Mutex::new(kept.open),
            closing: Mutex::new(false),
            wake: Condvar::new(),
        });
        shared.take(kept.stored, &mut shared.store.lock());
        if shared.ledger.path.is_some() {
            let watching = shared.clone();
            let thread = std::thread::Builder::new().name("keys".to_owned()).spawn(move || watching.watch());
            thread.map_err(|wrong| Unkept::Folder(PathBuf::from("(thread)"), wrong))?;
        }
        Ok(Door { shared, callers, penalties: Semaphore::new(MOST_WAITING) })
    }

    /// Who a request comes from. A virtual key is taken off its headers.
    pub fn admit(&self, headers: &mut HeaderMap) -> Result<Admitted, Fault> {
        let shared = &self.shared;
        Ok(match shared.ring.load().admit(&shared.secret, headers, &shared.clock)? {
            Some(key) => Admitted { caller: key.caller, key: Some(key) },
            None => Admitted { caller: self.callers.identify(headers), key: None },
        })
    }

    /// Makes guessing slow: the answer to a wrong key comes late, and to many at once a refusal.
    pub async fn slow_down(&self, fault: Fault) -> Fault {
        if fault.kind != Kind::KeyUnknown {
            return fault;
        }
        let Ok(_waiting) = self.penalties.try_acquire() else {
            return Fault::new(Kind::RateLimited, "too many wrong keys; wait, and send the right one")
                .retry_after(PENALTY);
        };
        tracing::warn!("a wrong key was sent");
        tokio::time::sleep(PENALTY).await;
        fault
    }

    /// Takes the config's keys anew.
    pub fn reload(&self, config: &Keys) {
        let mut sources = self.shared.sources.lock();
        if sources.config != *config {
            sources.config = config.clone();
            self.shared.renew(&sources, &[]);
            if self.shared.ring.load().counts_tokens() {
                // Not here, as it takes its time; meanwhile bytes are counted.
                std::thread::spawn(estimate::load);
            }
        }
    }

    /// Takes the kept keys anew, after a change of our own. Blocks.
    pub fn refresh(&self) -> Result<(), Unkept> {
        self.shared.refresh()
    }

    pub fn ring(&self) -> Arc<Ring> {
        self.shared.ring.load_full()
    }

    /// The ring, for who outlives the door.
    pub fn looker(&self) -> impl Fn() -> Arc<Ring> + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || shared.ring.load_full()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        *self.shared.closing.lock() = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    /// Reads the kept keys anew. Blocks.
    fn refresh(&self) -> Result<(), Unkept> {
        self.refresh_with(&mut self.store.lock())
    }

    fn refresh_with(&self, held: &mut Option<Open>) -> Result<(), Unkept> {
        if !Store::is_there(&self.ledger) {
            return Ok(());
        }
        // Closed where it cannot be read: versions count from anew on each connection.
        let store = held.take().map_or_else(|| Store::open(&self.ledger), |open| Ok(open.store))?;
        if self.ledger.url.is_some() && store.secret() != self.secret {
            return Err(Unkept::OtherSecret);
        }
        let (open, stored) = Open::read(store)?;
        *held = Some(open);
        self.take(stored, held);
        Ok(())
    }

    /// From now on these are the kept keys.
    fn take(&self, stored: Vec<Stored>, held: &mut Option<Open>) {
        if let Some((folder, _)) = self.ledger.path.as_deref().zip(self.ledger.url.as_ref())
            && held.is_some()
            && let Err(wrong) = copy::write(folder, &self.secret, &stored)
        {
            tracing::error!("no copy of the fleet's keys is kept: {wrong}; a start needs the database");
        }
        let charges = match (held, self.spent) {
            (Some(open), Spent::All) => self.charges(&mut open.store, &stored),
            _ => Vec::new(),
        };
        let mut sources = self.sources.lock();
        sources.stored = stored;
        self.renew(&sources, &charges);
        drop(sources);
        if self.ring.load().counts_tokens() {
            estimate::load();
        }
    }

    /// What keys that are not in the ring yet were charged, by the books of all.
    fn charges(&self, store: &mut Store, stored: &[Stored]) -> Vec<Charge> {
        let ring = self.ring.load();
        let known: AHashSet<&str> = ring.keys().iter().map(|key| &*key.id).collect();
        let mut ids: Vec<String> = stored.iter().map(|key| key.id.clone()).collect();
        ids.extend(self.sources.lock().config.listed.iter().map(Listed::id));
        ids.retain(|id| !known.contains(&**id));
        if ids.is_empty() {
            return Vec::new();
        }
        store.charges(&ids).unwrap_or_else(|wrong| {
            tracing::error!("what keys have spent at other replicas is not known: {wrong}");
            Vec::new()
        })
    }

    /// A new ring. `charges`: what its keys have spent by other books than the replica's own.
    fn renew(&self, sources: &Sources, charges: &[Charge]) {
        let before = self.ring.load_full();
        let ring = Ring::new(&self.secret, &sources.config, sources.stored.clone(), &before);
        if let Some(folder) = &self.ledger.path {
            self.recall(folder, charges, &ring, &before);
        }
        self.ring.store(Arc::new(ring));
    }

    /// What keys that were not there before have spent already, by the ledger; by whichever books say more,
    /// where there are others: some of our own rows may not have gone over yet.
    fn recall(&self, folder: &Path, charges: &[Charge], ring: &Ring, before: &Ring) {
        let known: AHashSet<&str> = before.keys().iter().map(|key| &*key.id).collect();
        let fresh = ring.keys().iter().filter(|key| !known.contains(&*key.id));
        let fresh: AHashMap<&str, &Arc<Key>> = fresh.map(|key| (&*key.id, key)).collect();
        if fresh.is_empty() {
            return;
        }
        let own = ledger::charges(folder).unwrap_or_else(|wrong| {
            tracing::error!("what keys have spent so far is not known: {wrong}");
            Vec::new()
        });
        let mut sums: AHashMap<(&str, u64), NanoUsd> = AHashMap::new();
        for charge in own.iter().chain(charges) {
            let sum = sums.entry((&charge.key, charge.day)).or_default();
            *sum = (*sum).max(charge.usd);
        }
        for ((id, day), usd) in sums {
            if let Some(key) = fresh.get(id) {
                key.meter.recall(day, usd, self.clock.now());
            }
        }
    }

    /// Looks at the kept keys until the door closes.
    fn watch(&self) {
        let mut troubled = false;
        loop {
            {
                let mut closing = self.closing.lock();
                if !*closing {
                    self.wake.wait_for(&mut closing, if troubled { LOOK_AGAIN } else { LOOK });
                }
                if *closing {
                    return;
                }
            }
            match self.look() {
                Ok(()) => troubled = false,
                Err(wrong) => {
                    if !std::mem::replace(&mut troubled, true) {
                        tracing::error!("the keys stay as they were: {wrong}");
                    }
                }
            }
        }
    }

    /// Takes the kept keys anew where somebody else has changed them.
    fn look(&self) -> Result<(), Unkept> {
        let mut held = self.store.lock();
        if let Some(open) = &mut *held
            && open.store.version().is_ok_and(|version| version == open.seen)
        {
            return Ok(());
        }
        self.refresh_with(&mut held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::Grant;
    use rusqlite::Connection;

    #[test]
    fn a_change_after_one_that_could_not_be_read_is_seen() {
        let folder = tempfile::TempDir::new().unwrap();
        let ledger = Ledger::at(folder.path());
        let mut other = Store::open(&ledger).unwrap();
        let grant = Grant { name: "a".to_owned(), ..Grant::default() };
        let fresh = other.create(&grant, None, 0).unwrap();
        let secret = crate::accounts::secret(folder.path()).unwrap();
        let shared = Shared {
            secret,
            ledger,
            spent: Spent::Own,
            clock: Clock::start(),
            ring: ArcSwap::default(),
            sources: Mutex::new(Sources { config: Keys::default(), stored: Vec::new() }),
            store: Mutex::new(None),
            closing: Mutex::new(false),
            wake: Condvar::new(),
        };
        let opens = || {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", format!("Bearer {}", fresh.text).parse().unwrap());
            shared.ring.load().admit(&secret, &mut headers, &shared.clock).is_ok()
        };
        shared.look().unwrap();
        assert!(opens());
        let by_hand = Connection::open(folder.path().join("keys.sqlite")).unwrap();
        let settings: String = by_hand.query_row("SELECT settings FROM key", [], |row| row.get(0)).unwrap();
        by_hand.execute("UPDATE key SET settings = '{'", []).unwrap();
        shared.look().unwrap_err();
        assert!(opens(), "the keys stay as they were");
        by_hand.execute("UPDATE key SET settings = ?, disabled = 1", [settings]).unwrap();
        shared.look().unwrap();
        assert!(!opens());
    }
}
