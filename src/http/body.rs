//! Request bodies read whole or flowing, reply bodies written.

use crate::base::fault::{Fault, Kind};
use crate::config::Limits;
use crate::gateway::ReplyBody;
use crate::upstream::Chunks;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// Reserved at once for a declared length; a longer body grows as it comes.
const RESERVED: u64 = 1024 * 1024;
/// How long the rest of a refused body is read and thrown away, so that the client gets to read why.
const LINGER: Duration = Duration::from_secs(2);

/// Reads a body to its end. A body in one piece is not copied.
///
/// # Errors
/// `BodyTooLarge` over `max_body`, before anything is read where the length is declared;
/// `RequestTimeout` after `body_timeout`; `InvalidRequest` for broken chunks or a client that left.
pub(super) async fn read_whole(
    mut body: Incoming,
    expects: Expects,
    limits: &Limits,
) -> Result<Bytes, Fault> {
    let declared = body.size_hint().lower();
    if declared > limits.max_body as u64 {
        if expects == Expects::Nothing {
            discard(&mut body, limits.max_body).await;
        }
        return Err(too_large(limits.max_body));
    }
    match timeout(limits.body_timeout, collect(&mut body, declared, limits.max_body)).await {
        Ok(Collected::Whole(bytes)) => Ok(bytes),
        Ok(Collected::Broken(error)) => Err(broken(error)),
        Ok(Collected::TooLarge) => {
            discard(&mut body, limits.max_body).await;
            Err(too_large(limits.max_body))
        }
        Err(_) => Err(too_slow(limits.body_timeout)),
    }
}

/// Whether the client waits for a word before it sends its body (`expect: 100-continue`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expects {
    Nothing,
    Continue,
}

enum Collected {
    Whole(Bytes),
    TooLarge,
    Broken(hyper::Error),
}

async fn collect(body: &mut Incoming, declared: u64, max: usize) -> Collected {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let piece = match frame {
            Ok(frame) => frame.into_data().unwrap_or_default(),
            Err(error) => return Collected::Broken(error),
        };
        let have = first.as_ref().map_or(rest.len(), Bytes::len);
        if piece.len() > max - have {
            return Collected::TooLarge;
        }
        match first.take() {
            None if rest.is_empty() => first = Some(piece),
            None => rest.extend_from_slice(&piece),
            Some(begun) => {
                rest.reserve((declared.min(RESERVED) as usize).max(begun.len() + piece.len()));
                rest.extend_from_slice(&begun);
                rest.extend_from_slice(&piece);
            }
        }
    }
    Collected::Whole(first.unwrap_or_else(|| rest.freeze()))
}

/// Reads on for `LINGER` or `most` bytes: a close with unread bytes would reset the connection, and
/// take the answer with it.
async fn discard(body: &mut Incoming, most: usize) {
    let mut left = most;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            if size > left {
                return;
            }
            left -= size;
        }
    };
    // Err: the client is still sending; it has had its chance.
    let _ = timeout(LINGER, reading).await;
}

fn too_large(max: usize) -> Fault {
    let message = format!("the request body is over {max} bytes; send less, or raise `server.max_body`");
    Fault::new(Kind::BodyTooLarge, message)
}

fn too_slow(limit: Duration) -> Fault {
    let limit = humantime::format_duration(limit);
    let message = format!(
        "the request body did not come within {limit}; send it faster, or raise `server.body_timeout`"
    );
    Fault::new(Kind::RequestTimeout, message)
}

fn broken(error: hyper::Error) -> Fault {
    Fault::new(Kind::InvalidRequest, format!("the request body broke off or is not HTTP: {error}"))
        .caused_by(error)
}

/// A request body that flows. `idle` is the longest wait for one chunk.
pub(super) struct Upload {
    body: Incoming,
    idle: Duration,
    limit: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Upload {
    pub fn flow(body: Incoming, idle: Duration) -> Chunks {
        Box::pin(Upload { body, idle, limit: None, waiting: false })
    }
}

impl Stream for Upload {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(broken(error)))),
                Poll::Ready(Some(Ok(frame))) => {
                    this.waiting = false;
                    if let Ok(bytes) = frame.into_data()
                        && !bytes.is_empty()
                    {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Poll::Pending => break,
            }
        }
        let idle = this.idle;
        let limit = this.limit.get_or_insert_with(|| Box::pin(sleep(idle)));
        if !this.waiting {
            this.waiting = true;
            limit.as_mut().reset(Instant::now() + idle);
        }
        ready!(limit.as_mut().poll(context));
        Poll::Ready(Some(Err(too_slow(idle))))
    }
}

/// A reply body on its way out. An error in it ends the connection.
pub(super) enum Download {
    Whole { pieces: std::vec::IntoIter<Bytes>, left: u64 },
    Flow(Chunks),
}

impl From<ReplyBody> for Download {
    fn from(body: ReplyBody) -> Download {
        match body {
            ReplyBody::Flow(chunks) => Download::Flow(chunks),
            ReplyBody::Whole(pieces) => {
                let left = pieces.iter().map(|piece| piece.len() as u64).sum();
                Download::Whole { pieces: pieces.into_iter(), left }
            }
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.get_mut() {
            Download::Whole { pieces, left } => {
                let next = pieces.find(|piece| !piece.is_empty());
                *left -= next.as_ref().map_or(0, |piece| piece.len() as u64);
                Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
            }
            Download::Flow(chunks) => {
                let next = ready!(chunks.as_mut().poll_next(context));
                if let Some(Err(fault)) = &next {
                    tracing::debug!(code = fault.kind.code(), %fault, "reply cut");
                }
                Poll::Ready(next.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Download::Whole { left: 0, .. })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Download::Whole { left, .. } => SizeHint::with_exact(*left),
            Download::Flow(_) => SizeHint::default(),
        }
    }
}
