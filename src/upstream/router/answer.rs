//! An answer on its way back: held until nothing can be retried any more, then watched to its end.
//!
//! Nothing of an answer goes to the client before the attempt has proved good: of a stream its first
//! chunk is there, and a plain body, which no client can use before it is whole, is there to its end
//! (up to `HELD`). So one that breaks off, or is shorter than it says, is still retried.

use super::fleet::Place;
use super::outcome::{Failed, Failure, Last, Outcome, Refusal, asked_to_wait};
use super::usage::Counted;
use crate::base::fault::{Fault, Kind};
use crate::upstream::{Chunks, Incoming};
use crate::wire::is_event_stream;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// Bytes of a plain body that is held until it is whole; a longer one flows from there on.
const HELD: usize = 256 << 10;
/// Where a deployment's own limits end an answer, and nothing else.
pub(super) const FAR: Duration = Duration::from_secs(86_400);
/// Bytes of an error's body that is read before the next attempt, and how long that may take.
const ERROR: usize = 64 << 10;
const ERROR_WAIT: Duration = Duration::from_secs(2);

/// What becomes of an answer whose head is in. Waits for the first byte of a stream, and for the end of
/// a plain body.
pub async fn judge(incoming: Incoming, place: Place) -> Outcome {
    let road = place.road();
    road.learn(&incoming.headers);
    let ours = road.reach.own_key || road.settings.model.is_some();
    if let Some(failure) = Failure::of_status(incoming.status, ours) {
        let after = asked_to_wait(failure, &incoming.headers);
        let incoming = hold(incoming, ERROR, Instant::now() + ERROR_WAIT).await.into_incoming();
        place.failed(failure, after);
        return Outcome::Failed(Failed { failure, last: Last::Answer(incoming) });
    }
    match incoming.status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            let held = hold(incoming, ERROR, Instant::now() + ERROR_WAIT).await;
            let refusal = Refusal::of_body(&held.start);
            place.succeeded();
            match refusal {
                Some(refusal) => Outcome::Refused(refusal, held.into_incoming()),
                None => Outcome::Answered(held.into_incoming()),
            }
        }
        _ => deliver(incoming, place).await,
    }
}

async fn deliver(mut incoming: Incoming, place: Place) -> Outcome {
    let first = match timeout_at(place.began() + place.road().reach.first_byte, incoming.body.next()).await {
        Ok(None) => Bytes::new(),
        Ok(Some(Ok(chunk))) => chunk,
        Ok(Some(Err(fault))) => return failed(fault, place),
        Err(_) => return failed(no_first_byte(&place), place),
    };
    place.first_byte();
    if is_event_stream(&incoming.headers) {
        let error = begins_with_error(&first);
        if error {
            place.failed(Failure::StreamError, None);
            incoming.body = Box::pin(Joined { start: Some(first), rest: incoming.body });
            return Outcome::Failed(Failed { failure: Failure::StreamError, last: Last::Answer(incoming) });
        }
        return Outcome::Answered(watched(incoming, first, place));
    }
    let limit = place.road().reach.whole.map(|whole| place.began() + whole);
    let held = hold_from(incoming, first, HELD, limit.unwrap_or_else(|| Instant::now() + FAR)).await;
    match held.end {
        End::Whole if is_cut_json(&held.headers, held.status, &held.start) => {
            let message = format!("upstream {} ended its answer in mid-object", place.road().name);
            failed(Fault::new(Kind::UpstreamBroke, message), place)
        }
        End::Whole => {
            let mut counted = Counted::default();
            counted.read(&held.start);
            counted.settle(&place);
            place.succeeded();
            Outcome::Answered(held.into_incoming())
        }
        End::Flows(_) if limit.is_some_and(|limit| Instant::now() >= limit) => {
            failed(too_long(&place), place)
        }
        End::Flows(_) => {
            let (start, incoming) = held.apart();
            Outcome::Answered(watched(incoming, start, place))
        }
        End::Broke(fault) => failed(fault, place),
    }
}

fn failed(fault: Fault, place: Place) -> Outcome {
    match Failure::of_fault(&fault) {
        None if fault.kind == Kind::InvalidRequest => Outcome::Declined(fault),
        None => Outcome::Unsendable(fault),
        Some(failure) => {
            place.failed(failure, None);
            Outcome::Failed(Failed { failure, last: Last::Fault(fault) })
        }
    }
}

/// An attempt whose exchange ended in a fault.
pub fn failed_exchange(fault: Fault, place: Place) -> Outcome {
    failed(fault, place)
}

/// An attempt whose head did not come in time.
pub fn timed_out(place: Place) -> Outcome {
    failed(no_first_byte(&place), place)
}

fn no_first_byte(place: &Place) -> Fault {
    let road = place.road();
    let limit = humantime::format_duration(road.reach.first_byte);
    let message = format!(
        "upstream {} did not begin its answer within {limit}; raise `first_byte_timeout` if it needs longer",
        road.name
    );
    Fault::new(Kind::UpstreamTimeout, message)
}

fn too_long(place: &Place) -> Fault {
    let road = place.road();
    let limit = humantime::format_duration(road.reach.whole.unwrap_or_default());
    let message = format!(
        "upstream {} did not end its answer within {limit}; raise `total_timeout` if it needs longer",
        road.name
    );
    Fault::new(Kind::UpstreamTimeout, message)
}

/// Some providers answer 200 and say in the first event that they will not.
fn begins_with_error(chunk: &[u8]) -> bool {
    let text = chunk.trim_ascii_start();
    text.starts_with(b"event: error")
        || text.starts_with(b"data: {\"error\":")
        || text.starts_with(b"data: {\"type\":\"error\"")
        || text.starts_with(b"data: {\"type\": \"error\"")
        || text.starts_with(b"data: {\"error\" :")
}

/// Whether a body that calls itself JSON is none, though its transport ended well: its length was a lie.
fn is_cut_json(headers: &HeaderMap, status: StatusCode, body: &[u8]) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
    status == StatusCode::OK
        && kind.starts_with(b"application/json")
        && !headers.contains_key(CONTENT_ENCODING)
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_err()
}

/// The start of a body, and how it goes on.
pub(super) struct Held {
    status: StatusCode,
    pub headers: HeaderMap,
    way: crate::upstream::Way,
    start: Bytes,
    end: End,
}

enum End {
    Whole,
    /// There is more, or it is late.
    Flows(Chunks),
    Broke(Fault),
}

impl Held {
    /// The whole body, where it ended within what was held.
    pub fn whole(&self) -> Option<&Bytes> {
        matches!(self.end, End::Whole).then_some(&self.start)
    }

    fn apart(self) -> (Bytes, Incoming) {
        let Held { status, headers, way, start, end } = self;
        let body: Chunks = match end {
            End::Whole => Box::pin(futures_util::stream::empty()),
            End::Flows(rest) => rest,
            End::Broke(fault) => Box::pin(futures_util::stream::iter([Err(fault)])),
        };
        (start, Incoming { status, headers, way, body })
    }

    pub fn into_incoming(self) -> Incoming {
        let (start, mut incoming) = self.apart();
        incoming.body = Box::pin(Joined { start: Some(start), rest: incoming.body });
        incoming
    }
}

pub(super) async fn hold(incoming: Incoming, most: usize, until: Instant) -> Held {
    hold_from(incoming, Bytes::new(), most, until).await
}

async fn hold_from(incoming: Incoming, first: Bytes, most: usize, until: Instant) -> Held {
    let Incoming { status, headers, way, mut body } = incoming;
    let (mut one, mut all) = (first, BytesMut::new());
    let end = loop {
        if one.len() + all.len() > most {
            break End::Flows(body);
        }
        match timeout_at(until, body.next()).await {
            Err(_) => break End::Flows(body),
            Ok(None) => break End::Whole,
            Ok(Some(Err(fault))) => break End::Broke(fault),
            // Most bodies come in one chunk, which is not copied.
            Ok(Some(Ok(chunk))) if one.is_empty() && all.is_empty() => one = chunk,
            Ok(Some(Ok(chunk))) => {
                if all.is_empty() {
                    all.extend_from_slice(&std::mem::take(&mut one));
                }
                all.extend_from_slice(&chunk);
            }
        }
    };
    let start = if all.is_empty() { one } else { all.freeze() };
    Held { status, headers, way, start, end }
}

/// What was read already, then the rest.
struct Joined {
    start: Option<Bytes>,
    rest: Chunks,
}

impl Stream for Joined {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.start.take() {
            Some(start) if !start.is_empty() => Poll::Ready(Some(Ok(start))),
            _ => self.rest.as_mut().poll_next(context),
        }
    }
}

fn watched(mut incoming: Incoming, first: Bytes, place: Place) -> Incoming {
    let deadline = place.road().reach.whole.map(|whole| Box::pin(sleep_until(place.began() + whole)));
    let rest = std::mem::replace(&mut incoming.body, Box::pin(futures_util::stream::empty()));
    let body = Joined { start: Some(first), rest };
    incoming.body = Box::pin(Watched { body, place: Some(place), deadline, counted: Counted::default() });
    incoming
}

/// An answer that flows: its end, good or bad, is the deployment's.
struct Watched {
    body: Joined,
    /// Taken at the end.
    place: Option<Place>,
    deadline: Option<Pin<Box<Sleep>>>,
    counted: Counted,
}

impl Stream for Watched {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.place.is_none() {
            return Poll::Ready(None);
        }
        let next = match Pin::new(&mut this.body).poll_next(context) {
            Poll::Ready(next) => next,
            Poll::Pending => match this.deadline.as_mut().map(|limit| limit.as_mut().poll(context)) {
                None | Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(())) => this.place.as_ref().map(|place| Err(too_long(place))),
            },
        };
        match &next {
            Some(Ok(chunk)) => this.counted.read(chunk),
            Some(Err(fault)) => {
                if let Some(place) = this.place.take() {
                    this.counted.settle(&place);
                    match Failure::of_fault(fault) {
                        Some(failure) => place.failed(failure, None),
                        None => drop(place),
                    }
                }
            }
            None => {
                if let Some(place) = this.place.take() {
                    this.counted.settle(&place);
                    place.succeeded();
                }
            }
        }
        Poll::Ready(next)
    }
}
