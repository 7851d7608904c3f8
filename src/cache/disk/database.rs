//! The file, an SQLite database: SQL and nothing else. Bodies are the codec's bytes; what they hold is
//! not known here. An entry's row is found by the first 64 bits of its exact key; of two keys that share
//! them the later one stays (`codec::decode_for` tells them apart).
//!
//! Write-ahead log, `synchronous = NORMAL`: what `write` has returned from survives the process; the machine only
//! once it is `settle`d, which folds the log back. At a thousand pages (16 MiB) a write does that itself.

use crate::base::clock::Millis;
use crate::base::digest::ExactKey;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What stands in the file's header, so that another program's database is not taken for ours: "RPSE".
const APPLICATION: i64 = 0x5250_5345;
/// Rows of several KiB fit several to a page, with little waste.
const PRAGMAS: &str = "
    PRAGMA page_size = 16384;
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = 1000;
    PRAGMA journal_size_limit = 16777216;
    PRAGMA cache_size = -8192;
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA temp_store = MEMORY;
";
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS entries (
        id INTEGER PRIMARY KEY,
        hash INTEGER NOT NULL UNIQUE,
        expires INTEGER NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS by_expiry ON entries (expires);
";

/// The first 64 bits of an exact key.
pub type Hash = i64;
/// Where a row stands in the order of writing.
pub type RowId = i64;

pub fn hash(key: &ExactKey) -> Hash {
    let [a, b, c, d, e, f, g, h, ..] = key.0;
    Hash::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What went wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It is damaged, or not ours.
    #[error("the file is damaged or not a store: {0}")]
    Broken(String),
    /// It cannot be read or written now: no space, no permission, a device error.
    #[error("{0}")]
    Unavailable(String),
}

impl Trouble {
    /// The metric label.
    pub fn word(&self) -> &'static str {
        match self {
            Trouble::Broken(_) => "broken",
            Trouble::Unavailable(_) => "unavailable",
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Trouble {
        let damaged = [
            ErrorCode::DatabaseCorrupt,
            ErrorCode::NotADatabase,
            ErrorCode::SchemaChanged,
            ErrorCode::TypeMismatch,
            ErrorCode::Unknown,
            ErrorCode::ConstraintViolation,
        ];
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Trouble::Unavailable("the disk is full, make room".to_owned()),
            Some(code) if !damaged.contains(&code) => Trouble::Unavailable(text),
            _ => Trouble::Broken(text),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Unavailable(error.to_string())
    }
}

/// A row as it is written.
pub struct Row {
    pub hash: Hash,
    pub expires: Millis,
    pub body: Vec<u8>,
}

/// A row as it is found.
pub struct Found {
    pub id: RowId,
    pub hash: Hash,
    pub body: Vec<u8>,
}

/// One connection.
pub struct Database {
    connection: Connection,
}

impl Database {
    /// Creates the file where it is missing, readable by its owner only.
    pub fn open(path: &Path) -> Result<Database, Trouble> {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(2))?;
        let of = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (application, tables) = (of("application_id")?, of("schema_version")?);
        if application != APPLICATION && (application, tables) != (0, 0) {
            return Err(Trouble::Broken("another program's database".to_owned()));
        }
        connection.execute_batch(PRAGMAS)?;
        if application != APPLICATION {
            connection.pragma_update(None, "application_id", APPLICATION)?;
        }
        connection.execute_batch(SCHEMA)?;
        Ok(Database { connection })
    }

    /// All or nothing; on return it is with the system, and on the disk once it is settled.
    pub fn write(&mut self, rows: &[Row], gone: &[Hash]) -> Result<(), Trouble> {
        let transaction = self.connection.transaction()?;
        {
            let mut remove = transaction.prepare_cached("DELETE FROM entries WHERE hash = ?1")?;
            for hash in gone {
                remove.execute([hash])?;
            }
            let put = "INSERT OR REPLACE INTO entries (hash, expires, body) VALUES (?1, ?2, ?3)";
            let mut put = transaction.prepare_cached(put)?;
            for Row { hash, expires, body } in rows {
                put.execute(params![hash, clamped(*expires), body])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Brings what was written onto the disk: one or two fsyncs. Does not hold up whoever writes meanwhile.
    pub fn settle(&self) -> Result<(), Trouble> {
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
    }

    pub fn get(&self, hash: Hash) -> Result<Option<Vec<u8>>, Trouble> {
        let mut one = self.connection.prepare_cached("SELECT body FROM entries WHERE hash = ?1")?;
        Ok(one.query_row([hash], |row| row.get(0)).optional()?)
    }

    /// Up to `most` rows written before `before`, the newest first.
    pub fn newest(&self, before: RowId, most: usize) -> Result<Vec<Found>, Trouble> {
        let text = "SELECT id, hash, body FROM entries WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
        let mut rows = self.connection.prepare_cached(text)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let found = rows.query_map([before, most], |row| {
            Ok(Found { id: row.get(0)?, hash: row.get(1)?, body: row.get(2)? })
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Of all rows; reads an index, not the bodies.
    pub fn hashes(&self) -> Result<Vec<Hash>, Trouble> {
        let mut all =
            self.connection.prepare("SELECT hash FROM entries INDEXED BY sqlite_autoindex_entries_1")?;
        let found = all.query_map([], |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Takes out up to `most` rows that have expired, and says which.
    pub fn expire(&mut self, now: Millis, most: usize) -> Result<Vec<Hash>, Trouble> {
        let text = "DELETE FROM entries WHERE id IN
            (SELECT id FROM entries WHERE expires <= ?1 ORDER BY expires LIMIT ?2) RETURNING hash";
        self.delete(text, clamped(now), most)
    }

    /// Takes out up to `most` rows, the oldest first, and says which.
    pub fn drop_oldest(&mut self, most: usize) -> Result<Vec<Hash>, Trouble> {
        let text = "DELETE FROM entries WHERE id IN
            (SELECT id FROM entries WHERE id > ?1 ORDER BY id LIMIT ?2) RETURNING hash";
        self.delete(text, i64::MIN, most)
    }

    fn delete(&mut self, text: &str, bound: i64, most: usize) -> Result<Vec<Hash>, Trouble> {
        let mut delete = self.connection.prepare_cached(text)?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let found = delete.query_map([bound, most], |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Bytes of the file that are in use.
    pub fn bytes(&self) -> Result<u64, Trouble> {
        let of = |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let pages = of("page_count")?.saturating_sub(of("freelist_count")?);
        Ok(u64::try_from(pages.saturating_mul(of("page_size")?)).unwrap_or(0))
    }

    /// Gives up to 16 MiB of free pages back to the file system, where a quarter of the file is free.
    pub fn shrink(&self) -> Result<(), Trouble> {
        let of = |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if of("freelist_count")?.saturating_mul(4) > of("page_count")? {
            self.connection.execute_batch("PRAGMA incremental_vacuum(1024)")?;
        }
        Ok(())
    }
}

/// SQLite's integers have a sign.
fn clamped(time: Millis) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// The file of this version. A later layout has another name, so that going back finds its own.
pub const FILE: &str = "entries-1.db";

/// Puts a file that cannot be used aside, with its log, in place of one put aside before.
pub fn put_aside(folder: &Path) -> io::Result<()> {
    for end in ["", "-wal", "-shm"] {
        let from = folder.join(format!("{FILE}{end}"));
        match std::fs::rename(&from, folder.join(format!("{FILE}.broken{end}"))) {
            Err(wrong) if wrong.kind() != io::ErrorKind::NotFound => return Err(wrong),
            _ => {}
        }
    }
    Ok(())
}
