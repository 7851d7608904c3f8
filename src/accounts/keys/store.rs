//! The keys that are kept, and changes to them: by the command line, or by the admin side.
//!
//! A key is `rpk-`, its id, a dash and 256 bits; it is shown once, when it is made, and kept as a keyed
//! hash only. Whoever has the keys but not the secret can neither use nor test one.

use super::file::File;
use super::ring::{self, PREFIX};
use crate::accounts::ledger::Charge;
use crate::accounts::postgres;
use crate::config::accounts::Ledger;
use crate::config::keys::Grant;
use std::path::{Path, PathBuf};

/// Why the keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Unkept {
    #[error("there is no key {0}; `reprise keys list` shows those that are there")]
    Unknown(String),
    #[error("a key named \"{0}\" is there already; choose another name, or rotate that one")]
    Taken(String),
    #[error("the keys' file has version {0}, and this program reads another; use the program that wrote it")]
    Version(i64),
    #[error("the keys' folder {0} cannot be used: {1}; set ledger.path to one that can")]
    Folder(PathBuf, std::io::Error),
    #[error("the keys' file cannot be used: {0}; is ledger.path right, and may this user write there?")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the settings of key {0} cannot be read: {1}; use the program that wrote them")]
    Settings(String, serde_json::Error),
    #[error("no key can be kept, as ledger.path is \"\"; set it to a folder")]
    Nowhere,
    #[error("the keys of the fleet cannot be had: {0}")]
    Postgres(#[from] postgres::Trouble),
    #[error("the keys' hashes cannot be read; restore the table reprise_key")]
    Hash,
    #[error("the fleet's secret is another than at the start, so no key can be told; restart this replica")]
    OtherSecret,
    #[error(
        "the database of ledger.url is another fleet's, or was made anew by somebody without its keys, than the one \
         that keys.copy in {0} was seen in; to fill it from there drop its tables reprise_*, to join it remove keys.copy"
    )]
    OtherFleet(PathBuf),
}

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub id: String,
    pub hash: blake3::Hash,
    /// The secret before the last rotation, and until when it still opens (milliseconds since the epoch).
    pub old: Option<(blake3::Hash, u64)>,
    pub created: u64,
    pub expires: Option<u64>,
    pub disabled: bool,
    pub grant: Grant,
}

/// A key that was made just now: the only time that its text is there.
pub struct Fresh {
    pub id: String,
    pub text: String,
}

/// Whether a key could be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    Yes,
    NameTaken,
}

/// Where keys are kept: a file, or the database of a fleet. Blocks: off the async threads.
pub trait Place: Send {
    /// A number that changes when somebody else changes a key.
    fn version(&mut self) -> Result<i64, Unkept>;
    /// By age.
    fn all(&mut self) -> Result<Vec<Stored>, Unkept>;
    fn add(&mut self, key: &Stored) -> Result<Added, Unkept>;
    /// Changes the key of an id or a name, as one step.
    fn change(&mut self, word: &str, change: &mut dyn FnMut(&mut Stored)) -> Result<(), Unkept>;
    /// What keys of these ids were charged by all who keep their books here too; a file is one process's.
    fn charges(&mut self, ids: &[String]) -> Result<Vec<Charge>, Unkept>;
}

pub struct Store {
    place: Box<dyn Place>,
    secret: [u8; 32],
}

impl Store {
    /// Opens the keys of the fleet where `ledger.url` is set, else those of the folder, and makes what is absent.
    pub fn open(ledger: &Ledger) -> Result<Store, Unkept> {
        let folder = ledger.path.as_deref().ok_or(Unkept::Nowhere)?;
        let Some(database) = &ledger.url else { return Store::in_folder(folder) };
        let session = postgres::Session::open(database, folder)?;
        Store::of_fleet(session)
    }

    /// Opens keys that are there, and makes nothing: for who only reads them.
    pub fn look(ledger: &Ledger) -> Result<Store, Unkept> {
        match &ledger.url {
            Some(database) => Store::of_fleet(postgres::Session::to_read(database)?),
            None => Store::open(ledger),
        }
    }

    fn of_fleet(mut session: postgres::Session) -> Result<Store, Unkept> {
        let secret = session.secret()?;
        Ok(Store { place: Box::new(session), secret })
    }

    /// Opens the keys in `folder`, and makes the file where it is absent.
    pub fn in_folder(folder: &Path) -> Result<Store, Unkept> {
        let secret = own_secret(folder)?;
        Ok(Store { place: Box::new(File::open(folder)?), secret })
    }

    /// The keys of the folder's own file, if it is there.
    pub fn left_in(folder: &Path) -> Result<Vec<Stored>, Unkept> {
        if File::is_there(folder) { File::open(folder)?.all() } else { Ok(Vec::new()) }
    }

    /// Whether there are keys to open: a database always, a file where it has been made.
    pub fn is_there(ledger: &Ledger) -> bool {
        ledger.url.is_some() || ledger.path.as_deref().is_some_and(File::is_there)
    }

    /// What the hashes are keyed with.
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// A number that changes when somebody else changes a key.
    pub fn version(&mut self) -> Result<i64, Unkept> {
        self.place.version()
    }

    pub fn all(&mut self) -> Result<Vec<Stored>, Unkept> {
        self.place.all()
    }

    /// What keys of these ids were charged so far, by all who keep their books here too.
    pub fn charges(&mut self, ids: &[String]) -> Result<Vec<Charge>, Unkept> {
        self.place.charges(ids)
    }

    pub fn create(&mut self, grant: &Grant, expires: Option<u64>, now: u64) -> Result<Fresh, Unkept> {
        let id = random(5);
        let (text, hash) = mint(&self.secret, &id);
        let (grant, id, created) = (grant.clone(), id, now);
        let key = Stored { id, hash, old: None, created, expires, disabled: false, grant };
        match self.place.add(&key)? {
            Added::Yes => Ok(Fresh { id: key.id, text }),
            Added::NameTaken => Err(Unkept::Taken(key.grant.name)),
        }
    }

    /// A new secret for a key; the one before opens until `until`.
    pub fn rotate(&mut self, id: &str, until: u64) -> Result<Fresh, Unkept> {
        let (mut fresh, secret) = (None, self.secret);
        self.place.change(id, &mut |key| {
            let (text, hash) = mint(&secret, &key.id);
            key.old = Some((std::mem::replace(&mut key.hash, hash), until));
            fresh = Some(Fresh { id: key.id.clone(), text });
        })?;
        fresh.ok_or_else(|| Unkept::Unknown(id.to_owned()))
    }

    pub fn set_disabled(&mut self, id: &str, disabled: bool) -> Result<(), Unkept> {
        self.place.change(id, &mut |key| key.disabled = disabled)
    }

    /// `None`: never.
    pub fn set_expiry(&mut self, id: &str, at: Option<u64>) -> Result<(), Unkept> {
        self.place.change(id, &mut |key| key.expires = at)
    }
}

pub fn own_secret(folder: &Path) -> Result<[u8; 32], Unkept> {
    crate::accounts::secret(folder).map_err(|wrong| Unkept::Folder(folder.to_owned(), wrong))
}

fn mint(secret: &[u8; 32], id: &str) -> (String, blake3::Hash) {
    let text = format!("{PREFIX}{id}-{}", random(32));
    let hash = ring::hash(secret, text.as_bytes());
    (text, hash)
}

/// So many random bytes in hex.
fn random(bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rand::random::<u8>())).collect()
}

impl Stored {
    /// As the columns of a table: settings as JSON.
    pub fn settings(&self) -> Result<String, Unkept> {
        serde_json::to_string(&self.grant).map_err(|wrong| Unkept::Settings(self.id.clone(), wrong))
    }

    /// The settings of key `id`, read back.
    pub fn grant(id: &str, settings: &str) -> Result<Grant, Unkept> {
        serde_json::from_str(settings).map_err(|wrong| Unkept::Settings(id.to_owned(), wrong))
    }
}

pub fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
