//! Answers of another dialect, read whole or event by event.

use super::failure;
use super::{Kind, anthropic, gemini};
use crate::base::fault::{self, Fault};
use crate::upstream::{Chunks, Incoming};
use crate::wire::is_event_stream;
use crate::wire::request::Form;
use crate::wire::sse;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING,
};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a whole answer, and of one event: a bound against an upstream that never ends.
const MOST: usize = 64 << 20;

/// The other dialect of an answer, and the form that the client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    pub(super) kind: Kind,
    pub(super) form: Form,
}

/// How the body of an answer is to be turned into the client's dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// A whole answer.
    Whole,
    /// Server-sent events.
    Events,
    /// A whole error.
    Error,
}

/// Why an answer cannot be turned into the client's dialect.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("it is no answer of its API")]
    NotReadable,
    #[error("its events come in no order that its API knows")]
    OutOfOrder,
    #[error("it ended before its last event")]
    Cut,
    #[error("it is larger than any answer")]
    TooBig,
    #[error("it comes in a coding that was not asked for")]
    Coded,
    #[error("the model ended it as {0}")]
    Unusable(String),
}

impl Foreign {
    /// The request's headers that belong to the body that is no longer sent, or to OpenAI alone.
    pub(super) fn clean(self, headers: &mut HeaderMap) {
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_ENCODING] {
            headers.remove(name);
        }
        for name in ["openai-organization", "openai-project", "openai-beta"] {
            headers.remove(name);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The answer is read here, so that it must come as it is.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if self.kind == Kind::Anthropic {
            anthropic_version(headers);
        }
    }

    /// Judges the head of an answer and makes its headers fit for the translated body.
    ///
    /// # Errors
    /// An answer that cannot be read: coded, or in another form than was asked for.
    pub fn head(self, status: http::StatusCode, headers: &mut HeaderMap) -> Result<BodyForm, Broken> {
        if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(Broken::Coded);
        }
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        failure::rename(headers);
        let events = is_event_stream(headers);
        if !status.is_success() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return Ok(BodyForm::Error);
        }
        match (self.form.stream, events) {
            (true, true) => Ok(BodyForm::Events),
            (false, false) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Ok(BodyForm::Whole)
            }
            _ => Err(Broken::NotReadable),
        }
    }

    /// A whole answer in the client's dialect. `created`: seconds since the Unix epoch.
    pub fn whole(self, body: &[u8], created: u64) -> Result<Bytes, Broken> {
        match self.kind {
            Kind::Gemini => gemini::body(body, created),
            _ => anthropic::body(body, created),
        }
    }

    /// A translator for a stream.
    pub fn events(self, created: u64) -> Events {
        let source = match self.kind {
            Kind::Gemini => Source::Gemini(gemini::Stream::new(self.form, created)),
            _ => Source::Anthropic(anthropic::Stream::new(self.form, created)),
        };
        Events { decoder: sse::Decoder::new(MOST), pending: Vec::new(), source }
    }

    /// Translates an answer whose head is in.
    pub(super) async fn receive(self, name: &Arc<str>, mut incoming: Incoming) -> Result<Incoming, Fault> {
        let broken = |broken: Broken| broke(name, broken);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let form = self.head(incoming.status, &mut incoming.headers).map_err(broken)?;
        if form == BodyForm::Events {
            let (inner, events, name) = (incoming.body, self.events(now), name.clone());
            incoming.body = Box::pin(Translated { inner, events, name, ended: false });
            return Ok(incoming);
        }
        let whole = collect(incoming.body).await?.ok_or_else(|| broken(Broken::TooBig))?;
        let body = if form == BodyForm::Whole {
            self.whole(&whole, now).map_err(broken)?
        } else {
            let failure = failure::read(self.kind, incoming.status, &whole);
            incoming.status = failure.status;
            failure.retry_after(&mut incoming.headers);
            failure.body()
        };
        incoming.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        incoming.body = Box::pin(futures_util::stream::iter([Ok(body)]));
        Ok(incoming)
    }
}

/// Their API asks for a version in any case.
pub(super) fn anthropic_version(headers: &mut HeaderMap) {
    static VERSION: HeaderName = HeaderName::from_static("anthropic-version");
    headers.entry(VERSION.clone()).or_insert(HeaderValue::from_static("2023-06-01"));
}

fn broke(name: &str, broken: Broken) -> Fault {
    let message = format!("the answer of upstream {name} cannot be passed on: {broken}");
    Fault::new(fault::Kind::UpstreamBroke, message).caused_by(broken)
}

/// All of it; `None` where it is too much.
async fn collect(mut body: Chunks) -> Result<Option<Bytes>, Fault> {
    let mut all = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if all.len() + chunk.len() > MOST {
            return Ok(None);
        }
        all.extend_from_slice(&chunk);
    }
    Ok(Some(all.freeze()))
}

/// Turns a provider's events into the client's, however their bytes are split.
#[derive(Debug)]
pub struct Events {
    decoder: sse::Decoder,
    /// Empty between chunks; kept for its room.
    pending: Vec<sse::Event>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Anthropic(anthropic::Stream),
    Gemini(gemini::Stream),
}

impl Events {
    /// Appends to `out` what `chunk` completes. After an error nothing more can be read.
    pub fn feed(&mut self, chunk: Bytes, out: &mut BytesMut) -> Result<(), Broken> {
        let Events { decoder, pending, source } = self;
        decoder.decode(chunk, pending).map_err(|_| Broken::TooBig)?;
        for event in pending.drain(..) {
            match source {
                Source::Anthropic(stream) => stream.event(&event.data, out)?,
                Source::Gemini(stream) => stream.event(&event.data, out)?,
            }
        }
        Ok(())
    }

    /// The transport has ended: appends what only then is known, or says that it was cut.
    pub fn end(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        if self.decoder.is_unfinished() {
            return Err(Broken::Cut);
        }
        match &self.source {
            Source::Anthropic(stream) => stream.end(),
            Source::Gemini(stream) => stream.end(out),
        }
    }
}

/// A stream's body on its way to the client.
struct Translated {
    inner: Chunks,
    events: Events,
    name: Arc<str>,
    ended: bool,
}

impl Stream for Translated {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while !this.ended {
            let mut out = BytesMut::new();
            let read = match ready!(this.inner.as_mut().poll_next(context)) {
                Some(Ok(chunk)) => this.events.feed(chunk, &mut out),
                Some(Err(fault)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(fault)));
                }
                None => {
                    this.ended = true;
                    this.events.end(&mut out)
                }
            };
            if let Err(broken) = read {
                this.ended = true;
                return Poll::Ready(Some(Err(broke(&this.name, broken))));
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(out.freeze())));
            }
        }
        Poll::Ready(None)
    }
}
