//! The door: the ring of keys as it is now, kept up with the config and with the keys that are kept.

use super::caller::Callers;
use super::kept::{Kept, Open, Spent};
use super::keys::store::{Store, Stored, Unkept};
use super::keys::{Admitted, Key, Ring, Strangers, estimate};
use super::ledger::{self, Charge};
use super::postgres::copy;
use crate::base::clock::Clock;
use crate::base::fault::{Fault, Kind};
use crate::base::money::NanoUsd;
use crate::config::accounts::Ledger;
use crate::config::keys::Keys;
use ahash::{AHashMap, AHashSet};
use arc_swap::ArcSwap;
use http::HeaderMap;
use parking_lot::{Condvar, Mutex};
use std::path::PathBuf;
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
    /// Held while a new ring is made, so that two do not cross; never while anybody waits for a database.
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
    /// Ids of which it is not known yet what other replicas have spent.
    uncharged: AHashSet<String>,
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
            sources: Mutex::new(Sources {
                config: config.clone(),
                stored: Vec::new(),
                uncharged: AHashSet::new(),
            }),
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
            self.shared.renew(&mut sources);
            if self.shared.ring.load().counts_tokens() {
                // Not here, as it takes its time; meanwhile bytes are counted.
                std::thread::spawn(estimate::load);
            }
        }
    }

    /// Takes the kept keys anew, after a change of our own. Blocks.
    pub fn refresh(&self) -> Result<(), Unkept> {
        self.shared.refresh(&mut self.shared.store.lock())
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
    fn refresh(&self, held: &mut Option<Open>) -> Result<(), Unkept> {
        if !Store::is_there(&self.ledger) {
            return Ok(());
        }
        // Closed where it cannot be read: versions count from anew on each connection.
        let (open, stored) = match held.take().map(|open| Open::read(open.store)) {
            Some(Ok(read)) => read,
            // The connection may be one that was lost; the store may still be there.
            Some(Err(_)) | None => Open::read(Store::open(&self.ledger)?)?,
        };
        if self.ledger.url.is_some() && open.store.secret() != self.secret {
            return Err(Unkept::OtherSecret);
        }
        *held = Some(open);
        self.take(stored, held);
        Ok(())
    }

    /// From now on these are the kept keys.
    fn take(&self, stored: Vec<Stored>, held: &mut Option<Open>) {
        let copied = self.ledger.together().map(|(folder, _)| (folder, stored.clone()));
        let mut sources = self.sources.lock();
        sources.stored = stored;
        self.renew(&mut sources);
        drop(sources);
        if self.ring.load().counts_tokens() {
            estimate::load();
        }
        let Some(open) = held else { return };
        if let Some((folder, stored)) = copied
            && let Err(wrong) = copy::write(folder, &self.secret, &stored)
        {
            tracing::error!("no copy of the fleet's keys is kept: {wrong}; a start needs the database");
        }
        self.charge(&mut open.store).unwrap_or_else(|wrong| {
            tracing::error!("what keys have spent at other replicas is not known yet: {wrong}");
        });
    }

    /// A new ring.
    fn renew(&self, sources: &mut Sources) {
        let before = self.ring.load_full();
        let ring = Ring::new(&self.secret, &sources.config, sources.stored.clone(), &before);
        let known: AHashSet<&str> = before.keys().iter().map(|key| &*key.id).collect();
        let fresh: Vec<&Arc<Key>> = ring.keys().iter().filter(|key| !known.contains(&*key.id)).collect();
        self.recall(&fresh);
        if self.spent == Spent::All {
            sources.uncharged.extend(fresh.iter().map(|key| key.id.to_string()));
        }
        self.ring.store(Arc::new(ring));
    }

    /// What keys that were not there before have spent already, by the replica's own ledger.
    fn recall(&self, fresh: &[&Arc<Key>]) {
        if fresh.is_empty() {
            return;
        }
        let fresh: AHashMap<&str, &Arc<Key>> = fresh.iter().map(|key| (&*key.id, *key)).collect();
        for ((id, day), usd) in self.own_charges() {
            if let Some(key) = fresh.get(&*id) {
                key.meter.recall(day, usd, self.clock.now());
            }
        }
    }

    /// What keys have spent elsewhere, by the books of all less our own; asked for once a key.
    fn charge(&self, store: &mut Store) -> Result<(), Unkept> {
        let ids: Vec<String> = self.sources.lock().uncharged.iter().cloned().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let charges = store.charges(&ids)?;
        // Read after those: rows of ours that go over meanwhile must not count twice.
        let (own, ring) = (self.own_charges(), self.ring.load());
        let keys: AHashMap<&str, &Arc<Key>> = ring.keys().iter().map(|key| (&*key.id, key)).collect();
        for Charge { key: id, day, usd } in charges {
            let Some(key) = keys.get(&*id) else { continue };
            let ours = own.get(&(id, day)).copied().unwrap_or_default();
            key.meter.recall(day, NanoUsd(usd.0.saturating_sub(ours.0)), self.clock.now());
        }
        let mut sources = self.sources.lock();
        for id in &ids {
            sources.uncharged.remove(id);
        }
        Ok(())
    }

    fn own_charges(&self) -> AHashMap<(String, u64), NanoUsd> {
        let Some(folder) = &self.ledger.path else { return AHashMap::new() };
        let own = ledger::charges(folder).unwrap_or_else(|wrong| {
            tracing::error!("what keys have spent so far is not known: {wrong}");
            Vec::new()
        });
        own.into_iter().map(|Charge { key, day, usd }| ((key, day), usd)).collect()
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
            return self.charge(&mut open.store);
        }
        self.refresh(&mut held)
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
            sources: Mutex::new(Sources {
                config: Keys::default(),
                stored: Vec::new(),
                uncharged: AHashSet::new(),
            }),
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
