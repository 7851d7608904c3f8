//! The ledger: a row for each request, written behind the request path.
//!
//! ```text
//! Tab ─ enter ─> queue (one short lock) ─ every 200 ms ─> writer's thread ─┬─> SQLite, one transaction
//!                                                                          └─> counters by key
//! ```
//! Where replicas keep one ledger together (`ledger.url`), rows go on from the file to Postgres (`accounts::postgres`).
//! `enter` never waits. What has been entered is on its way to the disk within 200 ms, so a kill loses no
//! more than that; `close`, which a drain calls, writes the rest. Where the disk is full or the file
//! cannot be opened, requests go on: rows wait, up to `MOST_WAITING`, then the oldest are lost and
//! counted; a log line says when it begins and when it is over.

mod file;
pub mod report;
mod writer;

use super::row::Row;
use crate::accounts::postgres::outbox::Outbox;
use crate::base::clock::Clock;
use crate::config;
use crate::telemetry::metrics::Metrics;
use parking_lot::{Condvar, Mutex};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use writer::Writer;

pub use file::{Charge, FILE, Unwritten, charges, rename, to_read};

/// Between two batches.
const PACE: Duration = Duration::from_millis(200);
/// Rows that may wait for the disk: six seconds of 20,000 a second, some 45 MB.
const MOST_WAITING: usize = 1 << 17;

/// The handle on the writer. Dropped, it writes what is left.
#[derive(Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Takes rows on to the database of the fleet.
    outbox: Option<Outbox>,
    settings: config::accounts::Ledger,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    written: Condvar,
    /// Entered while the queue was full.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    rows: Vec<Row>,
    /// Flushes asked for, and done.
    asked: u64,
    done: u64,
    closing: bool,
}

impl Ledger {
    /// Starts the writer. Nothing is opened yet, and what cannot be opened is tried again.
    pub fn start(settings: &config::accounts::Ledger, clock: Clock, metrics: Arc<Metrics>) -> Ledger {
        let shared = Arc::<Shared>::default();
        let outbox = Outbox::start(settings, &clock, &metrics);
        let writer = Writer::new(settings, clock, metrics, shared.clone());
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || writer.run());
        let thread = thread
            .map_err(|wrong| tracing::error!("the ledger has no thread: {wrong}; nothing is written down"))
            .ok();
        if thread.is_none() {
            shared.queue.lock().closing = true;
        }
        Ledger { shared, thread, outbox, settings: settings.clone() }
    }

    /// The folder that it lies in, if it is kept at all.
    pub fn folder(&self) -> Option<&Path> {
        self.settings.path.as_deref()
    }

    /// Where it is kept.
    pub fn settings(&self) -> &config::accounts::Ledger {
        &self.settings
    }

    /// Takes a row. One short lock; never waits for the disk.
    pub fn enter(&self, row: Row) {
        let mut queue = self.shared.queue.lock();
        if queue.rows.len() < MOST_WAITING && !queue.closing {
            queue.rows.push(row);
        } else {
            drop(queue);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything entered before has been written, or tried; then for the fleet's database, five
    /// seconds at most. Blocks: off the async threads.
    pub fn flush(&self) {
        self.flush_own();
        if let Some(outbox) = &self.outbox {
            outbox.flush();
        }
    }

    fn flush_own(&self) {
        let mut queue = self.shared.queue.lock();
        queue.asked += 1;
        let ticket = queue.asked;
        self.shared.wake.notify_one();
        while queue.done < ticket && !queue.closing {
            self.shared.written.wait(&mut queue);
        }
    }
}

impl Drop for Ledger {
    /// Writes what is left and ends the writer. Blocks likewise.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.shared.queue.lock().closing = true;
        self.shared.wake.notify_one();
        if thread.join().is_err() {
            tracing::error!("the ledger's writer ended by a defect; its last rows may be lost");
        }
        // What the writer wrote last goes over too.
        drop(self.outbox.take());
    }
}
