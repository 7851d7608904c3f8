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
//! As with the kernel's own buffer, that a write succeeded says only that it was taken. Where it fails later, the next
//! write or flush says so. Where the other side takes no more for now, the turns go on with it, and the connection takes
//! no more either until they are through; it may be dropped meanwhile. Off the lanes nothing is put aside.

use bytes::{Buf, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::rt::{Read, ReadBufCursor, Write};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::VecDeque;
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
    static TURN: RefCell<Turn> =
        const { RefCell::new(Turn { corked: VecDeque::new(), blocked: Vec::new(), end: None, number: 0 }) };
}

/// A turn of this thread.
struct Turn {
    corked: VecDeque<Arc<dyn Uncork>>,
    /// Those that take no more just now.
    blocked: Vec<Arc<dyn Uncork>>,
    /// Wakes what ends the turn; none off the lanes.
    end: Option<Waker>,
    number: u64,
}

/// Has writes wait on the thread of `runtime`. Nothing changes in a runtime of many threads, whose tasks have none of
/// their own.
pub fn take_turns(runtime: &Handle) {
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        runtime.spawn(unconstrained(Turns { blocked: FuturesUnordered::new() }));
    }
}

/// Ends the turns of the thread that polls it, and writes on where it could not write at once.
struct Turns {
    blocked: FuturesUnordered<Blocked>,
}

impl Future for Turns {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        TURN.with_borrow_mut(|turn| turn.end = Some(context.waker().clone()));
        end_turn();
        let blocked = TURN.with_borrow_mut(|turn| mem::take(&mut turn.blocked));
        self.blocked.extend(blocked.into_iter().map(Blocked));
        while let Poll::Ready(Some(())) = self.blocked.poll_next_unpin(context) {}
        Poll::Pending
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        TURN.with_borrow_mut(|turn| turn.end = None);
        end_turn();
    }
}

/// Done once all that was put aside has gone out.
struct Blocked(Arc<dyn Uncork>);

impl Future for Blocked {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.uncork(context)
    }
}

/// Writes to all that wait; those that take no more just now are left to `Turns`.
fn end_turn() {
    while let Some(connection) = TURN.with_borrow_mut(|turn| turn.corked.pop_front()) {
        if connection.uncork(&mut Context::from_waker(Waker::noop())).is_pending() {
            TURN.with_borrow_mut(|turn| {
                turn.blocked.push(connection);
                turn.end.iter().for_each(Waker::wake_by_ref);
            });
        }
    }
    TURN.with_borrow_mut(|turn| turn.number += 1);
}

/// The number of this thread's turn.
pub fn turn() -> u64 {
    TURN.with_borrow(|turn| turn.number)
}

/// Whether the turn with that number, of this thread, has ended. Once something waits, it soon will; where nothing
/// does, there is nothing to end.
pub fn is_over(number: u64) -> bool {
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
        turn.corked.push_back(connection);
        turn.corked.len()
    });
    if waiting >= MOST {
        end_turn();
    }
}

trait Uncork: Send + Sync {
    /// Hands on what was put aside. Ready once that has gone out, or failed.
    fn uncork(&self, context: &mut Context<'_>) -> Poll<()>;
}

/// A connection whose writes wait for the end of the turn. Reads go straight through.
pub struct Corked<I>(Arc<Mutex<Held<I>>>);

struct Held<I> {
    io: I,
    /// What was written and has not gone out. While there is some, the connection is on a list.
    out: BytesMut,
    /// On a list of a turn, once only.
    listed: bool,
    /// The other side takes no more just now.
    blocked: bool,
    /// Who wrote or flushed last, to be woken once it is not blocked any more.
    writer: Waker,
    failed: Option<io::Error>,
}

impl<I> Corked<I> {
    pub fn new(io: I) -> Corked<I> {
        let held = Held {
            io,
            out: BytesMut::new(),
            listed: false,
            blocked: false,
            writer: Waker::noop().clone(),
            failed: None,
        };
        Corked(Arc::new(Mutex::new(held)))
    }
}

impl<I: Read + Write + Unpin> Held<I> {
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    /// Ready once nothing waits any more. It goes out now if it can; if not, the turns go on with it, and wake the
    /// caller.
    fn poll_clear(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        if !self.blocked {
            if self.out.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(cleared) = self.poll_out(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(cleared);
            }
        }
        self.blocked = true;
        self.writer.clone_from(context.waker());
        Poll::Pending
    }
}

impl<I: Read + Write + Unpin + Send> Uncork for Mutex<Held<I>> {
    fn uncork(&self, context: &mut Context<'_>) -> Poll<()> {
        let held = &mut *self.lock();
        // What has gone out may still lie with TLS.
        if held.blocked || !held.out.is_empty() {
            let Poll::Ready(cleared) = held.poll_out(context) else {
                held.blocked = true;
                return Poll::Pending;
            };
            held.failed = cleared.err();
            if mem::replace(&mut held.blocked, false) || held.failed.is_some() {
                mem::replace(&mut held.writer, Waker::noop().clone()).wake();
            }
        }
        held.listed = false;
        Poll::Ready(())
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

impl<I: Read + Write + Unpin + Send + 'static> Write for Corked<I> {
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
        if held.blocked || held.failed.is_some() || held.out.len() + more > LARGEST || !may_wait() {
            ready!(held.poll_clear(context))?;
            return Pin::new(&mut held.io).poll_write_vectored(context, bytes);
        }
        let listed = mem::replace(&mut held.listed, true);
        held.out.reserve(more);
        bytes.iter().for_each(|piece| held.out.extend_from_slice(piece));
        held.writer.clone_from(context.waker());
        drop(guard);
        if !listed {
            wait(self.0.clone());
        }
        Poll::Ready(Ok(more))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What waits for the end of the turn counts as flushed.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let held = &mut *self.0.lock();
        if held.blocked || held.failed.is_some() {
            ready!(held.poll_clear(context))?;
        }
        if held.out.is_empty() {
            return Pin::new(&mut held.io).poll_flush(context);
        }
        held.writer.clone_from(context.waker());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let held = &mut *self.0.lock();
        ready!(held.poll_clear(context))?;
        Pin::new(&mut held.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
