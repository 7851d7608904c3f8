//! The keys' file, and changes to it: by the command line, or by the admin side.
//!
//! A key is `rpk-`, its id, a dash and 256 bits; it is shown once, when it is made, and kept as a keyed
//! hash only. Whoever has the file but not the secret beside it can neither use nor test a key.

use super::ring::{self, PREFIX};
use crate::config::keys::Grant;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const FILE: &str = "keys.sqlite";
const VERSION: i64 = 1;
const SCHEMA: &str = "
CREATE TABLE key (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL,
  old_hash BLOB,
  old_until INTEGER,
  created INTEGER NOT NULL,
  expires INTEGER,
  disabled INTEGER NOT NULL DEFAULT 0,
  settings TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";
const COLUMNS: &str = "id, hash, old_hash, old_until, created, expires, disabled, settings";

/// Why the keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Unkept {
    #[error("there is no key {0}; `reprise keys list` shows those that are there")]
    Unknown(String),
    #[error("a key named \"{0}\" is there already; choose another name, or rotate that one")]
    Taken(String),
    #[error(
        "the keys' file has version {0}, and this program reads {VERSION}; use the program that wrote it"
    )]
    Version(i64),
    #[error("the keys' folder {0} cannot be used: {1}; set ledger.path to one that can")]
    Folder(PathBuf, std::io::Error),
    #[error("the keys' file cannot be used: {0}; is ledger.path right, and may this user write there?")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the settings of key {0} cannot be read: {1}; use the program that wrote them")]
    Settings(String, serde_json::Error),
    #[error("no key can be kept, as ledger.path is \"\"; set it to a folder")]
    Nowhere,
}

/// A key as it lies in the file.
#[derive(Clone, Debug)]
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

pub struct Store {
    connection: Connection,
    secret: [u8; 32],
}

impl Store {
    /// Opens the keys in `folder`, and makes the file where it is absent.
    pub fn open(folder: &Path) -> Result<Store, Unkept> {
        let secret =
            crate::accounts::secret(folder).map_err(|wrong| Unkept::Folder(folder.to_owned(), wrong))?;
        let mut connection = Connection::open(folder.join(FILE))?;
        connection.busy_timeout(Duration::from_secs(2))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        let making = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        match making.query_row("PRAGMA user_version", [], |row| row.get(0))? {
            VERSION => {}
            0 => {
                making.execute_batch(SCHEMA)?;
                making.pragma_update(None, "user_version", VERSION)?;
            }
            other => return Err(Unkept::Version(other)),
        }
        making.commit()?;
        Ok(Store { connection, secret })
    }

    /// Whether there are keys in `folder` at all.
    pub fn is_there(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }

    /// A number that changes when another connection changes the file.
    pub fn version(&self) -> Result<i64, Unkept> {
        Ok(self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?)
    }

    pub fn all(&self) -> Result<Vec<Stored>, Unkept> {
        let mut asked =
            self.connection.prepare(&format!("SELECT {COLUMNS} FROM key ORDER BY created, id"))?;
        let rows = asked.query_map([], raw)?;
        rows.map(|row| stored(row?)).collect()
    }

    pub fn create(&mut self, grant: &Grant, expires: Option<u64>, now: u64) -> Result<Fresh, Unkept> {
        let id = random(5);
        let (text, hash) = self.mint(&id);
        let settings = serde_json::to_string(grant).map_err(|wrong| Unkept::Settings(id.clone(), wrong))?;
        let made = self.connection.execute(
            "INSERT INTO key (id, name, hash, created, expires, settings) VALUES (?, ?, ?, ?, ?, ?)",
            params![id, grant.name, hash.as_bytes(), signed(now), expires.map(signed), settings],
        );
        match made {
            Ok(_) => Ok(Fresh { id, text }),
            Err(wrong) if wrong.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                Err(Unkept::Taken(grant.name.clone()))
            }
            Err(wrong) => Err(wrong.into()),
        }
    }

    /// A new secret for a key; the one before opens until `until`.
    pub fn rotate(&mut self, id: &str, until: u64) -> Result<Fresh, Unkept> {
        let id = self.id_of(id)?;
        let (text, hash) = self.mint(&id);
        let change = "UPDATE key SET old_hash = hash, old_until = ?, hash = ? WHERE id = ?";
        self.connection.execute(change, params![signed(until), hash.as_bytes(), id])?;
        Ok(Fresh { id, text })
    }

    pub fn set_disabled(&mut self, id: &str, disabled: bool) -> Result<(), Unkept> {
        let id = self.id_of(id)?;
        self.connection.execute("UPDATE key SET disabled = ? WHERE id = ?", params![disabled, id])?;
        Ok(())
    }

    /// `None`: never.
    pub fn set_expiry(&mut self, id: &str, at: Option<u64>) -> Result<(), Unkept> {
        let id = self.id_of(id)?;
        self.connection.execute("UPDATE key SET expires = ? WHERE id = ?", params![at.map(signed), id])?;
        Ok(())
    }

    /// Of an id or a name.
    fn id_of(&self, word: &str) -> Result<String, Unkept> {
        let asked = "SELECT id FROM key WHERE id = ? OR name = ? ORDER BY id = ? DESC";
        let found =
            self.connection.query_row(asked, params![word, word, word], |row| row.get(0)).optional()?;
        found.ok_or_else(|| Unkept::Unknown(word.to_owned()))
    }

    fn mint(&self, id: &str) -> (String, blake3::Hash) {
        let text = format!("{PREFIX}{id}-{}", random(32));
        let hash = ring::hash(&self.secret, text.as_bytes());
        (text, hash)
    }
}

/// So many random bytes in hex.
fn random(bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rand::random::<u8>())).collect()
}

type Raw = (String, [u8; 32], Option<[u8; 32]>, Option<i64>, i64, Option<i64>, bool, String);

fn raw(row: &Row<'_>) -> rusqlite::Result<Raw> {
    Ok((
        row.get(0)?,
        row.get(1)?,
        row.get(2)?,
        row.get(3)?,
        row.get(4)?,
        row.get(5)?,
        row.get(6)?,
        row.get(7)?,
    ))
}

fn stored(
    (id, hash, old_hash, old_until, created, expires, disabled, settings): Raw,
) -> Result<Stored, Unkept> {
    let grant = serde_json::from_str(&settings).map_err(|wrong| Unkept::Settings(id.clone(), wrong))?;
    let old = old_hash.zip(old_until).map(|(hash, until)| (blake3::Hash::from_bytes(hash), unsigned(until)));
    let hash = blake3::Hash::from_bytes(hash);
    let (created, expires) = (unsigned(created), expires.map(unsigned));
    Ok(Stored { id, hash, old, created, expires, disabled, grant })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
