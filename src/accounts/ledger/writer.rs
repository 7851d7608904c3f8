//! The ledger's own thread.

use super::file::{File, Unwritten};
use super::{MOST_WAITING, PACE, Shared};
use crate::accounts::audit;
use crate::accounts::row::{Kind, Payer, Row};
use crate::base::clock::Clock;
use crate::base::digest::Credential;
use crate::config;
use crate::config::accounts::Audit;
use crate::telemetry::metrics::Metrics;
use ahash::AHashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks for rows that are too old.
const SWEEP: Duration = Duration::from_secs(3_600);
/// Digests whose text is kept at hand.
const MOST_NAMES: usize = 10_000;

pub(super) struct Writer {
    shared: Arc<Shared>,
    folder: Option<PathBuf>,
    keep: Duration,
    clock: Clock,
    metrics: Arc<Metrics>,
    file: Option<File>,
    /// Taken from the queue and not written yet.
    waiting: Vec<Row>,
    /// Whether the last attempt failed: the log says so once.
    troubled: bool,
    swept: Option<Instant>,
    names: Names,
    audit: Audit,
}

/// The text of each payer.
#[derive(Default)]
pub(super) struct Names(AHashMap<Credential, Arc<str>>);

impl Names {
    pub fn of(&mut self, payer: &Payer) -> Arc<str> {
        match payer {
            Payer::Named { id, .. } => id.clone(),
            Payer::Credential(digest) => {
                if self.0.len() >= MOST_NAMES {
                    self.0.clear();
                }
                self.0.entry(*digest).or_insert_with(|| digest.short().into()).clone()
            }
        }
    }
}

impl Writer {
    pub fn new(
        settings: &config::accounts::Ledger,
        clock: Clock,
        metrics: Arc<Metrics>,
        shared: Arc<Shared>,
    ) -> Writer {
        Writer {
            shared,
            folder: settings.path.clone(),
            keep: settings.keep,
            clock,
            metrics,
            file: None,
            waiting: Vec::new(),
            troubled: false,
            swept: None,
            names: Names::default(),
            audit: settings.audit,
        }
    }

    pub fn run(mut self) {
        let mut rows = Vec::new();
        loop {
            let (ticket, closing) = self.take(&mut rows);
            for row in &rows {
                self.count(row);
            }
            if self.folder.is_some() {
                self.note(&rows);
                self.waiting.append(&mut rows);
                self.write();
                self.sweep();
            }
            rows.clear();
            let lost = self.shared.lost.swap(0, Ordering::Relaxed);
            self.metrics.accounts.rows_lost(lost);
            self.metrics.accounts.rows_waiting(self.waiting.len());
            self.shared.queue.lock().done = ticket;
            self.shared.written.notify_all();
            if closing {
                self.end();
                return;
            }
        }
    }

    /// Waits for the next batch and swaps it for the empty `rows`. The word `closing` comes with the last.
    fn take(&self, rows: &mut Vec<Row>) -> (u64, bool) {
        let mut queue = self.shared.queue.lock();
        if queue.asked == queue.done && !queue.closing {
            self.shared.wake.wait_for(&mut queue, PACE);
        }
        std::mem::swap(&mut queue.rows, rows);
        (queue.asked, queue.closing)
    }

    fn count(&mut self, row: &Row) {
        let key = self.names.of(&row.payer);
        let (spent, saved) = (row.spent.usd(), row.saved.usd());
        self.metrics.accounts.booked(&key, row.verdict, row.kind == Kind::Request, spent, saved);
    }

    /// Calls into the audit log, if it is to have them. What cannot be written there is lost, and said.
    fn note(&mut self, rows: &[Row]) {
        let Some(folder) = self.folder.as_deref().filter(|_| self.audit == Audit::All) else { return };
        let requests = rows.iter().filter(|row| row.kind == Kind::Request);
        let named = requests.map(|row| (row, self.names.of(&row.payer)));
        if let Err(wrong) = audit::calls(folder, named) {
            self.metrics.accounts.write_failed();
            tracing::error!("calls are missing from the audit log: {wrong}");
        }
    }

    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        match self.try_write() {
            Ok(()) => {
                self.waiting.clear();
                if std::mem::take(&mut self.troubled) {
                    tracing::info!("the ledger is written again");
                }
            }
            Err(wrong) => {
                self.file = None;
                self.metrics.accounts.write_failed();
                if !std::mem::replace(&mut self.troubled, true) {
                    tracing::error!("{wrong}; requests go on, and up to {MOST_WAITING} rows wait");
                }
                let excess = self.waiting.len().saturating_sub(MOST_WAITING);
                self.waiting.drain(..excess);
                self.metrics.accounts.rows_lost(excess as u64);
            }
        }
    }

    fn try_write(&mut self) -> Result<(), Unwritten> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(folder)?),
        };
        file.append(&self.waiting, &mut self.names)
    }

    /// Deletes what is older than is kept, a piece at a time.
    fn sweep(&mut self) {
        let due = self.swept.is_none_or(|last| last.elapsed() >= SWEEP);
        let Some(file) = self.file.as_mut().filter(|_| due) else { return };
        let keep = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        match file.forget(self.clock.now().0.saturating_sub(keep)) {
            // More may be left: again at the next batch.
            Ok(deleted) if deleted > 0 => {}
            Ok(_) => self.swept = Some(Instant::now()),
            Err(wrong) => {
                tracing::warn!("old rows of the ledger were not deleted: {wrong}");
                self.swept = Some(Instant::now());
            }
        }
    }

    fn end(&mut self) {
        if !self.waiting.is_empty() {
            tracing::error!("{} rows of the ledger were not written", self.waiting.len());
            self.metrics.accounts.rows_lost(self.waiting.len() as u64);
        }
    }
}
