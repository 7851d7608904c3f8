//! The keys' file: SQLite, beside the ledger of one process.

use super::store::{Added, Place, Stored, Unkept, signed, unsigned};
use crate::accounts::ledger::Charge;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, params};
use std::path::Path;
use std::time::Duration;

const FILE: &str = "keys.sqlite";
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

pub struct File {
    connection: Connection,
}

impl File {
    /// Opens the keys in `folder`, and makes the file where it is absent.
    pub fn open(folder: &Path) -> Result<File, Unkept> {
        let mut connection = Connection::open(folder.join(FILE))?;
        connection.busy_timeout(Duration::from_secs(2))?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        let making = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        match making.query_row("PRAGMA user_version", [], |row| row.get(0))? {
            VERSION => {}
            0 => {
                making.execute_batch(SCHEMA)?;
                making.pragma_update(None, "user_version", VERSION)?;
            }
            other => return Err(Unkept::Version(other)),
        }
        making.commit()?;
        Ok(File { connection })
    }

    /// Whether there are keys in `folder` at all.
    pub fn is_there(folder: &Path) -> bool {
        folder.join(FILE).is_file()
    }
}

impl Place for File {
    fn version(&mut self) -> Result<i64, Unkept> {
        Ok(self.connection.query_row("PRAGMA data_version", [], |row| row.get(0))?)
    }

    fn all(&mut self) -> Result<Vec<Stored>, Unkept> {
        let mut asked =
            self.connection.prepare(&format!("SELECT {COLUMNS} FROM key ORDER BY created, id"))?;
        let rows = asked.query_map([], raw)?;
        rows.map(|row| stored(row?)).collect()
    }

    fn add(&mut self, key: &Stored) -> Result<Added, Unkept> {
        let made = self.connection.execute(
            "INSERT INTO key (id, name, hash, created, expires, disabled, settings) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                key.id,
                key.grant.name,
                key.hash.as_bytes(),
                signed(key.created),
                key.expires.map(signed),
                key.disabled,
                key.settings()?
            ],
        );
        match made {
            Ok(_) => Ok(Added::Yes),
            Err(wrong) if wrong.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                Ok(Added::NameTaken)
            }
            Err(wrong) => Err(wrong.into()),
        }
    }

    fn change(&mut self, word: &str, change: &mut dyn FnMut(&mut Stored)) -> Result<(), Unkept> {
        let step = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let asked =
            format!("SELECT {COLUMNS} FROM key WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC LIMIT 1");
        let found = step.query_row(&asked, [word], raw).optional()?;
        let mut key = stored(found.ok_or_else(|| Unkept::Unknown(word.to_owned()))?)?;
        change(&mut key);
        let (old, until) = key.old.unzip();
        step.execute(
            "UPDATE key SET hash = ?, old_hash = ?, old_until = ?, expires = ?, disabled = ? WHERE id = ?",
            params![
                key.hash.as_bytes(),
                old.map(|old| *old.as_bytes()),
                until.map(signed),
                key.expires.map(signed),
                key.disabled,
                key.id
            ],
        )?;
        Ok(step.commit()?)
    }

    fn charges(&mut self, _: &[String]) -> Result<Vec<Charge>, Unkept> {
        Ok(Vec::new())
    }
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
    let grant = Stored::grant(&id, &settings)?;
    let old = old_hash.zip(old_until).map(|(hash, until)| (blake3::Hash::from_bytes(hash), unsigned(until)));
    let hash = blake3::Hash::from_bytes(hash);
    let (created, expires) = (unsigned(created), expires.map(unsigned));
    Ok(Stored { id, hash, old, created, expires, disabled, grant })
}
