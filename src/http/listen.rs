//! The accept loop, the limits of a connection, and the drain.

use crate::base::corked::Corked;
use crate::base::tasks::Tasks;
use crate::config::Limits;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// The first wait after a failed `accept`; it doubles up to `LONGEST_WAIT`.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The smallest buffer that hyper takes.
const SMALLEST_BUFFER: usize = 8_192;

/// Where connections come from. A test may have its own kind.
pub trait Accept: Send {
    /// A connection that no thread waits on yet.
    type Accepted: Send + 'static;
    type Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection. Dropping the future loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Accepted, Option<SocketAddr>)>> + Send;

    /// Called where the connection will be served.
    fn open(accepted: Self::Accepted) -> io::Result<Self::Connection>;
}

impl Accept for TcpListener {
    type Accepted = std::net::TcpStream;
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<(std::net::TcpStream, Option<SocketAddr>)> {
        let (stream, peer) = TcpListener::accept(self).await?;
        // A socket that is already dead refuses the option; the connection then says so itself.
        let _ = stream.set_nodelay(true);
        Ok((stream.into_std()?, Some(peer)))
    }

    fn open(accepted: std::net::TcpStream) -> io::Result<TcpStream> {
        TcpStream::from_std(accepted)
    }
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy at the limit, and were cut.
    pub cut: usize,
}

/// Accepts until `stop` completes, one task for each connection, at most `limits.max_connections` at
/// once. Then takes no new connection, tells idle ones to close, lets requests in progress (streams
/// among them) finish for `drain` at most, and cuts the rest.
pub(super) async fn run<L, S, B>(
    mut listener: L,
    service: S,
    limits: &Limits,
    drain: Duration,
    tasks: &Tasks,
    stop: impl Future<Output = ()>,
) -> Drained
where
    L: Accept,
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let most = u32::try_from(limits.max_connections).unwrap_or(u32::MAX).clamp(1, 1 << 20);
    let seats = Arc::new(Semaphore::new(most as usize));
    let protocol = protocol(limits);
    let (closing, cutting) = (CancellationToken::new(), CancellationToken::new());
    let mut stop = pin!(stop);
    let mut wait = FIRST_WAIT;
    loop {
        let seated = async {
            let seat = seats.clone().acquire_owned().await;
            (seat, listener.accept().await)
        };
        let (seat, accepted) = tokio::select! {
            biased;
            () = &mut stop => break,
            seated = seated => seated,
        };
        let (accepted, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if died_early(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "cannot accept connections; raise the limit of open files if they ran out");
                tokio::select! {
                    biased;
                    () = &mut stop => break,
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
                }
                continue;
            }
        };
        wait = FIRST_WAIT;
        let (protocol, service) = (protocol.clone(), service.clone());
        let (closing, cutting) = (closing.clone(), cutting.clone());
        tasks.spread(async move {
            let ended = match L::open(accepted) {
                Ok(io) => {
                    let connection = protocol.serve_connection(Corked::new(TokioIo::new(io)), service);
                    serve(connection, closing, cutting).await
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot serve a connection that was accepted");
                    Ok(())
                }
            };
            if let Err(error) = ended {
                tracing::debug!(?peer, %error, "connection ended");
            }
            drop(seat);
        });
    }
    drop(listener);
    closing.cancel();
    if tokio::time::timeout(drain, seats.acquire_many(most)).await.is_ok() {
        return Drained { cut: 0 };
    }
    let cut = (most as usize).saturating_sub(seats.available_permits());
    cutting.cancel();
    tracing::warn!(cut, "drain limit reached; raise `server.drain` if requests take longer");
    Drained { cut }
}

/// Runs one connection to its end: its own, the orderly one of a drain, or the cut.
async fn serve<I, S, B>(
    connection: http1::Connection<Corked<TokioIo<I>>, S>,
    closing: CancellationToken,
    cutting: CancellationToken,
) -> hyper::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return ended,
        () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        biased;
        ended = connection => ended,
        () = cutting.cancelled() => Ok(()),
    }
}

fn protocol(limits: &Limits) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.max_headers)
        // Also bounds what is kept of a head that is not complete.
        .max_buf_size(limits.max_headers.max(SMALLEST_BUFFER));
    protocol
}

/// Whether `accept` failed for one connection only, which its client gave up already.
fn died_early(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
