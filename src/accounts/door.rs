//! The door: the ring of keys as it is now, kept up with the config and with the keys' file.

use super::caller::Callers;
use super::keys::store::{Store, Unkept};
use super::keys::{Admitted, Ring};
use super::ledger;
use crate::base::clock::Clock;
use crate::base::fault::{Fault, Kind};
use crate::config::keys::Keys;
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
    /// The config's part; held while a new ring is made, so that two do not cross.
    config: Mutex<Keys>,
    closing: Mutex<bool>,
    wake: Condvar,
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
            config: Mutex::new(config.clone()),
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
        if *self.shared.config.lock() != *config
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
        let mut config = self.config.lock();
        let stored = match self.folder.as_deref().filter(|folder| Store::is_there(folder)) {
            Some(folder) => Store::open(folder)?.all()?,
            None => Vec::new(),
        };
        if let Some(new) = new {
            *config = new.clone();
        }
        let before = self.ring.load_full();
        let ring = Ring::new(&self.secret, &config, stored, &before);
        if let Some(folder) = &self.folder {
            self.recall(folder, &ring, &before);
        }
        self.ring.store(Arc::new(ring));
        Ok(())
    }

    /// What keys that were not there before have spent already, by the ledger.
    fn recall(&self, folder: &Path, ring: &Ring, before: &Ring) {
        let known = |id: &str| before.keys().iter().any(|key| *key.id == *id);
        let mut fresh = ring.keys().iter().filter(|key| !known(&key.id)).peekable();
        if fresh.peek().is_none() {
            return;
        }
        match ledger::charges(folder) {
            Ok(charges) => {
                for key in fresh {
                    let own = charges.iter().filter(|charge| *charge.key == *key.id);
                    own.for_each(|charge| key.meter.recall(charge.day, charge.usd, self.clock.now()));
                }
            }
            Err(wrong) => tracing::error!("what keys have spent so far is not known: {wrong}"),
        }
    }

    /// Looks at the file until the door closes.
    fn watch(&self) {
        let (mut store, mut seen, mut troubled) = (None, None, false);
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
            match self.look(&mut store, &mut seen) {
                Ok(()) => troubled = false,
                Err(wrong) => {
                    store = None;
                    if !std::mem::replace(&mut troubled, true) {
                        tracing::error!("the keys stay as they were: {wrong}");
                    }
                }
            }
        }
    }

    fn look(&self, store: &mut Option<Store>, seen: &mut Option<i64>) -> Result<(), Unkept> {
        let Some(folder) = self.folder.as_deref().filter(|folder| Store::is_there(folder)) else {
            return Ok(());
        };
        let open = match store {
            Some(open) => open,
            none => none.insert(Store::open(folder)?),
        };
        let version = open.version()?;
        if *seen != Some(version) {
            self.refresh(None)?;
            *seen = Some(version);
        }
        Ok(())
    }
}
