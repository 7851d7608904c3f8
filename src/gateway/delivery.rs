//! The body as the client reads it: reading moves the errand on.
//!
//! The first chunk goes out, with the head, before the errand goes on with what came in the same breath; later ones
//! may leave together, as they came.

use super::detach::Waiting;
use crate::base::corked;
use crate::base::fault::Fault;
use crate::upstream::Chunks;
use bytes::Bytes;
use futures_util::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(super) struct Delivery {
    flow: Chunks,
    waiting: Waiting,
    handed_over: HandedOver,
}

/// What the transport has been given.
#[derive(Clone, Copy)]
enum HandedOver {
    Nothing,
    /// The first chunk, in this turn. Told that there is no more for now, the transport flushes.
    First(u64),
    /// The same, flushed; it leaves at the end of the turn.
    Flushed(u64),
    Sent,
}

impl Delivery {
    pub fn new(flow: Chunks, waiting: Waiting) -> Delivery {
        Delivery { flow, waiting, handed_over: HandedOver::Nothing }
    }
}

impl Stream for Delivery {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.handed_over {
            HandedOver::First(turn) => {
                self.handed_over = HandedOver::Flushed(turn);
                // If the transport does not ask again by itself.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            HandedOver::Flushed(turn) if !corked::is_over(turn) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            HandedOver::Flushed(_) => self.handed_over = HandedOver::Sent,
            HandedOver::Nothing | HandedOver::Sent => {}
        }
        // First what is there already: the errand may wait for room in the lane.
        let mut next = self.flow.as_mut().poll_next(cx);
        if !matches!(next, Poll::Ready(Some(_))) {
            self.waiting.0.poll(cx);
            next = self.flow.as_mut().poll_next(cx);
        }
        if matches!((self.handed_over, &next), (HandedOver::Nothing, Poll::Ready(Some(_)))) {
            self.handed_over = HandedOver::First(corked::turn());
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::corked::Corked;
    use crate::base::tasks::Tasks;
    use crate::gateway::detach::Errands;
    use futures_util::{FutureExt, stream};
    use hyper::rt::Write;
    use hyper_util::rt::TokioIo;
    use std::future::poll_fn;
    use tokio::io::AsyncReadExt;
    use tokio::runtime::Handle;
    use tokio::task::yield_now;

    #[tokio::test]
    async fn the_first_chunk_has_left_before_the_second_is_asked_for() {
        for on_a_lane in [false, true] {
            if on_a_lane {
                corked::take_turns(&Handle::current());
                yield_now().await;
            }
            let flow = stream::iter(["first", "second"].map(|said| Ok(Bytes::from(said))));
            let mut body = Delivery::new(Box::pin(flow), Waiting(Errands::new(Tasks::new())));
            let (ours, mut theirs) = tokio::io::duplex(99);
            let mut transport = Corked::new(TokioIo::new(ours));
            // As hyper does: it asks until there is no more for now, flushes, and asks once more.
            let mut chunks = Vec::new();
            let asking = poll_fn(|cx| {
                for _ in 0..2 {
                    while let Poll::Ready(Some(Ok(chunk))) = Pin::new(&mut body).poll_next(cx) {
                        chunks.push(chunk.clone());
                        if chunks.len() == 2 {
                            return Poll::Ready(());
                        }
                        assert!(Pin::new(&mut transport).poll_write(cx, &chunk).is_ready());
                    }
                    assert!(Pin::new(&mut transport).poll_flush(cx).is_ready());
                }
                Poll::Pending
            });
            asking.await;
            let mut said = [0; 5];
            assert!(
                matches!(theirs.read_exact(&mut said).now_or_never(), Some(Ok(5))),
                "on a lane: {on_a_lane}"
            );
        }
    }
}
