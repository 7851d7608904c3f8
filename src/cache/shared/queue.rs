//! What waits to be written, bounded in number and in bytes.

use crate::base::clock::Millis;
use crate::base::digest::ExactKey;
use crate::cache::codec::Embedding;
use crate::cache::entry::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Writes that wait at most; of more, the newest are dropped.
const MOST: usize = 4_096;
/// Bytes of entries that wait at most. They are shared with L1 as long as they are in it.
const MOST_BYTES: usize = 64 << 20;
/// Writes that go out at once.
const BATCH: usize = 64;

#[derive(Debug)]
pub enum Write {
    Entry {
        entry: Arc<Entry>,
        embedding: Option<Embedding>,
    },
    Proof {
        name: String,
        at: Millis,
        ttl: Duration,
    },
    /// Gives a lease back, if it is still ours.
    Release {
        name: String,
        token: String,
    },
    /// A member of a vector set whose entry is gone.
    Forget {
        set: String,
        key: ExactKey,
    },
    /// Entries to be deleted; their vectors leave when they are met.
    Delete {
        keys: Vec<ExactKey>,
    },
    /// There are purges to be delivered.
    Purges,
    /// There is something to be scrubbed: a step of it is done.
    Scrub,
}

impl Write {
    fn size(&self) -> usize {
        match self {
            Write::Entry { entry, embedding } => {
                entry.size() + embedding.as_ref().map_or(0, |held| size_of_val(&*held.vector))
            }
            Write::Delete { keys } => size_of_val(keys.as_slice()),
            Write::Proof { .. }
            | Write::Release { .. }
            | Write::Forget { .. }
            | Write::Purges
            | Write::Scrub => 0,
        }
    }
}

/// The sending end. Never waits.
pub struct Queue {
    sender: mpsc::Sender<Write>,
    bytes: Arc<AtomicUsize>,
}

/// The writer's end.
pub struct Writes {
    receiver: mpsc::Receiver<Write>,
    bytes: Arc<AtomicUsize>,
}

impl Queue {
    pub fn new() -> (Queue, Writes) {
        let ((sender, receiver), bytes) = (mpsc::channel(MOST), Arc::new(AtomicUsize::new(0)));
        (Queue { sender, bytes: bytes.clone() }, Writes { receiver, bytes })
    }

    /// False where it is full.
    pub fn push(&self, write: Write) -> bool {
        let size = write.size();
        if self.bytes.fetch_add(size, Ordering::Relaxed) + size > MOST_BYTES
            || self.sender.try_send(write).is_err()
        {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            return false;
        }
        true
    }

    pub fn is_half_full(&self) -> bool {
        self.waiting() > MOST as u64 / 2 || self.bytes.load(Ordering::Relaxed) > MOST_BYTES / 2
    }

    pub fn waiting(&self) -> u64 {
        (MOST - self.sender.capacity()) as u64
    }
}

impl Writes {
    /// What waits, oldest first; waits for the first. Empty when nothing will come any more.
    pub async fn next(&mut self) -> Vec<Write> {
        let mut batch = Vec::new();
        self.receiver.recv_many(&mut batch, BATCH).await;
        let size: usize = batch.iter().map(Write::size).sum();
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        batch
    }
}
