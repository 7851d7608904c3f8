//! A body as a script: what is sent, what is waited for, and how it ends.

use super::settings::{Coding, Defect};
use bytes::Bytes;
use http_body::{Body, Frame};
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// Bytes between two waits of a plain body under `Defect::Slow`.
const SLOW_PIECE: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Send(Bytes),
    Wait(Duration),
    /// The connection breaks here.
    Break,
    /// Nothing more comes, and the connection stays open.
    Hang,
}

/// Whether the transport has had a turn to write out what it holds: it writes when a body has
/// nothing ready, and drops what it holds when a body fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flush {
    Due,
    Done,
}

/// Plays a script to one client. `on_end` is dropped when the body is, whole or not. It names no
/// size: a plain body's `content-length` is set by hand, since it may be a lie.
pub struct Script<G> {
    steps: VecDeque<Step>,
    waiting: Option<Pin<Box<Sleep>>>,
    flush: Flush,
    _on_end: G,
}

impl<G> Script<G> {
    pub fn new(steps: Vec<Step>, on_end: G) -> Script<G> {
        Script { steps: steps.into(), waiting: None, flush: Flush::Due, _on_end: on_end }
    }
}

impl<G: Unpin> Body for Script<G> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(wait) = &mut self.waiting {
                std::task::ready!(wait.as_mut().poll(context));
                self.waiting = None;
            }
            match self.steps.front() {
                Some(Step::Hang) => return Poll::Pending,
                Some(Step::Wait(span)) => self.waiting = Some(Box::pin(sleep(*span))),
                Some(Step::Break) if self.flush == Flush::Due => {
                    self.flush = Flush::Done;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Break) => {
                    let broken = io::Error::new(io::ErrorKind::ConnectionAborted, "broken off as asked");
                    self.steps.clear();
                    return Poll::Ready(Some(Err(broken)));
                }
                Some(Step::Send(_)) | None => {}
            }
            match self.steps.pop_front() {
                Some(Step::Send(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => return Poll::Ready(None),
                Some(_) => {}
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.waiting.is_none()
    }
}

/// The script of a stream: its events with their waits, bent by `defect`.
pub fn of_stream(events: Vec<Bytes>, first: Duration, next: Duration, defect: Option<Defect>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(events.len() + 4);
    let last = events.len().saturating_sub(1);
    for (place, event) in events.into_iter().enumerate() {
        match defect {
            Some(Defect::Cut(after)) if after == place => {
                steps.push(Step::Break);
                return steps;
            }
            Some(Defect::Stall(after)) if after == place => {
                steps.push(Step::Hang);
                return steps;
            }
            Some(Defect::ErrorEvent(after)) if after == place => {
                steps.push(Step::Send(Bytes::from_static(ERROR_EVENT)));
                return steps;
            }
            Some(Defect::Garbage) if place == 1 => steps.push(Step::Send(Bytes::from_static(GARBAGE_EVENT))),
            Some(Defect::NoDone) if place == last => return steps,
            Some(Defect::LieLength) if place == last => {
                steps.extend([Step::Send(event), Step::Break]);
                return steps;
            }
            Some(Defect::Slow(wait)) => steps.push(Step::Wait(wait)),
            _ => {}
        }
        let wait = match place {
            0 => Duration::ZERO,
            1 => first,
            _ => next,
        };
        if !wait.is_zero() {
            steps.push(Step::Wait(wait));
        }
        steps.push(Step::Send(event));
    }
    steps
}

/// The script of a plain body, bent by `defect`.
pub fn of_body(body: Bytes, defect: Option<Defect>) -> Vec<Step> {
    let head = |bytes: usize| Step::Send(body.slice(..bytes.min(body.len())));
    match defect {
        Some(Defect::Cut(after)) => vec![head(after), Step::Break],
        Some(Defect::Stall(after)) => vec![head(after), Step::Hang],
        Some(Defect::LieLength) => vec![head(body.len()), Step::Break],
        Some(Defect::Slow(wait)) => {
            let mut steps = Vec::new();
            for start in (0..body.len()).step_by(SLOW_PIECE) {
                steps.push(Step::Wait(wait));
                steps.push(Step::Send(body.slice(start..body.len().min(start + SLOW_PIECE))));
            }
            steps
        }
        _ => vec![Step::Send(body)],
    }
}

/// `steps` with what they send written in `coding`, flushed after every piece, so that a client can
/// decode each as it comes.
pub fn encoded(mut steps: Vec<Step>, coding: Coding) -> io::Result<Vec<Step>> {
    let mut encoder = Encoder::new(coding)?;
    for step in &mut steps {
        if let Step::Send(bytes) = step {
            *bytes = encoder.piece(bytes)?;
        }
    }
    if !matches!(steps.last(), Some(Step::Break | Step::Hang)) {
        steps.push(Step::Send(encoder.end()?));
    }
    Ok(steps)
}

/// Brotli's window and quality as servers commonly set them for answers made on the fly.
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW: u32 = 22;

enum Encoder {
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Deflate(flate2::write::ZlibEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    fn new(coding: Coding) -> io::Result<Encoder> {
        let level = flate2::Compression::fast();
        Ok(match coding {
            Coding::Gzip => Encoder::Gzip(flate2::write::GzEncoder::new(Vec::new(), level)),
            Coding::Deflate => Encoder::Deflate(flate2::write::ZlibEncoder::new(Vec::new(), level)),
            Coding::Brotli => Encoder::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                4096,
                BROTLI_QUALITY,
                BROTLI_WINDOW,
            ))),
            Coding::Zstd => Encoder::Zstd(zstd::Encoder::new(Vec::new(), 0)?),
        })
    }

    fn piece(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        fn write(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
            to.write_all(bytes)?;
            to.flush()
        }
        let out = match self {
            Encoder::Gzip(encoder) => {
                write(encoder, bytes)?;
                encoder.get_mut()
            }
            Encoder::Deflate(encoder) => {
                write(encoder, bytes)?;
                encoder.get_mut()
            }
            Encoder::Brotli(encoder) => {
                write(encoder, bytes)?;
                encoder.get_mut()
            }
            Encoder::Zstd(encoder) => {
                write(encoder, bytes)?;
                encoder.get_mut()
            }
        };
        Ok(Bytes::from(std::mem::take(out)))
    }

    fn end(self) -> io::Result<Bytes> {
        Ok(Bytes::from(match self {
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Deflate(encoder) => encoder.finish()?,
            Encoder::Brotli(encoder) => encoder.into_inner(),
            Encoder::Zstd(encoder) => encoder.finish()?,
        }))
    }
}

const ERROR_EVENT: &[u8] =
    b"data: {\"error\":{\"message\":\"The server had an error while processing your request. \
Sorry about that!\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n";
const GARBAGE_EVENT: &[u8] = b"data: {\"id\":\"chatcmpl-\xff\xfe, \"choices\": [[[\n\n";
