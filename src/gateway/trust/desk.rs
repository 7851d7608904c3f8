//! How much auditing may go on at once. Audits wait for nobody and nobody waits for them: what finds no
//! room is not done.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Kibibytes that audits, waiting or in progress, may hold together.
const ROOM: usize = 16 << 10;
/// What one takes at least: so there are at most a thousand.
const LEAST: usize = 16;
/// Audits in progress at once.
const LANES: usize = 4;
/// How long nothing is sent upstream after the upstream failed an audit.
const REST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Desk {
    room: Arc<Semaphore>,
    lanes: Arc<Semaphore>,
    rests_until: Mutex<Option<Instant>>,
}

/// A place in the queue.
#[derive(Debug)]
pub struct Place {
    lanes: Arc<Semaphore>,
    _room: OwnedSemaphorePermit,
}

impl Desk {
    pub fn new() -> Desk {
        Desk {
            room: Arc::new(Semaphore::new(ROOM)),
            lanes: Arc::new(Semaphore::new(LANES)),
            rests_until: Mutex::new(None),
        }
    }

    /// A place for work that holds so many bytes; `None` where there is none.
    pub fn place(&self, bytes: usize) -> Option<Place> {
        let kib = u32::try_from((bytes >> 10).max(LEAST)).ok()?;
        let room = self.room.clone().try_acquire_many_owned(kib).ok()?;
        Some(Place { lanes: self.lanes.clone(), _room: room })
    }

    /// The upstream failed an audit: it has other worries.
    pub fn rest(&self) {
        *self.rests_until.lock() = Some(Instant::now() + REST);
    }

    pub fn rests(&self) -> bool {
        self.rests_until.lock().is_some_and(|until| Instant::now() < until)
    }
}

impl Place {
    /// Waits until it is this one's turn.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.lanes.clone().acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_room_is_not_done_and_a_rest_ends() {
        let desk = Desk::new();
        assert!(desk.place(ROOM * 1_024 + 1_024).is_none(), "larger than all the room");
        let all: Vec<Place> = std::iter::from_fn(|| desk.place(1)).collect();
        assert_eq!(all.len(), ROOM / LEAST);
        drop(all);
        assert!(desk.place(1 << 20).is_some());

        assert!(!desk.rests());
        desk.rest();
        assert!(desk.rests());
        tokio::time::advance(REST).await;
        assert!(!desk.rests());
    }
}
