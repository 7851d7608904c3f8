//! The thread that brings what was written onto the disk: a disk that takes its time with an fsync holds
//! up no writing, and a crash of the process loses what was still to be written and nothing else.

use super::Shared;
use super::database::Database;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// Between two times: what a crash of the machine may lose, but for the time that the fsync takes.
const PACE: Duration = Duration::from_millis(500);

/// Whether there is anything to settle.
#[derive(Default)]
pub struct Settling {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    due: bool,
    ended: bool,
}

impl Settling {
    /// Something was written.
    pub fn due(&self) {
        self.state.lock().due = true;
        self.changed.notify_one();
    }

    pub fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_one();
    }

    /// Waits for something to settle, and then for more of it. False: it is the end.
    fn next(&self) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| !state.due && !state.ended);
        self.changed.wait_while_for(&mut state, |state| !state.ended, PACE);
        state.due = false;
        !state.ended
    }
}

pub fn run(shared: &Arc<Shared>) {
    while shared.settling.next() {
        // A connection of its own each time: the file may have been put aside.
        let settled = Database::open(&shared.file()).and_then(|database| database.settle());
        if let Err(trouble) = settled {
            // The writer meets it too, and says so.
            shared.metrics.store.faulted(trouble.word());
        }
    }
}
