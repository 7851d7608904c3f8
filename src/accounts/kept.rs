//! The keys at the start, of a file or of a fleet.

use super::keys::store::{Store, Stored, Unkept};
use super::postgres::copy;
use crate::config::accounts::Ledger;
use std::fmt;

/// Where keys are kept, and its version when it was read last.
pub struct Open {
    pub store: Store,
    pub seen: i64,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open at {}", self.seen)
    }
}

/// By which books a key's budgets go on after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// By this replica's own: what the others spent they tell themselves.
    Own,
    /// By all that lie where the keys do.
    All,
}

/// The keys at the start, and what they are hashed with.
pub struct Kept {
    pub secret: [u8; 32],
    pub stored: Vec<Stored>,
    pub open: Option<Open>,
}

impl Kept {
    /// Reads the keys of the folder, or of the fleet. While the fleet's database is away those count that were seen
    /// there last. Blocks; each step that the database is asked for takes five seconds at most.
    ///
    /// # Errors
    /// Keys are there and cannot be read: without them nobody could be told from anybody else.
    pub fn read(ledger: &Ledger) -> Result<Kept, Unkept> {
        let Some((folder, _)) = ledger.together() else {
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
                // A copy that cannot be read is no reason: it is written anew.
                if let Ok(Some((secret, _))) = copy::read(folder)
                    && secret != open.store.secret()
                {
                    return Err(Unkept::OtherFleet(folder.to_owned()));
                }
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
    pub fn read(mut store: Store) -> Result<(Open, Vec<Stored>), Unkept> {
        // Before its keys: what changes while they are read is seen at the next look.
        let seen = store.version()?;
        let stored = store.all()?;
        Ok((Open { store, seen }, stored))
    }
}
