//! The two edges of the path: what a client may do to us, and what an upstream may.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admin;
mod drain;
mod requests;
mod troubles;
mod upstream;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use reprise::base::corked;
use reprise::base::fault::Fault;
use reprise::base::tasks::Tasks;
use reprise::config::Limits;
use reprise::gateway::{Ask, AskBody, Reply, ReplyBody};
use reprise::http::{Accept, Drained, Front};
use reprise::upstream::Chunks;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

const CHAT: &str = "/v1/chat/completions";

fn limits() -> Limits {
    Limits {
        max_body: 1_000,
        max_headers: 8_192,
        header_timeout: Duration::from_secs(30),
        body_timeout: Duration::from_secs(60),
        max_connections: 100,
    }
}

/// A front that runs until it is dropped or told to stop.
struct Served<D> {
    door: D,
    stop: DropGuard,
    drained: oneshot::Receiver<Drained>,
}

impl<D> Served<D> {
    fn run<L, S, F>(door: D, listener: L, service: S, limits: Limits) -> Served<D>
    where
        L: Accept + 'static,
        S: Fn(Ask) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Reply, Fault>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let stopping = stop.clone().cancelled_owned();
        let (tell, drained) = oneshot::channel();
        let tasks = Tasks::new();
        // As on a lane.
        corked::take_turns(&tokio::runtime::Handle::current());
        tasks.clone().spawn(async move {
            let drain = Duration::from_secs(30);
            let _ = tell.send(Front::run(listener, service, limits, drain, &tasks, stopping).await);
        });
        Served { door, stop: stop.drop_guard(), drained }
    }
}

/// A front on a real socket.
async fn listen<S, F>(service: S, limits: Limits) -> Served<SocketAddr>
where
    S: Fn(Ask) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Reply, Fault>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Served::run(listener.local_addr().unwrap(), listener, service, limits)
}

impl Served<SocketAddr> {
    async fn connect(&self) -> Raw<TcpStream> {
        Raw::new(TcpStream::connect(self.door).await.unwrap())
    }
}

/// Connections without sockets, for scenes whose clock stands still until all are waiting.
struct Pipes(mpsc::UnboundedReceiver<DuplexStream>);

impl Accept for Pipes {
    type Accepted = DuplexStream;
    type Connection = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Option<SocketAddr>)> {
        match self.0.recv().await {
            Some(pipe) => Ok((pipe, None)),
            None => std::future::pending().await,
        }
    }

    fn open(accepted: DuplexStream) -> io::Result<DuplexStream> {
        Ok(accepted)
    }
}

fn piped<S, F>(service: S, limits: Limits) -> Served<mpsc::UnboundedSender<DuplexStream>>
where
    S: Fn(Ask) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Reply, Fault>> + Send + 'static,
{
    let (door, pipes) = mpsc::unbounded_channel();
    Served::run(door, Pipes(pipes), service, limits)
}

impl Served<mpsc::UnboundedSender<DuplexStream>> {
    fn connect(&self) -> Raw<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(1_024);
        self.door.send(theirs).unwrap();
        Raw::new(ours)
    }
}

/// One end of a connection, byte by byte.
struct Raw<T> {
    io: T,
    read: Vec<u8>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Raw<T> {
    fn new(io: T) -> Raw<T> {
        Raw { io, read: Vec::new() }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.io.write_all(bytes.as_ref()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Reads up to and with `end`.
    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end.as_bytes()) {
                let text = self.read.drain(..at + end.len()).collect();
                return String::from_utf8(text).unwrap();
            }
            let got = self.io.read_buf(&mut self.read).await.unwrap();
            assert_ne!(got, 0, "closed before {end:?}: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// One head, in lower case.
    async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await.to_ascii_lowercase()
    }

    async fn take(&mut self, count: usize) -> String {
        while self.read.len() < count {
            assert_ne!(self.io.read_buf(&mut self.read).await.unwrap(), 0, "closed early");
        }
        String::from_utf8(self.read.drain(..count).collect()).unwrap()
    }

    /// One answer that declares its length: head in lower case, and body.
    async fn answer(&mut self) -> (String, String) {
        let head = self.head().await;
        let length = field(&head, "content-length").expect("a length").parse().unwrap();
        let body = self.take(length).await;
        (head, body)
    }

    /// Everything until the other side closes, however it does.
    async fn rest(&mut self) -> String {
        let _ = self.io.read_to_end(&mut self.read).await;
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Answers with the path, or with the body where it came whole.
async fn echo(ask: Ask) -> Result<Reply, Fault> {
    let body = match ask.body {
        AskBody::Whole(bytes) if !bytes.is_empty() => bytes,
        _ => Bytes::from(ask.target.to_string()),
    };
    Ok(Reply::whole(StatusCode::OK, HeaderMap::new(), body))
}

/// A body that gives what is sent to the channel, and ends when the sender goes.
fn channel() -> (mpsc::UnboundedSender<Result<Bytes, Fault>>, Chunks) {
    let (send, receive) = mpsc::unbounded_channel();
    let chunks = stream::unfold(receive, |mut receive: mpsc::UnboundedReceiver<_>| async move {
        Some((receive.recv().await?, receive))
    });
    (send, Box::pin(chunks))
}

fn flow(chunks: Chunks) -> Reply {
    Reply { status: StatusCode::OK, headers: HeaderMap::new(), body: ReplyBody::Flow(chunks) }
}
