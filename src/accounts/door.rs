//! The door: the ring of keys as it is now, kept up with the config and with the keys' file.

use super::caller::Callers;
use super::keys::store::{Store, Unkept};
use super::keys::{Admitted, Key, Ring};
use super::ledger;
use crate::base::clock::Clock;
use crate::base::fault::{Fault, Kind};
use crate::config::keys::Keys;
use ahash::{AHashMap, AHashSet};
use arc_swap::ArcSwap;
use http::HeaderMap;
use parking_lot::{Condvar, Mutex};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Between two looks at the keys' file: a key that another process disables stops within this.
const LOOK: Duration = Duration::from_millis(250);
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
    folder: Option<PathBuf>,
    clock: Clock,
    ring: ArcSwap<Ring>,
    /// Held while a new ring is made, so that two do not cross.
    sources: Mutex<Sources>,
    closing: Mutex<bool>,
    wake: Condvar,
}

/// What the ring is made of.
struct Sources {
    config: Keys,
    /// The keys' file, once it is there, and its version when it was read last.
    file: Option<(Store, i64)>,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources")
    }
}

impl Door {
    /// Reads the keys, and starts to watch their file.
    ///
    /// # Errors
    /// The file is there and cannot be read: without it nobody could be told from anybody else.
    pub fn open(
        secret: [u8; 32],
        folder: Option<PathBuf>,
        config: &Keys,
        callers: Arc<Callers>,
        clock: Clock,
    ) -> Result<Door, Unkept> {
        let shared = Arc::new(Shared {
            secret,
            folder,
            clock,
            ring: ArcSwap::default(),
            sources: Mutex::new(Sources { config: config.clone(), file: None }),
            closing: Mutex::new(false),
            wake: Condvar::new(),
        });
        shared.refresh(None)?;
        if shared.folder.is_some() {
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
        if self.shared.sources.lock().config != *config
            && let Err(wrong) = self.shared.refresh(Some(config))
        {
            tracing::error!("the keys stay as they were: {wrong}");
        }
    }

    /// Takes the file's keys anew, after a change of our own.
    pub fn refresh(&self) -> Result<(), Unkept> {
        self.shared.refresh(None)
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
    fn refresh(&self, new: Option<&Keys>) -> Result<(), Unkept> {
        let mut sources = self.sources.lock();
        // Closed where it cannot be read: versions count from anew on each connection.
        let open = sources.file.take();
        let stored = match self.there() {
            Some(folder) => {
                let store = open.map_or_else(|| Store::open(folder), |(store, _)| Ok(store))?;
                // Before its keys: what changes while they are read is seen at the next look.
                let version = store.version()?;
                let stored = store.all()?;
                sources.file = Some((store, version));
                stored
            }
            None => Vec::new(),
        };
        if let Some(new) = new {
            sources.config = new.clone();
        }
        let before = self.ring.load_full();
        let ring = Ring::new(&self.secret, &sources.config, stored, &before);
        if let Some(folder) = &self.folder {
            self.recall(folder, &ring, &before);
        }
        self.ring.store(Arc::new(ring));
        Ok(())
    }

    /// What keys that were not there before have spent already, by the ledger.
    fn recall(&self, folder: &Path, ring: &Ring, before: &Ring) {
        let known: AHashSet<&str> = before.keys().iter().map(|key| &*key.id).collect();
        let fresh = ring.keys().iter().filter(|key| !known.contains(&*key.id));
        let fresh: AHashMap<&str, &Arc<Key>> = fresh.map(|key| (&*key.id, key)).collect();
        if fresh.is_empty() {
            return;
        }
        match ledger::charges(folder) {
            Ok(charges) => {
                for charge in charges {
                    if let Some(key) = fresh.get(&*charge.key) {
                        key.meter.recall(charge.day, charge.usd, self.clock.now());
                    }
                }
            }
            Err(wrong) => tracing::error!("what keys have spent so far is not known: {wrong}"),
        }
    }

    /// The keys' folder, where the file is in it.
    fn there(&self) -> Option<&Path> {
        self.folder.as_deref().filter(|folder| Store::is_there(folder))
    }

    /// Looks at the file until the door closes.
    fn watch(&self) {
        let mut troubled = false;
        loop {
            {
                let mut closing = self.closing.lock();
                if !*closing {
                    self.wake.wait_for(&mut closing, LOOK);
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

    /// Takes the file's keys anew where another process has changed it.
    fn look(&self) -> Result<(), Unkept> {
        let seen = match &self.sources.lock().file {
            Some((store, seen)) => store.version().is_ok_and(|version| version == *seen),
            None => false,
        };
        match seen || self.there().is_none() {
            true => Ok(()),
            false => self.refresh(None),
        }
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
        let mut other = Store::open(folder.path()).unwrap();
        let grant = Grant { name: "a".to_owned(), ..Grant::default() };
        let fresh = other.create(&grant, None, 0).unwrap();
        let secret = crate::accounts::secret(folder.path()).unwrap();
        let shared = Shared {
            secret,
            folder: Some(folder.path().to_owned()),
            clock: Clock::start(),
            ring: ArcSwap::default(),
            sources: Mutex::new(Sources { config: Keys::default(), file: None }),
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
