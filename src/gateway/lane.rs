//! A channel bounded in bytes, from the one who reads an answer to the client who waits for it.
//!
//! Both ends are mostly polled by one task, and most answers are one chunk: a queue behind a lock costs
//! less than a channel and a semaphore, which allocate for many.

use crate::base::fault::Fault;
use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Bytes that may wait for a slow client before the upstream is read no further on its account.
pub const BUDGET: usize = 1 << 20;

/// The reading end's writer. Dropped, the client's body ends.
#[derive(Debug)]
pub struct Sender(Arc<Mutex<Lane>>);

/// The client's body.
#[derive(Debug)]
pub struct Receiver(Arc<Mutex<Lane>>);

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Result<Bytes, Fault>>,
    /// Bytes in the queue.
    waiting: usize,
    writer_gone: bool,
    reader_gone: bool,
    /// Whoever waits at the other end.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

pub fn lane() -> (Sender, Receiver) {
    let lane = Arc::<Mutex<Lane>>::default();
    (Sender(lane.clone()), Receiver(lane))
}

/// The client has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left;

impl Sender {
    /// Waits only while the client is more than `BUDGET` bytes behind; a chunk over the whole budget waits
    /// until nothing else does.
    pub async fn send(&self, chunk: Bytes) -> Result<(), Left> {
        let mut chunk = Some(chunk);
        poll_fn(|cx| self.poll_send(&mut chunk, cx)).await
    }

    fn poll_send(&self, chunk: &mut Option<Bytes>, cx: &mut Context<'_>) -> Poll<Result<(), Left>> {
        let mut lane = self.0.lock();
        if lane.reader_gone {
            return Poll::Ready(Err(Left));
        }
        let bytes = chunk.as_ref().map_or(0, Bytes::len);
        if lane.waiting > 0 && lane.waiting + bytes > BUDGET {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        lane.waiting += bytes;
        lane.queue.extend(chunk.take().map(Ok));
        lane.wake_reader();
        Poll::Ready(Ok(()))
    }

    /// The last word: the answer broke off.
    pub fn break_off(self, fault: Fault) {
        let mut lane = self.0.lock();
        lane.queue.push_back(Err(fault));
        lane.wake_reader();
    }
}

impl Lane {
    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut lane = self.0.lock();
        lane.writer_gone = true;
        lane.wake_reader();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut lane = self.0.lock();
        lane.reader_gone = true;
        lane.queue.clear();
        if let Some(writer) = lane.writer.take() {
            writer.wake();
        }
    }
}

impl Stream for Receiver {
    type Item = Result<Bytes, Fault>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut lane = self.0.lock();
        let Some(next) = lane.queue.pop_front() else {
            if lane.writer_gone {
                return Poll::Ready(None);
            }
            lane.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        lane.waiting -= next.as_ref().map_or(0, Bytes::len);
        if let Some(writer) = lane.writer.take() {
            writer.wake();
        }
        Poll::Ready(Some(next))
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
