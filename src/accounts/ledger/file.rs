//! The ledger's file: SQLite, written by one connection in batches, read by any number of others.
//!
//! WAL with `synchronous = NORMAL`: a process that is killed loses nothing that was committed; a machine
//! that loses its power may lose the last batches, never the file.

use super::writer::Names;
use crate::accounts::keys::period;
use crate::accounts::postgres::Trouble;
use crate::accounts::row::{Amount, Payer, Row, Tag};
use crate::base::money::NanoUsd;
use ahash::AHashMap;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Its name in the folder.
pub const FILE: &str = "ledger.sqlite";
const VERSION: i64 = 2;
/// Another process may be at it, for instance a backup.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rows that one sweep deletes.
const PIECE: i64 = 20_000;

/// Times are milliseconds since the epoch, money nano-dollars, latencies microseconds. What is not known
/// is NULL. `spent_*` is what the upstream charges for, `saved_*` what it would have. `charge` sums up what
/// the budgets of virtual keys were charged, by day of UTC; it outlives the rows.
const FIRST: &str = "
CREATE TABLE entry (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  team TEXT,
  tags TEXT NOT NULL,
  dialect TEXT NOT NULL,
  model TEXT NOT NULL,
  deployment TEXT,
  verdict TEXT NOT NULL,
  tier TEXT NOT NULL,
  ended TEXT NOT NULL,
  spent_prompt INTEGER, spent_cached INTEGER, spent_cache_write INTEGER,
  spent_completion INTEGER, spent_reasoning INTEGER,
  saved_prompt INTEGER, saved_cached INTEGER, saved_cache_write INTEGER,
  saved_completion INTEGER, saved_reasoning INTEGER,
  spent INTEGER,
  saved INTEGER,
  latency INTEGER NOT NULL
) STRICT;
CREATE INDEX entry_at ON entry (at);
CREATE TABLE charge (
  key TEXT NOT NULL,
  day INTEGER NOT NULL,
  usd INTEGER NOT NULL,
  PRIMARY KEY (key, day)
) STRICT, WITHOUT ROWID;
";

/// `charged` is the row's part of `charge`. `origin` names this very file to the database that its rows go over
/// to; they do from the one after `since`.
const SECOND: &str = "
ALTER TABLE entry ADD COLUMN charged INTEGER NOT NULL DEFAULT 0;
CREATE TABLE origin (name TEXT NOT NULL, since INTEGER NOT NULL) STRICT;
INSERT INTO origin (name, since) VALUES (lower(hex(randomblob(8))), 0);
";
/// What makes each version out of the one before.
const STEPS: [&str; VERSION as usize] = [FIRST, SECOND];

const INSERT: &str =
    "INSERT INTO entry (at, kind, key, team, tags, dialect, model, deployment, verdict, tier, ended,
  spent_prompt, spent_cached, spent_cache_write, spent_completion, spent_reasoning,
  saved_prompt, saved_cached, saved_cache_write, saved_completion, saved_reasoning, spent, saved, latency, charged)
  VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

/// Why the ledger cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    #[error("the ledger's folder {0} cannot be made: {1}; set ledger.path to one that can")]
    Folder(PathBuf, std::io::Error),
    #[error("the ledger cannot be written, the disk is full: make room, or set ledger.path elsewhere")]
    Full,
    #[error("there is no ledger in {0}; `reprise serve` with ledger.path set to it writes one")]
    Absent(PathBuf),
    #[error("the ledger has version {0}, and this program reads {VERSION}; use the program that wrote it")]
    Version(i64),
    #[error("the ledger cannot be used: {0}; is ledger.path right, and may this user write there?")]
    Sqlite(rusqlite::Error),
    #[error(transparent)]
    Postgres(#[from] Trouble),
}

impl From<rusqlite::Error> for Unwritten {
    fn from(wrong: rusqlite::Error) -> Unwritten {
        match wrong.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Unwritten::Full,
            _ => Unwritten::Sqlite(wrong),
        }
    }
}

pub(super) struct File {
    connection: Connection,
}

impl File {
    /// Opens the ledger in `folder`, and makes it where it is absent.
    pub fn open(folder: &Path) -> Result<File, Unwritten> {
        std::fs::create_dir_all(folder).map_err(|wrong| Unwritten::Folder(folder.to_owned(), wrong))?;
        let mut connection = Connection::open(folder.join(FILE))?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        let found = version(&connection)?;
        let missing = usize::try_from(found).ok().and_then(|found| STEPS.get(found..));
        let missing = missing.ok_or(Unwritten::Version(found))?;
        if !missing.is_empty() {
            let making = connection.transaction()?;
            missing.iter().try_for_each(|step| making.execute_batch(step))?;
            making.pragma_update(None, "user_version", VERSION)?;
            making.commit()?;
        }
        Ok(File { connection })
    }

    /// All rows or none.
    pub fn append(&mut self, rows: &[Row], names: &mut Names) -> Result<(), Unwritten> {
        let batch = self.connection.transaction()?;
        {
            let mut insert = batch.prepare(INSERT)?;
            for row in rows {
                let team = match &row.payer {
                    Payer::Named { team, .. } => team.as_deref(),
                    Payer::Credential(_) => None,
                };
                let (spent, saved) = (columns(&row.spent), columns(&row.saved));
                insert.execute(params![
                    clamped(row.at.0),
                    row.kind.word(),
                    &*names.of(&row.payer),
                    team,
                    tag_text(&row.tags),
                    row.dialect,
                    &*row.model,
                    row.deployment.as_deref(),
                    row.verdict,
                    row.tier,
                    row.ended.word(),
                    spent[0],
                    spent[1],
                    spent[2],
                    spent[3],
                    spent[4],
                    saved[0],
                    saved[1],
                    saved[2],
                    saved[3],
                    saved[4],
                    row.spent.usd().map(|usd| clamped(usd.0)),
                    row.saved.usd().map(|usd| clamped(usd.0)),
                    i64::try_from(row.latency.as_micros()).unwrap_or(i64::MAX),
                    clamped(row.charged.0),
                ])?;
            }
            let charge = "INSERT INTO charge (key, day, usd) VALUES (?, ?, ?)
                ON CONFLICT DO UPDATE SET usd = usd + excluded.usd";
            let mut charge = batch.prepare(charge)?;
            for ((key, day), usd) in charged(rows, names) {
                charge.execute(params![&*key, clamped(day), clamped(usd)])?;
            }
        }
        batch.commit()?;
        Ok(())
    }

    /// Deletes some of the rows from before `before`, and says how many. The newest stays, so that no number is
    /// given twice.
    pub fn forget(&mut self, before: u64) -> Result<usize, Unwritten> {
        let piece = "DELETE FROM entry WHERE id IN
            (SELECT id FROM entry WHERE at < ? AND id < (SELECT max(id) FROM entry) LIMIT ?)";
        Ok(self.connection.execute(piece, params![clamped(before), PIECE])?)
    }

    /// Makes the disk full for tests: the file may not grow past so many pages.
    #[cfg(test)]
    pub fn limit(&self, pages: i64) {
        self.connection.pragma_update(None, "max_page_count", pages).unwrap();
    }
}

/// What each key is charged for each day, in these rows.
fn charged(rows: &[Row], names: &mut Names) -> AHashMap<(Arc<str>, u64), u64> {
    let mut sums = AHashMap::new();
    for row in rows.iter().filter(|row| row.charged.0 > 0) {
        let sum = sums.entry((names.of(&row.payer), period::day(row.at))).or_insert(0_u64);
        *sum = sum.saturating_add(row.charged.0);
    }
    sums
}

/// What a key was charged on one day of UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub key: String,
    /// Since the epoch.
    pub day: u64,
    pub usd: NanoUsd,
}

/// All charges of the ledger in `folder`; none where there is no ledger.
///
/// # Errors
/// It cannot be read.
pub fn charges(folder: &Path) -> Result<Vec<Charge>, Unwritten> {
    let Some(ledger) = to_read(folder)? else { return Ok(Vec::new()) };
    let mut asked = ledger.prepare("SELECT key, day, usd FROM charge")?;
    let number = |row: &rusqlite::Row<'_>, at| Ok::<_, rusqlite::Error>(row.get::<_, i64>(at)?.max(0) as u64);
    let rows = asked.query_map([], |row| {
        Ok(Charge { key: row.get(0)?, day: number(row, 1)?, usd: NanoUsd(number(row, 2)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The ledger in `folder`, for reading only; `None` where there is none, or none that anything was written to.
pub fn to_read(folder: &Path) -> Result<Option<Connection>, Unwritten> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let ledger = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    ledger.busy_timeout(PATIENCE)?;
    match version(&ledger)? {
        0 => Ok(None),
        1..=VERSION => Ok(Some(ledger)),
        other => Err(Unwritten::Version(other)),
    }
}

/// Gives the ledger in `folder` a new name, for whoever has its rows up to `since`. For one that was put back from a
/// copy, and writes other rows under numbers that are known already.
///
/// # Errors
/// It cannot be written.
pub fn rename(folder: &Path, since: i64) -> Result<String, Unwritten> {
    let File { connection } = File::open(folder)?;
    let anew = "UPDATE origin SET name = lower(hex(randomblob(8))), since = ? RETURNING name";
    Ok(connection.query_row(anew, [since], |row| row.get(0))?)
}

fn version(connection: &Connection) -> Result<i64, Unwritten> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// prompt, cached, cache_write, completion, reasoning
fn columns(amount: &Amount) -> [Option<i64>; 5] {
    let usage = amount.usage();
    let of = |count: fn(&crate::wire::usage::Usage) -> u64| usage.as_ref().map(|usage| clamped(count(usage)));
    [
        of(|usage| usage.prompt),
        of(|usage| usage.cached),
        of(|usage| usage.cache_write),
        of(|usage| usage.completion),
        of(|usage| usage.reasoning),
    ]
}

pub(super) fn clamped(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// `feature=faq,cohort=beta`, as the client wrote them, each pair once and in order.
fn tag_text(tags: &[Tag]) -> String {
    let mut pairs: Vec<String> = tags.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.sort_unstable();
    pairs.dedup();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Millis;

    fn row(at: u64) -> Row {
        Row { model: "m".into(), verdict: "miss", spent: Amount::Unknown, ..Row::blank(Millis(at)) }
    }

    #[test]
    fn a_full_disk_is_named_and_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::open(folder.path()).unwrap();
        file.append(&[row(1), row(2)], &mut Names::default()).unwrap();
        file.limit(1);
        let many: Vec<Row> = (0..2_000).map(row).collect();
        let full = file.append(&many, &mut Names::default()).unwrap_err();
        assert!(matches!(full, Unwritten::Full), "{full}");
        let count = |file: &File| {
            file.connection.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert_eq!(count(&file), 2, "all or none");
        file.limit(1_000_000);
        file.append(&many, &mut Names::default()).unwrap();
        assert_eq!(count(&file), 2_002);
    }

    #[test]
    fn old_rows_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::open(folder.path()).unwrap();
        file.append(&[row(1), row(5), row(9)], &mut Names::default()).unwrap();
        assert_eq!((file.forget(6).unwrap(), file.forget(6).unwrap()), (2, 0));
    }

    #[test]
    fn the_ledger_of_an_older_program_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let old = Connection::open(folder.path().join(FILE)).unwrap();
        old.execute_batch(FIRST).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        let row_1 = "INSERT INTO entry (at, kind, key, tags, dialect, model, verdict, tier, ended, latency)
            VALUES (1, 'request', 'k', '', 'chat', 'm', 'miss', '', 'whole', 5)";
        old.execute(row_1, []).unwrap();
        assert!(to_read(folder.path()).unwrap().is_some(), "read as it is");
        let mut file = File::open(folder.path()).unwrap();
        file.append(&[row(2)], &mut Names::default()).unwrap();
        let sum = "SELECT count(*) + sum(charged) FROM entry";
        assert_eq!(file.connection.query_row(sum, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    }

    #[test]
    fn another_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        File::open(folder.path()).unwrap().connection.pragma_update(None, "user_version", 9).unwrap();
        assert!(matches!(File::open(folder.path()), Err(Unwritten::Version(9))));
    }
}
