//! What is kept of an answer, and how it is played in either form.

use crate::wire::answer::Outline;
use crate::wire::request::Form;
use crate::wire::{Dialect, convert, sse};
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// A whole answer, recorded as it came: the events of a stream, or one body. Either is played as
/// both. Immutable; clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    pub dialect: Dialect,
    /// Finish reasons, usage and model, read while recording.
    pub outline: Outline,
    reel: Reel,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reel {
    /// Written out as frames, ready to send. Neighbouring chunks of one choice's text are joined
    /// (`convert::coalesce`): some 200 bytes of envelope a token would fill the memory with nothing.
    Stream {
        frames: Bytes,
        usage: Option<Range<usize>>,
    },
    Body(Bytes),
}

/// What a tape holds, for whoever writes it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reeled {
    /// The frames of a stream, and where among them the usage chunk lies.
    Frames {
        frames: Bytes,
        usage: Option<Range<usize>>,
    },
    Body(Bytes),
}

/// Why a tape does not serve a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CannotPlay {
    /// The client asked for `include_usage`, and the recording has no usage. Token counts are never made up.
    NoUsage,
    /// The other form could not be written; a defect of ours or a shape that we do not know.
    NoForm,
}

impl CannotPlay {
    /// The value of `x-reprise-reason`.
    pub fn word(self) -> &'static str {
        match self {
            CannotPlay::NoUsage => "no_usage",
            CannotPlay::NoForm => "no_form",
        }
    }
}

/// An answer ready to send, in a few pieces.
#[derive(Clone, Debug)]
pub struct Playback {
    pub content_type: &'static str,
    pub parts: Vec<Bytes>,
}

impl Tape {
    /// From the data of every event, `[DONE]` included.
    pub fn of_events(dialect: Dialect, events: Vec<Bytes>, outline: Outline) -> Tape {
        let events = convert::coalesce(dialect, events);
        let (frames, places) = written(&events);
        let usage =
            events.iter().position(|event| convert::is_usage_chunk(event)).map(|at| places[at].clone());
        Tape { dialect, outline, reel: Reel::Stream { frames, usage } }
    }

    pub fn of_body(dialect: Dialect, body: Bytes, outline: Outline) -> Tape {
        Tape { dialect, outline, reel: Reel::Body(body) }
    }

    /// Shares the bytes.
    pub fn reeled(&self) -> Reeled {
        match &self.reel {
            Reel::Stream { frames, usage } => Reeled::Frames { frames: frames.clone(), usage: usage.clone() },
            Reel::Body(body) => Reeled::Body(body.clone()),
        }
    }

    /// The tape that `reeled` and its outline were taken of. `None` where the usage chunk lies outside.
    pub fn of_reeled(dialect: Dialect, reeled: Reeled, outline: Outline) -> Option<Tape> {
        let reel = match reeled {
            Reeled::Frames { usage: Some(usage), frames } if frames.get(usage.clone()).is_none() => {
                return None;
            }
            Reeled::Frames { frames, usage } => Reel::Stream { frames, usage },
            Reeled::Body(body) => Reel::Body(body),
        };
        Some(Tape { dialect, outline, reel })
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        match &self.reel {
            Reel::Stream { frames, .. } => frames.len(),
            Reel::Body(body) => body.len(),
        }
    }

    /// The answer in the form the client wants. In the recorded form it costs nothing but shared
    /// pointers; in the other one a parse and a write.
    pub fn play(&self, form: Form) -> Result<Playback, CannotPlay> {
        if form.include_usage && self.outline.usage.is_none() {
            return Err(CannotPlay::NoUsage);
        }
        match (&self.reel, form.stream) {
            (Reel::Body(body), false) => Ok(plain(body.clone())),
            (Reel::Body(body), true) => {
                let events =
                    convert::split(self.dialect, body, form.include_usage).map_err(|_| CannotPlay::NoForm)?;
                Ok(stream(vec![written(&events).0]))
            }
            (Reel::Stream { frames, usage: Some(usage) }, true) if !form.include_usage => {
                Ok(stream(vec![frames.slice(..usage.start), frames.slice(usage.end..)]))
            }
            (Reel::Stream { usage: None, .. }, true) if form.include_usage => Err(CannotPlay::NoUsage),
            (Reel::Stream { frames, .. }, true) => Ok(stream(vec![frames.clone()])),
            (Reel::Stream { frames, .. }, false) => {
                let mut events = Vec::new();
                sse::Decoder::new(usize::MAX)
                    .decode(frames.clone(), &mut events)
                    .map_err(|_| CannotPlay::NoForm)?;
                let events: Vec<Bytes> = events.into_iter().map(|event| event.data).collect();
                convert::fold(self.dialect, &events).map(plain).map_err(|_| CannotPlay::NoForm)
            }
        }
    }
}

/// The frames of these events in one run of bytes, and where each lies.
fn written(events: &[Bytes]) -> (Bytes, Vec<Range<usize>>) {
    let mut frames = BytesMut::with_capacity(events.iter().map(|event| event.len() + 8).sum());
    let mut places = Vec::with_capacity(events.len());
    for event in events {
        let start = frames.len();
        sse::encode(&sse::Event::of_data(event.clone()), &mut frames);
        places.push(start..frames.len());
    }
    (frames.freeze(), places)
}

fn plain(body: Bytes) -> Playback {
    Playback { content_type: "application/json", parts: vec![body] }
}

fn stream(parts: Vec<Bytes>) -> Playback {
    Playback { content_type: "text/event-stream; charset=utf-8", parts }
}
