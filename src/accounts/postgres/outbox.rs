//! Rows from a replica's own ledger to the database of the fleet.
//!
//! The file is the outbox: rows stay in it, and the database keeps the number of the last one that came, changed in
//! the transaction that brings the rows. So each comes exactly once, whatever breaks off in between, and what was written
//! while the database was away, or before there was one, goes over when it is there.

use super::rows::{File, Placed};
use super::{Session, Trouble};
use crate::accounts::keys::store::Unkept;
use crate::accounts::ledger::Unwritten;
use crate::base::clock::Clock;
use crate::config::accounts::Ledger;
use crate::config::database::Database;
use crate::telemetry::metrics::Metrics;
use parking_lot::{Condvar, Mutex};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at the file.
const PACE: Duration = Duration::from_millis(200);
/// After one that failed.
const PACE_AWAY: Duration = Duration::from_secs(1);
/// Rows in one transaction, and in one that was too slow again and again.
const BATCH: i64 = 5_000;
const LEAST: i64 = 50;
/// How long a flush and a drain wait.
const FLUSH: Duration = Duration::from_secs(5);
/// Between two looks for rows that are too old.
const SWEEP: Duration = Duration::from_secs(3_600);

/// Why rows do not go over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stuck {
    #[error(transparent)]
    There(#[from] Trouble),
    #[error(transparent)]
    Here(#[from] Unwritten),
    #[error(transparent)]
    Keys(#[from] Unkept),
}

impl From<rusqlite::Error> for Stuck {
    fn from(wrong: rusqlite::Error) -> Stuck {
        Stuck::Here(wrong.into())
    }
}

/// The handle on the thread. Dropped, it has the rest go over, if the database is there.
#[derive(Debug)]
pub struct Outbox {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    gone: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Flushes asked for, and done.
    asked: u64,
    done: u64,
    closing: bool,
}

impl Outbox {
    /// `None` where each replica keeps its own books.
    pub fn start(settings: &Ledger, clock: &Clock, metrics: &Arc<Metrics>) -> Option<Outbox> {
        let (folder, database) = settings.together()?;
        let shared = Arc::<Shared>::default();
        let carrier = Carrier {
            newest: newest_in(folder),
            folder: folder.to_owned(),
            database: database.clone(),
            keep: settings.keep,
            clock: clock.clone(),
            metrics: metrics.clone(),
            shared: shared.clone(),
            file: None,
            session: None,
            gone: None,
            most: BATCH,
            swept: None,
            troubled: false,
        };
        let thread =
            std::thread::Builder::new().name("ledger-outbox".to_owned()).spawn(move || carrier.run());
        let thread = thread.map_err(|wrong| {
            tracing::error!("the outbox has no thread: {wrong}; rows stay in the replica's own ledger");
        });
        Some(Outbox { shared, thread: Some(thread.ok()?) })
    }

    /// Waits until all that the file has now has gone over, or was tried.
    pub fn flush(&self) {
        let mut state = self.shared.state.lock();
        state.asked += 1;
        let (ticket, began) = (state.asked, Instant::now());
        self.shared.wake.notify_one();
        while state.done < ticket && began.elapsed() < FLUSH {
            self.shared.gone.wait_for(&mut state, FLUSH.saturating_sub(began.elapsed()));
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.shared.state.lock().closing = true;
        self.shared.wake.notify_one();
        if thread.join().is_err() {
            tracing::error!("the outbox ended by a defect; rows stay in the replica's own ledger");
        }
    }
}

struct Carrier {
    folder: PathBuf,
    database: Arc<Database>,
    keep: Duration,
    clock: Clock,
    metrics: Arc<Metrics>,
    shared: Arc<Shared>,
    file: Option<File>,
    session: Option<Session>,
    /// The number of the last row that has gone over, once it is known.
    gone: Option<i64>,
    /// The number of the last row at the start, and of those that were sent since. Where it could not be read, a
    /// copy that was put back is not told from any other.
    newest: i64,
    /// Rows in the next transaction.
    most: i64,
    swept: Option<Instant>,
    /// Whether the last attempt failed: the log says so once.
    troubled: bool,
}

impl Carrier {
    fn run(mut self) {
        loop {
            let (ticket, closing) = self.wait();
            // Who waits for the drain does not wait for a database that is away.
            if !(closing && self.troubled) {
                match self.carry() {
                    Ok(()) => {
                        if std::mem::take(&mut self.troubled) {
                            tracing::info!("the ledger's rows go over to {} again", self.database.shown());
                        }
                    }
                    Err(wrong) => self.stuck(&wrong),
                }
            }
            self.metrics.accounts.rows_unshipped(self.left());
            self.shared.state.lock().done = ticket;
            self.shared.gone.notify_all();
            if closing {
                return;
            }
        }
    }

    fn wait(&self) -> (u64, bool) {
        let mut state = self.shared.state.lock();
        if state.asked == state.done && !state.closing {
            self.shared.wake.wait_for(&mut state, if self.troubled { PACE_AWAY } else { PACE });
        }
        (state.asked, state.closing)
    }

    fn stuck(&mut self, wrong: &Stuck) {
        self.session = None;
        if matches!(wrong, Stuck::There(Trouble::Silent(..))) {
            self.most = (self.most / 2).max(LEAST);
        }
        if matches!(wrong, Stuck::Here(_)) {
            self.file = None;
        }
        self.metrics.accounts.ship_failed();
        if !std::mem::replace(&mut self.troubled, true) {
            tracing::error!("{wrong}; rows wait in the replica's own ledger, and nothing is lost");
        }
    }

    /// Rows that have not gone over.
    fn left(&self) -> i64 {
        let newest = self.file.as_ref().and_then(|file| file.newest().ok()).unwrap_or(self.newest);
        self.gone.map_or(0, |gone| newest.saturating_sub(gone).max(0))
    }

    /// All that the file has.
    fn carry(&mut self) -> Result<(), Stuck> {
        if self.file.is_none() {
            let Some(file) = File::open(&self.folder)? else { return Ok(()) };
            self.file = Some(file);
        }
        if self.session.is_none() {
            self.session = Some(Session::open(&self.database, &self.folder)?);
            self.gone = None;
        }
        let Some((file, session)) = self.file.as_mut().zip(self.session.as_mut()) else { return Ok(()) };
        let mut gone = match self.gone {
            Some(gone) => gone,
            None => {
                let there = session.gone(&file.name, file.since)?;
                if there > self.newest.max(file.since) {
                    // This file is an older copy of the one that sent those.
                    tracing::warn!("the ledger in {} was put back from a copy", self.folder.display());
                    file.begin_anew(&self.folder, self.newest)?;
                    session.gone(&file.name, file.since)?
                } else {
                    there
                }
            }
        };
        let mut closing = None;
        loop {
            self.gone = Some(gone);
            if self.shared.state.lock().closing && closing.get_or_insert_with(Instant::now).elapsed() > FLUSH
            {
                // The next start brings the rest.
                return Ok(());
            }
            let batch = file.after(gone, self.most)?;
            if batch.rows.is_empty() {
                break;
            }
            // Before it is sent: it may come there, and the word that it did be lost.
            self.newest = self.newest.max(batch.last);
            gone = match session.place(&file.name, gone, &batch)? {
                Placed::Yes => batch.last,
                Placed::After(there) => {
                    tracing::warn!(
                        "another process sends rows in this ledger's name; give each a ledger.path of its own"
                    );
                    there
                }
            };
            self.most = (self.most * 2).min(BATCH);
        }
        self.sweep()
    }

    /// Deletes what is older than is kept, a piece at a time.
    fn sweep(&mut self) -> Result<(), Stuck> {
        let due = self.swept.is_none_or(|last| last.elapsed() >= SWEEP);
        let Some(session) = self.session.as_mut().filter(|_| due) else { return Ok(()) };
        let keep = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        // More may be left: again at the next look.
        if session.forget(self.clock.now().0.saturating_sub(keep))? == 0 {
            self.swept = Some(Instant::now());
        }
        Ok(())
    }
}

fn newest_in(folder: &Path) -> i64 {
    let newest = File::open(folder).and_then(|file| file.map_or(Ok(0), |file| file.newest()));
    newest.unwrap_or(i64::MAX)
}
