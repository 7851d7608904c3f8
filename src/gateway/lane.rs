//! A channel bounded in bytes, from the one who reads an answer to the client who waits for it.

use crate::base::fault::Fault;
use bytes::Bytes;
use futures_util::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Bytes that may wait for a slow client before the upstream is read no further on its account.
pub const BUDGET: usize = 1 << 20;

type Parcel = (Result<Bytes, Fault>, Option<OwnedSemaphorePermit>);

/// The reading end's writer. Dropped, the client's body ends.
#[derive(Debug)]
pub struct Sender {
    budget: Arc<Semaphore>,
    lane: mpsc::UnboundedSender<Parcel>,
}

/// The client's body.
#[derive(Debug)]
pub struct Receiver {
    lane: mpsc::UnboundedReceiver<Parcel>,
}

pub fn lane() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Sender { budget: Arc::new(Semaphore::new(BUDGET)), lane: sender }, Receiver { lane: receiver })
}

/// The client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left;

impl Sender {
    /// Waits only while the client is more than `BUDGET` bytes behind.
    pub async fn send(&self, chunk: Bytes) -> Result<(), Left> {
        let bytes = u32::try_from(chunk.len().min(BUDGET)).unwrap_or(u32::MAX);
        let permit = match self.budget.clone().try_acquire_many_owned(bytes) {
            Ok(permit) => permit,
            Err(_) => tokio::select! {
                permit = self.budget.clone().acquire_many_owned(bytes) => permit.map_err(|_| Left)?,
                () = self.lane.closed() => return Err(Left),
            },
        };
        self.lane.send((Ok(chunk), Some(permit))).map_err(|_| Left)
    }

    /// The last word: the answer broke off.
    pub fn break_off(self, fault: Fault) {
        let _ = self.lane.send((Err(fault), None));
    }
}

impl Stream for Receiver {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lane.poll_recv(cx).map(|parcel| parcel.map(|(chunk, _permit)| chunk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    #[tokio::test]
    async fn a_client_that_leaves_frees_a_waiting_writer() {
        let (sender, receiver) = lane();
        sender.send(Bytes::from(vec![0; BUDGET])).await.unwrap();
        let (sent, ()) = tokio::join!(sender.send(Bytes::from_static(b"more")), async { drop(receiver) });
        assert_eq!(sent, Err(Left));
    }

    #[tokio::test]
    async fn reading_makes_room() {
        let (sender, mut receiver) = lane();
        sender.send(Bytes::from(vec![0; BUDGET])).await.unwrap();
        let (sent, first) = tokio::join!(sender.send(Bytes::from_static(b"more")), receiver.next());
        assert_eq!((sent, first.unwrap().unwrap().len()), (Ok(()), BUDGET));
    }

    #[tokio::test]
    async fn a_chunk_over_the_whole_budget_still_passes() {
        let (sender, mut receiver) = lane();
        sender.send(Bytes::from(vec![0; 3 * BUDGET])).await.unwrap();
        assert_eq!(receiver.next().await.unwrap().unwrap().len(), 3 * BUDGET);
    }
}
