//! Going down, and being full.

use super::*;
use tokio::time::Instant;

#[tokio::test]
async fn a_live_stream_finishes_while_nothing_new_is_taken() {
    let (bodies, mut body) = mpsc::unbounded_channel();
    let served = listen(
        move |ask: Ask| {
            let bodies = bodies.clone();
            async move {
                if ask.target.path() != "/stream" {
                    return echo(ask).await;
                }
                let (send, chunks) = channel();
                bodies.send(send).unwrap();
                Ok(flow(chunks))
            }
        },
        limits(),
    )
    .await;
    let (mut streaming, mut idle) = (served.connect().await, served.connect().await);
    idle.send(get("/idle")).await;
    idle.answer().await;
    streaming.send(get("/stream")).await;
    let body = body.recv().await.unwrap();
    body.send(Ok("before ".into())).unwrap();
    streaming.until("before ").await;

    let Served { door, stop, drained } = served;
    drop(stop);
    assert_eq!(idle.rest().await, "", "an idle connection is kept open");
    assert!(TcpStream::connect(door).await.is_err(), "a new connection is taken");
    body.send(Ok("after".into())).unwrap();
    streaming.until("after").await;
    drop(body);
    assert_eq!(streaming.rest().await, "\r\n0\r\n\r\n");
    assert_eq!(drained.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test(start_paused = true)]
async fn what_does_not_finish_in_time_is_cut_and_counted() {
    let served = piped(|_| async { Ok(flow(Box::pin(stream::pending()))) }, limits());
    let (mut endless, fresh) = (served.connect(), served.connect());
    endless.send(get("/stream")).await;
    endless.head().await;
    let Served { stop, drained, door: _door } = served;
    let began = Instant::now();
    drop(stop);
    assert_eq!(drained.await.unwrap(), Drained { cut: 1 });
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(endless.rest().await, "");
    drop(fresh);
}

#[tokio::test]
async fn connections_over_the_cap_wait_their_turn() {
    let served = listen(echo, Limits { max_connections: 1, ..limits() }).await;
    let mut first = served.connect().await;
    first.send(get("/first")).await;
    assert_eq!(first.answer().await.1, "/first");
    let mut second = served.connect().await;
    second.send(get("/second")).await;
    // The first is still served, though the second knocked before it asked again.
    first.send(get("/again")).await;
    assert_eq!(first.answer().await.1, "/again");
    assert!(second.io.try_read(&mut [0; 1]).is_err(), "the cap does not hold");
    drop(first);
    assert_eq!(second.answer().await.1, "/second");
}
