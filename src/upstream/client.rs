//! One HTTP exchange, with its time limits.
//!
//! Three limits, each its own fault: `connect_timeout` (`UpstreamUnreachable`), `first_byte_timeout`
//! from the last byte of the request to the head of the answer, and `idle_timeout` between two chunks
//! of it (`UpstreamTimeout`). Everything else that goes wrong after the connection stands is
//! `UpstreamBroke`; a body shorter than its `content-length`, or chunks without their end, among it.

use super::connect::{Failure, TimedOut};
use super::connections::{Answer, Failed};
use super::deployment::Deployment;
use super::headers::{self, Framing};
use super::{Chunks, Incoming, Outgoing, OutgoingBody, Way};
use crate::base::fault::{Fault, Kind};
use bytes::Bytes;
use futures_util::Stream;
use http::Method;
use http::header::{CONTENT_LENGTH, HOST, HeaderValue};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

impl Deployment {
    /// Sends one request and returns as soon as the head of its answer is in. Any status is an
    /// answer; a redirect is not followed. Nothing is sent twice: only a request of which no byte went out,
    /// because its kept connection was closed meanwhile, goes to another connection. Dropping the future or the
    /// answer's body closes the connection to the upstream.
    ///
    /// # Errors
    /// `UpstreamUnreachable`, `UpstreamTimeout`, `UpstreamBroke`, `InvalidRequest` for a target that
    /// cannot be forwarded, or the fault that the request's own body ended in.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Incoming, Fault> {
        let (outgoing, reading) = self.adapter.prepare(outgoing, self.credential.as_ref())?;
        let target = self.behind(outgoing.target)?;
        let mut map = outgoing.headers;
        let (body, upload) = match outgoing.body {
            OutgoingBody::Whole(bytes) => {
                headers::for_upstream(&mut map, Framing::Counted);
                // Where a body is expected, its absence is declared too (RFC 9110 §8.6); the
                // transport counts every other body.
                if bytes.is_empty() && matches!(outgoing.method, Method::POST | Method::PUT | Method::PATCH) {
                    map.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                }
                (Sending::Whole(bytes), None)
            }
            OutgoingBody::Flow(chunks) => {
                headers::for_upstream(&mut map, Framing::AsDeclared);
                let upload = Arc::new(Mutex::new(Upload { last: Instant::now(), fault: None }));
                (Sending::Flow { chunks, upload: upload.clone() }, Some(upload))
            }
        };
        map.insert(HOST, self.host.clone());
        let mut request = http::Request::new(body);
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = target.into();
        *request.headers_mut() = map;

        let answer = tokio::select! {
            biased;
            answer = self.connections.send(request) => answer.map_err(|failed| self.failed(failed, upload.as_deref()))?,
            () = silence(self.first_byte_timeout, upload.as_deref()) => return Err(self.no_answer()),
        };
        reading.receive(&self.name, self.incoming(answer)).await
    }

    fn incoming(&self, answer: http::Response<Answer>) -> Incoming {
        let (parts, body) = answer.into_parts();
        let mut map = parts.headers;
        headers::strip_hop_by_hop(&mut map);
        let body = Body {
            inner: body,
            name: self.name.clone(),
            idle: self.idle_timeout,
            limit: None,
            waiting: false,
            ended: false,
        };
        Incoming {
            status: parts.status,
            headers: map,
            way: Way::straight(self.name.clone()),
            body: Box::pin(body),
        }
    }

    fn no_answer(&self) -> Fault {
        let limit = humantime::format_duration(self.first_byte_timeout);
        Fault::new(
            Kind::UpstreamTimeout,
            format!(
                "upstream {} did not begin its answer within {limit}; raise `first_byte_timeout` if it needs longer",
                self.name
            ),
        )
    }

    /// The fault behind an exchange that ended before the head of an answer.
    fn failed(&self, failed: Failed, upload: Option<&Mutex<Upload>>) -> Fault {
        if let Some(fault) = upload.and_then(|upload| upload.lock().fault.take()) {
            return fault;
        }
        match failed {
            Failed::Connect(failure) => self.unreachable(failure),
            Failed::Broke(error) => {
                let message = format!("upstream {} broke off before its answer: {}", self.name, root(&error));
                Fault::new(Kind::UpstreamBroke, message).caused_by(error)
            }
        }
    }

    fn unreachable(&self, failure: Failure) -> Fault {
        let name = &self.name;
        let message = if failure.is::<TimedOut>() {
            let limit = humantime::format_duration(self.connect_timeout);
            format!(
                "no connection to upstream {name} within {limit}; check that its address can be reached, or raise `connect_timeout`"
            )
        } else {
            let root = root(failure.as_ref());
            format!("no connection to upstream {name}: {root}; check that it runs and that `url` is right")
        };
        Fault::new(Kind::UpstreamUnreachable, message).caused_by(failure)
    }
}

/// The innermost cause, which is the one that says something.
fn root(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

/// How far a flowing request body has come.
pub(super) struct Upload {
    /// When a chunk was last handed to the connection.
    last: Instant,
    /// What the client's side ended in.
    fault: Option<Fault>,
}

/// Completes once `limit` has passed, and no part of the upload moved within it.
async fn silence(limit: Duration, upload: Option<&Mutex<Upload>>) {
    let Some(upload) = upload else { return sleep(limit).await };
    loop {
        let due = upload.lock().last + limit;
        if Instant::now() >= due {
            return;
        }
        sleep_until(due).await;
    }
}

/// A request body on its way. One that flows notes its progress, and the fault that it ends in.
pub(super) enum Sending {
    Whole(Bytes),
    Flow { chunks: Chunks, upload: Arc<Mutex<Upload>> },
}

/// Stands in for the fault of the client's side while the connection is torn down.
#[derive(Debug, thiserror::Error)]
#[error("the request body broke off")]
pub(super) struct BrokeOff;

impl Sending {
    pub fn flows(&self) -> bool {
        matches!(self, Sending::Flow { .. })
    }
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let (chunks, upload) = match self.get_mut() {
            Sending::Whole(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Sending::Whole(bytes) => return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Sending::Flow { chunks, upload } => (chunks, upload),
        };
        let next = ready!(chunks.as_mut().poll_next(context));
        let mut upload = upload.lock();
        upload.last = Instant::now();
        Poll::Ready(match next {
            None => None,
            Some(Ok(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Err(fault)) => {
                upload.fault = Some(fault);
                Some(Err(BrokeOff))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Sending::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Sending::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Sending::Flow { .. } => SizeHint::default(),
        }
    }
}

/// An answer's body. The time between two chunks counts only while somebody waits for one, so a
/// slow client is not taken for a slow upstream.
struct Body {
    inner: Answer,
    name: Arc<str>,
    idle: Duration,
    /// Made the first time that a chunk is not there yet.
    limit: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    ended: bool,
}

impl Stream for Body {
    type Item = Result<Bytes, Fault>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            match this.inner.poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.waiting = false;
                    // Trailers end at this hop.
                    if let Ok(bytes) = frame.into_data()
                        && !bytes.is_empty()
                    {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    this.ended = true;
                    let message = format!("upstream {} broke off in mid-answer: {}", this.name, root(&error));
                    let fault = Fault::new(Kind::UpstreamBroke, message).caused_by(error);
                    return Poll::Ready(Some(Err(fault)));
                }
                Poll::Ready(None) => {
                    this.ended = true;
                    return Poll::Ready(None);
                }
                Poll::Pending => break,
            }
        }
        let idle = this.idle;
        let limit = this.limit.get_or_insert_with(|| {
            this.waiting = true;
            Box::pin(sleep(idle))
        });
        if !this.waiting {
            this.waiting = true;
            limit.as_mut().reset(Instant::now() + idle);
        }
        ready!(limit.as_mut().poll(context));
        this.ended = true;
        let span = humantime::format_duration(idle);
        let message = format!(
            "upstream {} sent nothing for {span} in mid-answer; raise `idle_timeout` if it may pause so long",
            this.name
        );
        Poll::Ready(Some(Err(Fault::new(Kind::UpstreamTimeout, message))))
    }
}
