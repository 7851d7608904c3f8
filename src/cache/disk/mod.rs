//! Embedded durability: entries on disk, so that L1 and L2 survive a restart.
//!
//! ```text
//! admit, index, drop ─> queue (bounded) ─ 200 ms ─> writer thread ─> SQLite, write-ahead log, fsync
//! start ─> hashes into the directory ─> restore fills L1 and L2, the newest first
//! L1 miss ─ directory: may be there ─> one row, decoded off the async threads ─> L1, L2
//! ```
//! The disk is a larger tier than memory: what L1 evicts stays here and comes back when it is asked for by
//! its exact key. Expiry, purge and reports take an entry out of both.
//!
//! Promises: what was admitted is on disk a fifth of a second and one write later; a crash of the process
//! or the machine (`kill -9`, power) loses at most that, less than a second on a disk that keeps up, and damages nothing. A body is
//! never served unless its checksum and key fit. At most `store.max_bytes` of disk, the log included. A disk
//! that fails or is full costs durability, never a request: reads go on where they can, changes wait in
//! 64 MiB of memory, then the newest are dropped and counted. A damaged or foreign file is put
//! aside, never overwritten.
//!
//! SQLite, because of what it does when things go wrong: a full disk undoes one transaction and reads go on,
//! damage is an error and no panic, and a crash costs replaying 16 MiB at most. redb (a quarter more disk; after
//! an I/O error it must be opened anew) and fjall (three times as fast to write, five times the memory, 300 ms to open,
//! poisoned by an I/O error) were measured beside it: `benches/results`. RocksDB is out of proportion to build.
//!
//! | file | has |
//! |---|---|
//! | `folder` | one process at a time, and the secret of scopes |
//! | `database` | SQL and nothing else |
//! | `directory` | which keys may be there, in memory |
//! | `queue` | what is still to be written |
//! | `writer` | the thread that writes, bounds, expires and recovers |

pub mod database;
mod directory;
pub mod folder;
mod queue;
mod writer;

pub use database::RowId;
pub use folder::{Folder, Unusable};

use super::codec::{self, Embedding, Keys, Stored, Undecodable};
use super::entry::Entry;
use crate::base::clock::Clock;
use crate::base::digest::ExactKey;
use crate::telemetry::metrics::Metrics;
use database::{Database, FILE, Found, Trouble, hash};
use directory::Directory;
use parking_lot::Mutex;
use queue::{Change, Offered, Queue};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest that `catch_up` waits for a slow disk.
const CATCH_UP: Duration = Duration::from_secs(10);

/// The store of one process. Every method may be called from any thread; `offer`s cost one short lock.
/// Dropped, it writes what is left.
pub struct Disk {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    folder: Folder,
    max_bytes: u64,
    keys: Keys,
    clock: Clock,
    metrics: Arc<Metrics>,
    queue: Queue,
    directory: Directory,
    reader: Mutex<Reader>,
}

/// The connection that reads.
#[derive(Default)]
enum Reader {
    Open(Database),
    /// To be opened when it is needed.
    #[default]
    Shut,
    /// Not to be opened again: the folder may be another process's.
    Closed,
}

/// How a store is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes on disk at most, log included.
    pub max_bytes: u64,
    pub keys: Keys,
}

/// A row read back.
pub struct Row {
    pub id: RowId,
    /// `Err`: not served, and counted.
    pub stored: Result<Stored, Undecodable>,
}

impl Disk {
    /// Opens the file of `folder`, or begins a new one. Blocks: reads the keys of all rows, some 20 ms
    /// for 100,000. A file that cannot be used does not fail it: serving goes on, and it is tried again.
    pub fn open(
        folder: Folder,
        settings: Settings,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Disk> {
        let Settings { max_bytes, keys } = settings;
        let shared = Arc::new(Shared {
            folder,
            max_bytes,
            keys,
            clock,
            metrics,
            queue: Queue::default(),
            directory: Directory::default(),
            reader: Mutex::default(),
        });
        let database = shared.begin();
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("reprise-store".to_owned());
        let writer = thread.spawn(move || writer::run(&theirs, database))?;
        Ok(Disk { shared, writer: Mutex::new(Some(writer)) })
    }

    /// Writes an entry, soon; in place of what is there under its key.
    pub fn put(&self, entry: &Arc<Entry>, embedding: Option<Embedding>) {
        let change = Change::Put { entry: entry.clone(), embedding };
        if self.shared.queue.offer(entry.key, change) == Offered::Full {
            self.shared.metrics.store.dropped("queue_full", 1);
            return;
        }
        self.shared.directory.add(hash(&entry.key));
    }

    /// Takes an entry out: from now on it is not found; soon it is off the disk (`flush` waits for that).
    pub fn remove(&self, key: &ExactKey) {
        self.shared.directory.remove(hash(key));
        self.shared.queue.offer(*key, Change::Remove);
    }

    /// Whether `get` may find something. One look into memory.
    pub fn may_hold(&self, key: &ExactKey) -> bool {
        self.shared.directory.may_hold(hash(key))
    }

    /// Whether nobody has taken it out.
    pub fn holds(&self, key: &ExactKey) -> bool {
        self.shared.directory.holds(hash(key))
    }

    /// Blocks on the disk. Whatever is wrong is `None`, and counted.
    pub fn get(&self, key: &ExactKey) -> Option<Stored> {
        let found = self.shared.read(|database| database.get(hash(key)))?;
        let Some(body) = found else {
            self.shared.metrics.store.read("none");
            return None;
        };
        let stored = codec::decode_for(key, &body, &self.shared.keys);
        match stored {
            Ok(stored) => {
                self.shared.metrics.store.read("found");
                Some(stored)
            }
            Err(undecodable) => {
                self.refuse(key, undecodable);
                None
            }
        }
    }

    /// Up to `most` rows written before `before` (`RowId::MAX` for all), the newest first. Blocks.
    pub fn newest(&self, before: RowId, most: usize) -> Vec<Row> {
        let found = self.shared.read(|database| database.newest(before, most)).unwrap_or_default();
        found.into_iter().map(|found| self.decoded(&found)).collect()
    }

    fn decoded(&self, found: &Found) -> Row {
        let stored = codec::decode(&found.body, &self.shared.keys);
        let stored = stored.and_then(|stored| match hash(&stored.entry.key) == found.hash {
            true => Ok(stored),
            false => Err(Undecodable::Misplaced),
        });
        if let Err(undecodable) = &stored {
            self.shared.metrics.store.undecodable(undecodable.word());
        }
        Row { id: found.id, stored }
    }

    fn refuse(&self, key: &ExactKey, undecodable: Undecodable) {
        self.shared.metrics.store.undecodable(undecodable.word());
        tracing::debug!("a stored entry is not served: {undecodable}");
        match undecodable {
            // What another key or version may read one day stays until it expires.
            Undecodable::WrongKey | Undecodable::Newer => {}
            Undecodable::Misplaced => {}
            Undecodable::Corrupt | Undecodable::Foreign | Undecodable::Unsealed => self.remove(key),
        }
    }

    /// For who brings much at once: waits while so much is still to be written that more might be dropped. Blocks.
    pub fn catch_up(&self) {
        if self.shared.queue.bytes() > queue::MOST / 4 {
            self.flush(CATCH_UP);
        }
    }

    /// Waits until everything offered so far is on the disk. Blocks. False: not within `limit`.
    pub fn flush(&self, limit: Duration) -> bool {
        self.shared.queue.flush(limit)
    }

    /// Rows, about.
    pub fn len(&self) -> usize {
        self.shared.directory.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What entries are encrypted with.
    pub fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// Writes what is left, ends, and lets another process have the folder; later changes are lost. Blocks for as
    /// long as that takes.
    pub fn close(&self) {
        self.shared.queue.end();
        if let Some(writer) = self.writer.lock().take() {
            // A thread that panicked has nothing left to write.
            let _ = writer.join();
            let mut reader = self.shared.reader.lock();
            *reader = Reader::Closed;
            self.shared.folder.release();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Opens the file for writing and for reading, and reads which keys there are.
    fn begin(&self) -> Option<Database> {
        let opened = match self.open_both() {
            Err(Trouble::Broken(why)) => {
                self.metrics.store.faulted("broken");
                tracing::warn!("{FILE} cannot be used ({why}); it is put aside as {FILE}.broken");
                match database::put_aside(self.folder.path()) {
                    Ok(()) => self.open_both(),
                    Err(wrong) => Err(Trouble::from(wrong)),
                }
            }
            opened => opened,
        };
        match opened {
            Ok((database, reader, hashes)) => {
                hashes.into_iter().for_each(|hash| self.directory.add(hash));
                self.directory.completed();
                self.metrics.store.up(true);
                let bytes = database.bytes().unwrap_or(0);
                self.metrics.store.holds(self.directory.len() as u64, bytes);
                *self.reader.lock() = Reader::Open(reader);
                Some(database)
            }
            Err(trouble) => {
                self.metrics.store.faulted(trouble.word());
                self.metrics.store.up(false);
                tracing::warn!(
                    "the store cannot be opened: {trouble}; entries are kept in memory only until it can, \
                     tried again every second"
                );
                None
            }
        }
    }

    /// Opens the file for writing after it could not be opened before.
    fn open_late(&self) -> Result<Database, Trouble> {
        let database = Database::open(&self.file())?;
        database.hashes()?.into_iter().for_each(|hash| self.directory.add(hash));
        self.directory.completed();
        Ok(database)
    }

    fn open_both(&self) -> Result<(Database, Database, Vec<database::Hash>), Trouble> {
        let database = Database::open(&self.file())?;
        let hashes = database.hashes()?;
        Ok((database, Database::open(&self.file())?, hashes))
    }

    /// `None`: it could not be read, which is counted.
    fn read<T>(&self, what: impl FnOnce(&Database) -> Result<T, Trouble>) -> Option<T> {
        let mut reader = self.reader.lock();
        if matches!(*reader, Reader::Shut) {
            *reader = Database::open(&self.file()).map_or(Reader::Shut, Reader::Open);
        }
        let Reader::Open(database) = &*reader else { return None };
        let read = what(database);
        read.inspect_err(|trouble| self.metrics.store.faulted(trouble.word())).ok()
    }
}
