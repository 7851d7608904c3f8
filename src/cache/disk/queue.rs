//! What is still to be written: the newest word on each key, bounded in bytes.

use crate::base::digest::ExactKey;
use crate::cache::codec::Embedding;
use crate::cache::entry::Entry;
use ahash::AHashMap;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// Bytes that may wait. While the disk keeps up, a fifth of a second's entries do.
pub const MOST: usize = 64 << 20;
/// How long changes are gathered before they are written together: what a crash may lose, but for the
/// time that writing takes.
const GATHER: Duration = Duration::from_millis(200);
/// What one change takes beside its entry.
const OVERHEAD: usize = 150;

/// The newest word on one key.
#[derive(Clone)]
pub enum Change {
    Put { entry: Arc<Entry>, embedding: Option<Embedding> },
    Remove,
}

impl Change {
    fn size(&self) -> usize {
        match self {
            // The entry is shared with L1 for as long as it is there.
            Change::Put { entry, embedding } => {
                entry.size() + embedding.as_ref().map_or(0, |given| size_of_val(&*given.vector)) + OVERHEAD
            }
            Change::Remove => OVERHEAD,
        }
    }
}

/// What became of a change that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    Taken,
    /// The queue is full; only what takes something out is still taken.
    Full,
}

pub type Changes = AHashMap<ExactKey, Change>;

/// What the writer is to do next.
pub struct Turn {
    pub changes: Changes,
    /// To be given back to `settle` once the changes are written.
    pub ticket: u64,
    pub last: bool,
}

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    /// The first change came.
    some: Condvar,
    /// Somebody waits for the writing, or it is the end.
    urgent: Condvar,
    settled: Condvar,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    changes: Changes,
    bytes: usize,
    /// How often somebody asked for everything to be written, and how many of them have been served.
    asked: u64,
    done: u64,
    last: bool,
}

impl State {
    fn hurried(&self) -> bool {
        self.last || self.asked > self.done
    }
}

impl Queue {
    pub fn offer(&self, key: ExactKey, change: Change) -> Offered {
        let mut state = self.state.lock();
        let size = change.size();
        if matches!(change, Change::Put { .. }) && state.bytes + size > MOST {
            return Offered::Full;
        }
        state.bytes += size;
        if let Some(before) = state.changes.insert(key, change) {
            state.bytes = state.bytes.saturating_sub(before.size());
        }
        if state.changes.len() == 1 {
            self.some.notify_one();
        }
        if state.bytes > MOST / 2 {
            self.urgent.notify_one();
        }
        Offered::Taken
    }

    /// Waits for changes, at most `idle`, and gathers more of them; all there are then.
    pub fn next(&self, idle: Duration) -> Turn {
        let mut state = self.state.lock();
        if state.changes.is_empty() && !state.hurried() {
            self.some.wait_for(&mut state, idle);
        }
        if !state.changes.is_empty() && !state.hurried() {
            self.urgent.wait_for(&mut state, GATHER);
        }
        state.bytes = 0;
        let (changes, ticket, last) = (std::mem::take(&mut state.changes), state.asked, state.last);
        Turn { changes, ticket, last }
    }

    /// Changes that could not be written wait on, behind what has come meanwhile, and the writer for
    /// `pause`, unless it is the end. Gives back how many did not fit.
    pub fn put_back(&self, changes: Changes, pause: Duration) -> usize {
        let mut state = self.state.lock();
        let mut dropped = 0;
        for (key, change) in changes {
            let size = change.size();
            if state.changes.contains_key(&key) {
                continue;
            }
            if matches!(change, Change::Put { .. }) && state.bytes + size > MOST {
                dropped += 1;
                continue;
            }
            state.bytes += size;
            state.changes.insert(key, change);
        }
        if !state.last {
            self.ended.wait_for(&mut state, pause);
        }
        dropped
    }

    /// Everything that was asked for up to `ticket` is written.
    pub fn settle(&self, ticket: u64) {
        self.state.lock().done = ticket;
        self.settled.notify_all();
    }

    /// Waits until everything offered so far is written. False: not within `limit`.
    pub fn flush(&self, limit: Duration) -> bool {
        let mut state = self.state.lock();
        state.asked += 1;
        let ticket = state.asked;
        self.hurry();
        !self.settled.wait_while_for(&mut state, |state| state.done < ticket, limit).timed_out()
    }

    /// The next turn is the last.
    pub fn end(&self) {
        self.state.lock().last = true;
        self.hurry();
        self.ended.notify_one();
    }

    pub fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    fn hurry(&self) {
        self.some.notify_one();
        self.urgent.notify_one();
    }
}
