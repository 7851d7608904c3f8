//! Connections to one upstream (HTTP/1.1), kept between requests, each driven by the request that uses it.
//!
//! hyper-util's client gives every connection a task of its own, so that a request crosses from task to
//! task, and often from core to core, for its head, for every chunk, and once more when the connection goes
//! back. Here the task that waits for the answer also moves the connection's bytes, unless the request
//! flows as well: that spares about a quarter of a miss's CPU (`scripts/load`, 88 against 74 us).

use super::client::Sending;
use super::connect::{Connector, Failure, Io};
use futures_util::future::poll_fn;
use http::{Request, Response};
use http_body::Body as _;
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use parking_lot::Mutex;
use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::runtime::{self, Handle};
use tokio::time::Instant;

/// Idle connections kept open to one upstream.
const IDLE_CONNECTIONS: usize = 1_024;
/// How long an idle connection is kept. Common servers close theirs after 5 s to 75 s; one that the
/// upstream closed is noticed and not used again.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// Why no head of an answer came.
#[derive(Debug)]
pub(super) enum Failed {
    /// There is no connection. Nothing was sent.
    Connect(Failure),
    /// The connection stood, and broke off.
    Broke(hyper::Error),
}

/// The connections of one upstream. Shared by `Arc`.
pub(super) struct Connections {
    connector: Connector,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The one used last, by a lane, is used next, so that those which are not needed grow old.
    idle: Vec<Idle>,
    /// A task closes those that have grown old.
    swept: bool,
}

struct Idle {
    open: Box<Open>,
    since: Instant,
}

/// A connection. Nothing moves on it unless `drive` is called, but for what waits for the end of a turn (`corked`).
struct Open {
    sender: SendRequest<Sending>,
    connection: http1::Connection<Io, Sending>,
    over: bool,
    /// The runtime whose thread waits for its events.
    lane: runtime::Id,
}

impl Open {
    /// Moves bytes both ways as far as they go.
    fn drive(&mut self, context: &mut Context<'_>) {
        // An error reaches the one who waits for the answer, or its body.
        self.over = self.over || Pin::new(&mut self.connection).poll(context).is_ready();
    }

    /// Whether the next request may be sent. `Ready(false)`: never again.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.drive(context);
        if self.over {
            Poll::Ready(false)
        } else {
            self.sender.poll_ready(context).map(|ready| ready.is_ok())
        }
    }

    /// Whether it stands, and waits for a request.
    fn is_idle(&mut self, context: &mut Context<'_>) -> bool {
        matches!(self.poll_ready(context), Poll::Ready(true))
    }
}

impl Connections {
    pub fn new(connector: Connector) -> Connections {
        Connections { connector, kept: Mutex::default() }
    }

    /// Sends a request and waits for the head of its answer. A request of which no byte went out, because
    /// its kept connection had been closed, goes to another one; nothing is ever sent twice. Dropping the
    /// future, or the body before its end, closes the connection.
    pub async fn send(self: &Arc<Self>, mut request: Request<Sending>) -> Result<Response<Answer>, Failed> {
        let flows = request.body().flows();
        while let Some(open) = poll_fn(|context| Poll::Ready(self.kept(context))).await {
            match exchange(open, request).await {
                Ok(answer) => return Ok(self.answer(answer, flows)),
                Err((_, Some(unsent))) => request = *unsent,
                Err((error, None)) => return Err(Failed::Broke(error)),
            }
        }
        // Boxed, so that those who find a connection do not carry the state of opening one about.
        let open = Box::pin(self.open()).await?;
        match exchange(open, request).await {
            Ok(answer) => Ok(self.answer(answer, flows)),
            Err((error, _)) => Err(Failed::Broke(error)),
        }
    }

    async fn open(&self) -> Result<Box<Open>, Failed> {
        let io = self.connector.connect().await.map_err(Failed::Connect)?;
        let (sender, connection) = http1::handshake(io).await.map_err(Failed::Broke)?;
        let lane = Handle::current().id();
        let mut open = Box::new(Open { sender, connection, over: false, lane });
        // Once it has been driven it takes a request; if it is over, the request says why.
        poll_fn(|context| open.poll_ready(context)).await;
        Ok(open)
    }

    /// The connection that was used last and still stands. One of this lane, if there is one: another's events
    /// come by way of its thread, when that gets to it, which is still far cheaper than to connect.
    fn kept(&self, context: &mut Context<'_>) -> Option<Box<Open>> {
        let lane = Handle::current().id();
        loop {
            let Idle { mut open, since } = {
                let idle = &mut self.kept.lock().idle;
                let ours = idle.iter().rposition(|idle| idle.open.lane == lane);
                idle.remove(ours.or(idle.len().checked_sub(1))?)
            };
            if since.elapsed() < IDLE_FOR && open.is_idle(context) {
                return Some(open);
            }
        }
    }

    fn keep(self: &Arc<Self>, open: Box<Open>) {
        let mut kept = self.kept.lock();
        if kept.idle.len() < IDLE_CONNECTIONS {
            kept.idle.push(Idle { open, since: Instant::now() });
            if !mem::replace(&mut kept.swept, true) {
                behind(sweep(Arc::downgrade(self)));
            }
        }
    }

    /// A request that still flows must not wait for a client that reads nothing yet: from here on its
    /// connection is moved by a task of its own.
    fn answer(self: &Arc<Self>, (mut open, answer): Exchanged, flows: bool) -> Response<Answer> {
        let home = self.clone();
        if !flows {
            return answer.map(|body| Answer { body, open: Some(open), home });
        }
        let kept = home.clone();
        behind(async move {
            if poll_fn(|context| open.poll_ready(context)).await {
                kept.keep(open);
            }
        });
        answer.map(|body| Answer { body, open: None, home })
    }
}

/// A drain does not wait for what belongs to connections only.
#[expect(clippy::disallowed_methods, reason = "a connection that is left behind closes with the process")]
fn behind(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}

/// Closes connections that nobody needs any more, or that the upstream has closed, until none is idle.
async fn sweep(connections: Weak<Connections>) {
    loop {
        tokio::time::sleep(IDLE_FOR / 4).await;
        let Some(connections) = connections.upgrade() else { return };
        let mut context = Context::from_waker(Waker::noop());
        let mut kept = connections.kept.lock();
        kept.idle.retain_mut(|idle| idle.since.elapsed() < IDLE_FOR && idle.open.is_idle(&mut context));
        if kept.idle.is_empty() {
            kept.swept = false;
            return;
        }
    }
}

type Exchanged = (Box<Open>, Response<Incoming>);

/// The request comes back if no byte of it was sent.
async fn exchange(
    mut open: Box<Open>,
    request: Request<Sending>,
) -> Result<Exchanged, (hyper::Error, Option<Box<Request<Sending>>>)> {
    let answer = {
        let mut head = pin!(open.sender.try_send_request(request));
        poll_fn(|context| {
            open.over = open.over || Pin::new(&mut open.connection).poll(context).is_ready();
            head.as_mut().poll(context)
        })
        .await
    };
    match answer {
        Ok(answer) => Ok((open, answer)),
        Err(mut failed) => {
            let unsent = failed.take_message().map(Box::new);
            Err((failed.into_error(), unsent))
        }
    }
}

/// The body of an answer. Reading it moves its connection, which goes back when all of it is read.
pub(super) struct Answer {
    body: Incoming,
    open: Option<Box<Open>>,
    home: Arc<Connections>,
}

impl Answer {
    /// The next piece, or the end.
    pub fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<bytes::Bytes>>>> {
        let mut next = Pin::new(&mut self.body).poll_frame(context);
        if next.is_pending() {
            if let Some(open) = &mut self.open {
                open.drive(context);
            }
            next = Pin::new(&mut self.body).poll_frame(context);
        }
        match &next {
            Poll::Pending => {}
            Poll::Ready(Some(Err(_))) => self.open = None,
            Poll::Ready(None) => self.part(context),
            // With the last byte of a known length, since few readers come back to hear that it was the last.
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.part(context),
            Poll::Ready(Some(Ok(_))) => {}
        }
        next
    }

    /// The connection is free for others, if it stands and nothing is left on it.
    fn part(&mut self, context: &mut Context<'_>) {
        if let Some(mut open) = mem::take(&mut self.open)
            && open.is_idle(context)
        {
            self.home.keep(open);
        }
    }
}
