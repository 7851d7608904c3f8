use super::*;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use std::future::poll_fn;
use tokio::io::{AsyncReadExt, BufWriter, DuplexStream, duplex};
use tokio::runtime::Builder;
use tokio::task::yield_now;

type End = Corked<TokioIo<DuplexStream>>;

fn pipe(room: usize) -> (End, DuplexStream) {
    let (ours, theirs) = duplex(room);
    (Corked::new(TokioIo::new(ours)), theirs)
}

async fn write(end: &mut (impl Write + Unpin), mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let wrote = poll_fn(|context| Pin::new(&mut *end).poll_write(context, bytes)).await?;
        bytes = &bytes[wrote..];
    }
    Ok(())
}

async fn flush(end: &mut (impl Write + Unpin)) -> io::Result<()> {
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
async fn who_reads_slowly_gets_all_of_it_though_the_connection_is_gone() {
    take_turns(&Handle::current());
    yield_now().await;
    let (mut end, mut peer) = pipe(4);
    write(&mut end, b"more than there is room for").await.unwrap();
    flush(&mut end).await.unwrap();
    yield_now().await;
    let context = &mut Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut end).poll_flush(context).is_pending(), "blocked, and says so");
    assert!(Pin::new(&mut end).poll_write(context, b"yet more").is_pending());
    drop(end);
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, b"more than there is room for");
}

#[tokio::test]
async fn what_lies_with_tls_is_flushed_too() {
    take_turns(&Handle::current());
    yield_now().await;
    let (ours, mut peer) = duplex(4);
    // As TLS does, it takes what is written, and hands it on when flushed.
    let mut end = Corked::new(TokioIo::new(BufWriter::new(ours)));
    let writing = async {
        write(&mut end, b"said").await.unwrap();
        write(&mut end, &[7; LARGEST]).await.unwrap();
        flush(&mut end).await.unwrap();
        write(&mut end, b"and more").await.unwrap();
        yield_now().await;
        flush(&mut end).await.unwrap();
    };
    let expected = [&b"said"[..], &[7; LARGEST], b"and more"].concat();
    let mut read = vec![0; expected.len()];
    let (_, arrived) = tokio::join!(writing, peer.read_exact(&mut read));
    arrived.unwrap();
    assert!(read == expected);
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
