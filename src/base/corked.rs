//! Writes that wait for the end of a turn.
//!
//! A lane takes what is ready one connection after the other. Were each to write at once, between any two of them
//! would lie the way through the kernel, and often the process on the other side, which the write has woken: each
//! begins with caches that the last one filled. Here what is written is put aside until all that was ready has had its
//! turn, and then goes out together.
//!
//! ```text
//! ready: A, B, C ─> A reads, works, writes ─> B … ─> C … ─> uncork: A's bytes, B's, C's ─> wait for events
//! ```
//! As with the kernel's own buffer, that a write succeeded says only that it was taken; where it fails later, the next
//! call says so. Off the lanes nothing is put aside.

use bytes::{Buf, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::coop::unconstrained;

/// Bytes put aside for a connection; what would be more is written at once.
const LARGEST: usize = 8 << 10;
/// Connections that wait; with as many all are written to at once, so that the first need not wait for long.
const MOST: usize = 16;

thread_local! {
    static TURN: RefCell<Turn> = const { RefCell::new(Turn { corked: Vec::new(), end: None, number: 0 }) };
}

/// A turn of this thread.
struct Turn {
    corked: Vec<Arc<dyn Uncork>>,
    /// Wakes what ends the turn; none off the lanes.
    end: Option<Waker>,
    number: u64,
}

/// Has writes wait on the thread of `runtime`. Nothing changes in a runtime of many threads, whose tasks have none of
/// their own.
pub fn take_turns(runtime: &Handle) {
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        runtime.spawn(unconstrained(Turns));
    }
}

/// Ends the turns of the thread that polls it.
struct Turns;

impl Future for Turns {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        TURN.with_borrow_mut(|turn| turn.end = Some(context.waker().clone()));
        end_turn();
        Poll::Pending
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        TURN.with_borrow_mut(|turn| turn.end = None);
        end_turn();
    }
}

fn end_turn() {
    let mut corked = TURN.with_borrow_mut(|turn| mem::take(&mut turn.corked));
    for connection in corked.drain(..) {
        connection.uncork();
    }
    // Its memory serves the next turn.
    TURN.with_borrow_mut(|turn| {
        turn.number += 1;
        mem::swap(&mut turn.corked, &mut corked);
    });
}

/// The number of this thread's turn.
pub fn turn() -> u64 {
    TURN.with_borrow(|turn| turn.number)
}

/// Whether what was written in that turn of this thread has gone out. Once something waits, it soon will.
pub fn is_out(number: u64) -> bool {
    TURN.with_borrow(|turn| turn.corked.is_empty() || turn.number > number)
}

/// Whether writes of this thread may wait.
fn may_wait() -> bool {
    TURN.with_borrow(|turn| turn.end.is_some())
}

/// Puts a connection on the list of this turn.
fn wait(connection: Arc<dyn Uncork>) {
    let waiting = TURN.with_borrow_mut(|turn| {
        if let (true, Some(end)) = (turn.corked.is_empty(), &turn.end) {
            end.wake_by_ref();
        }
        turn.corked.push(connection);
        turn.corked.len()
    });
    if waiting >= MOST {
        end_turn();
    }
}

trait Uncork {
    fn uncork(&self);
}

/// A connection whose writes wait for the end of the turn. Reads go straight through.
pub struct Corked<I>(Arc<Mutex<Held<I>>>);

struct Held<I> {
    io: I,
    /// What was written and has not gone out.
    out: BytesMut,
    /// Who wrote, to be woken if it does not go out at once.
    writer: Waker,
    /// It stands in the list of a turn.
    waits: bool,
    failed: Option<io::Error>,
}

impl<I> Corked<I> {
    pub fn new(io: I) -> Corked<I> {
        let held =
            Held { io, out: BytesMut::new(), writer: Waker::noop().clone(), waits: false, failed: None };
        Corked(Arc::new(Mutex::new(held)))
    }
}

impl<I: Read + Write + Unpin> Held<I> {
    /// Hands on what was put aside.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(context, &self.out)) {
                Ok(sent) if sent > 0 => self.out.advance(sent),
                failed => {
                    self.out.clear();
                    return Poll::Ready(Err(failed.err().unwrap_or(io::ErrorKind::WriteZero.into())));
                }
            }
        }
        // An idle connection holds no buffer.
        self.out = BytesMut::new();
        Pin::new(&mut self.io).poll_flush(context)
    }
}

impl<I: Read + Write + Unpin> Uncork for Mutex<Held<I>> {
    fn uncork(&self) {
        let held = &mut *self.lock();
        held.waits = false;
        // Of a connection that is kept, nothing holds the task that wrote last.
        let writer = mem::replace(&mut held.writer, Waker::noop().clone());
        // If the other side takes no more just now, its writer is woken once it does, and flushes.
        if let Poll::Ready(Err(error)) = held.poll_out(&mut Context::from_waker(&writer)) {
            held.failed = Some(error);
            writer.wake();
        }
    }
}

impl<I: Read + Unpin> Read for Corked<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().io).poll_read(context, buffer)
    }
}

impl<I: Read + Write + Unpin + 'static> Write for Corked<I> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut guard = self.0.lock();
        let held = &mut *guard;
        let more: usize = bytes.iter().map(|piece| piece.len()).sum();
        if held.out.len() + more > LARGEST || held.failed.is_some() || !may_wait() {
            ready!(held.poll_out(context))?;
            return Pin::new(&mut held.io).poll_write_vectored(context, bytes);
        }
        held.out.reserve(more);
        bytes.iter().for_each(|piece| held.out.extend_from_slice(piece));
        held.writer.clone_from(context.waker());
        let waits = mem::replace(&mut held.waits, true);
        drop(guard);
        if !waits {
            wait(self.0.clone());
        }
        Poll::Ready(Ok(more))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let held = &mut *self.0.lock();
        match held.waits {
            true => Poll::Ready(Ok(())),
            false => held.poll_out(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let held = &mut *self.0.lock();
        ready!(held.poll_out(context))?;
        Pin::new(&mut held.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper_util::rt::TokioIo;
    use proptest::prelude::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::runtime::Builder;
    use tokio::task::yield_now;

    type End = Corked<TokioIo<DuplexStream>>;

    fn pipe(room: usize) -> (End, DuplexStream) {
        let (ours, theirs) = duplex(room);
        (Corked::new(TokioIo::new(ours)), theirs)
    }

    async fn write(end: &mut End, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let wrote = poll_fn(|context| Pin::new(&mut *end).poll_write(context, bytes)).await?;
            bytes = &bytes[wrote..];
        }
        Ok(())
    }

    async fn flush(end: &mut End) -> io::Result<()> {
        poll_fn(|context| Pin::new(&mut *end).poll_flush(context)).await
    }

    /// What has arrived so far.
    fn arrived(peer: &mut DuplexStream) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let mut read = std::pin::pin!(peer.read(&mut bytes));
        let read = match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => read.unwrap(),
            Poll::Pending => 0,
        };
        bytes.truncate(read);
        bytes
    }

    #[tokio::test]
    async fn what_a_turn_writes_goes_out_at_its_end() {
        take_turns(&Handle::current());
        yield_now().await;
        let ((mut a, mut to_a), (mut b, mut to_b)) = (pipe(99), pipe(99));
        write(&mut a, b"head ").await.unwrap();
        write(&mut b, b"other").await.unwrap();
        write(&mut a, b"body").await.unwrap();
        flush(&mut a).await.unwrap();
        assert_eq!((arrived(&mut to_a), arrived(&mut to_b)), (vec![], vec![]));
        // One that has gone meanwhile has said all of it too.
        drop(b);
        yield_now().await;
        assert_eq!((&*arrived(&mut to_a), &*arrived(&mut to_b)), (&b"head body"[..], &b"other"[..]));
        write(&mut a, b"next").await.unwrap();
        yield_now().await;
        assert_eq!(arrived(&mut to_a), b"next");
    }

    #[tokio::test]
    async fn nobody_waits_behind_many() {
        take_turns(&Handle::current());
        yield_now().await;
        let mut pipes: Vec<_> = (0..MOST + 1).map(|_| pipe(9)).collect();
        for (end, _) in &mut pipes {
            write(end, b"said").await.unwrap();
        }
        let out = pipes.iter_mut().map(|(_, peer)| arrived(peer)).filter(|said| said == b"said").count();
        assert_eq!(out, MOST);
    }

    #[tokio::test]
    async fn what_is_large_does_not_wait_and_keeps_its_place() {
        take_turns(&Handle::current());
        yield_now().await;
        let (mut end, mut peer) = pipe(1 << 20);
        write(&mut end, b"first").await.unwrap();
        write(&mut end, &[7; LARGEST]).await.unwrap();
        assert_eq!(arrived(&mut peer), [&b"first"[..], &[7; LARGEST]].concat());
    }

    #[test]
    fn nothing_waits_beyond_a_shutdown_or_the_end_of_its_lane() {
        let lane = Builder::new_current_thread().build().unwrap();
        let ((mut a, mut to_a), (mut b, mut to_b)) = (pipe(99), pipe(99));
        lane.block_on(async {
            take_turns(&Handle::current());
            yield_now().await;
            write(&mut a, b"shut").await.unwrap();
            poll_fn(|context| Pin::new(&mut a).poll_shutdown(context)).await.unwrap();
            assert_eq!(arrived(&mut to_a), b"shut");
            write(&mut b, b"as it ends").await.unwrap();
        });
        drop(lane);
        assert_eq!(arrived(&mut to_b), b"as it ends");
        Builder::new_current_thread().build().unwrap().block_on(write(&mut b, b", and after")).unwrap();
        assert_eq!(arrived(&mut to_b), b", and after");
    }

    #[tokio::test]
    async fn a_failure_reaches_the_one_who_wrote() {
        take_turns(&Handle::current());
        yield_now().await;
        let (mut end, peer) = pipe(99);
        drop(peer);
        write(&mut end, b"to nobody").await.unwrap();
        let mut looks = 0;
        let told = poll_fn(|context| {
            looks += 1;
            // Nothing else wakes this task.
            if looks == 1 { Poll::Pending } else { Pin::new(&mut end).poll_flush(context) }
        });
        assert_eq!(told.await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    proptest! {
        #[test]
        fn all_that_is_written_arrives_in_its_order_however_slowly_it_is_read(
            pieces in proptest::collection::vec((0usize..3 * LARGEST, any::<bool>()), 1..12),
            room in 1usize..2 * LARGEST,
        ) {
            let runtime = Builder::new_current_thread().build().unwrap();
            let written: Vec<u8> = (0..pieces.iter().map(|(length, _)| length).sum()).map(|at| at as u8).collect();
            let arrived = runtime.block_on(async {
                take_turns(&Handle::current());
                let (mut end, mut peer) = pipe(room);
                let mut rest = &written[..];
                let writing = async {
                    for (length, turn) in pieces {
                        let (piece, later) = rest.split_at(length);
                        rest = later;
                        write(&mut end, piece).await.unwrap();
                        if turn {
                            yield_now().await;
                            flush(&mut end).await.unwrap();
                        }
                    }
                    poll_fn(|context| Pin::new(&mut end).poll_shutdown(context)).await.unwrap();
                };
                let mut arrived = Vec::new();
                let (_, read) = tokio::join!(writing, peer.read_to_end(&mut arrived));
                read.unwrap();
                arrived
            });
            prop_assert_eq!(arrived, written);
        }
    }
}
