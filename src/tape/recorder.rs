//! One answer, read along while it flows.

use super::decode::{DecodeError, Decoder};
use super::reel::Tape;
use crate::wire::Dialect;
use crate::wire::answer::{self, DONE, Outline, StreamReader};
use crate::wire::is_event_stream;
use crate::wire::sse;
use crate::wire::usage::Usage;
use bytes::Bytes;
use http::HeaderMap;

/// How a recording ended. Only `Whole` may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The dialect's own end was seen, every choice finished, and the transport ended cleanly.
    Whole,
    /// The upstream or we broke off before that.
    Cut,
    /// Over the cap.
    TooBig,
    /// The upstream reported an error inside the answer.
    Errored,
    /// Not an answer of this dialect: HTML, broken JSON, an unknown coding.
    Unreadable,
}

impl Ended {
    /// The metric label.
    pub fn word(self) -> &'static str {
        match self {
            Ended::Whole => "whole",
            Ended::Cut => "cut",
            Ended::TooBig => "too_big",
            Ended::Errored => "errored",
            Ended::Unreadable => "unreadable",
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Recording {
    pub ended: Ended,
    /// Present exactly when `ended` is `Whole`.
    pub tape: Option<Tape>,
    /// What the upstream said that it used, in an answer that was not whole too.
    pub usage: Option<Usage>,
}

/// Reads one answer along. It never holds up the answer and never fails: whatever it cannot make
/// sense of ends the recording, not the answer. Holds at most `cap` plain bytes.
pub struct Recorder {
    dialect: Dialect,
    decoder: Option<Decoder>,
    reel: Reel,
    size: usize,
    cap: usize,
    /// Set once the recording is lost; nothing is kept from then on.
    lost: Option<Ended>,
}

enum Reel {
    Stream(Box<Splitting>),
    Body(Vec<Bytes>),
}

struct Splitting {
    split: sse::Decoder,
    reader: StreamReader,
    /// The data of every event so far.
    events: Vec<Bytes>,
    /// Empty between chunks; kept for its room.
    pending: Vec<sse::Event>,
}

impl Recorder {
    /// For the answer with these headers; a `text/event-stream` is recorded event by event.
    pub fn new(dialect: Dialect, headers: &HeaderMap, cap: usize) -> Recorder {
        let (decoder, lost) = match Decoder::of(headers, cap) {
            Ok(decoder) => (Some(decoder), None),
            Err(_) => (None, Some(Ended::Unreadable)),
        };
        let reel = if is_event_stream(headers) {
            Reel::Stream(Box::new(Splitting {
                split: sse::Decoder::new(cap),
                reader: StreamReader::new(dialect),
                events: Vec::new(),
                pending: Vec::new(),
            }))
        } else {
            Reel::Body(Vec::new())
        };
        Recorder { dialect, decoder, reel, size: 0, cap, lost }
    }

    /// Takes a chunk as the upstream sent it; gives back the plain bytes it adds, for followers.
    pub fn feed(&mut self, chunk: &Bytes) -> Bytes {
        let Some(decoder) = &mut self.decoder else { return Bytes::new() };
        match decoder.feed(chunk) {
            Ok(plain) => {
                if self.lost.is_none() {
                    self.record(&plain);
                }
                plain
            }
            Err(error) => {
                self.decoder = None;
                self.lose(if matches!(error, DecodeError::TooBig(_)) {
                    Ended::TooBig
                } else {
                    Ended::Unreadable
                });
                Bytes::new()
            }
        }
    }

    /// Whether the recording can still become whole.
    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    pub fn is_stream(&self) -> bool {
        matches!(self.reel, Reel::Stream(_))
    }

    /// Whether an answer may end in this chunk, which has not been fed yet: the word that ends a stream
    /// may be in it or begin in what came before; what is coded or a body of unknown length always may.
    pub fn may_end_with(&self, chunk: &[u8]) -> bool {
        match (&self.reel, &self.decoder) {
            (Reel::Stream(stream), Some(Decoder::Identity)) => {
                stream.split.is_unfinished() || memchr::memmem::find(chunk, DONE).is_some()
            }
            (Reel::Stream(_), _) => true,
            (Reel::Body(_), _) => false,
        }
    }

    /// Whether a stream has come to its dialect's own end. A body only ends with its transport.
    pub fn at_end(&self) -> bool {
        matches!(&self.reel, Reel::Stream(stream) if stream.reader.is_done())
    }

    /// Whether plain bytes come out for followers, recording or not.
    pub fn decodes(&self) -> bool {
        self.decoder.is_some()
    }

    fn lose(&mut self, ended: Ended) {
        self.lost = Some(ended);
        self.reel = Reel::Body(Vec::new());
    }

    fn record(&mut self, plain: &Bytes) {
        self.size += plain.len();
        if self.size > self.cap {
            return self.lose(Ended::TooBig);
        }
        let outcome = match &mut self.reel {
            Reel::Body(chunks) => {
                chunks.push(plain.clone());
                Ok(())
            }
            Reel::Stream(stream) => {
                let Splitting { split, reader, events, pending } = &mut **stream;
                split.decode(plain.clone(), pending).map(|()| {
                    for event in pending.drain(..) {
                        reader.event(&event);
                        if !event.data.is_empty() {
                            events.push(event.data);
                        }
                    }
                })
            }
        };
        if outcome.is_err() {
            self.lose(Ended::TooBig);
        }
    }

    /// `clean`: the transport ended as it should. Costs a parse of the body; run it off the client's path.
    pub fn finish(self, clean: bool) -> Recording {
        if let Some(ended) = self.lost {
            return Recording { ended, tape: None, usage: None };
        }
        if !clean {
            let usage = match &self.reel {
                Reel::Stream(stream) => stream.reader.outline().usage,
                Reel::Body(_) => None,
            };
            return Recording { ended: Ended::Cut, tape: None, usage };
        }
        let mut usage = None;
        let tape = match self.reel {
            Reel::Stream(stream) => {
                let outline = stream.reader.outline();
                usage = outline.usage;
                judge(&outline).map(|()| Tape::of_events(self.dialect, stream.events, outline))
            }
            Reel::Body(chunks) => {
                let body = joined(chunks);
                match answer::outline_of_body(self.dialect, &body) {
                    Err(_) => Err(Ended::Unreadable),
                    Ok(outline) => {
                        usage = outline.usage;
                        judge(&outline).map(|()| Tape::of_body(self.dialect, body, outline))
                    }
                }
            }
        };
        match tape {
            Ok(tape) => Recording { ended: Ended::Whole, tape: Some(tape), usage },
            Err(ended) => Recording { ended, tape: None, usage },
        }
    }
}

fn judge(outline: &Outline) -> Result<(), Ended> {
    if outline.error {
        Err(Ended::Errored)
    } else if !outline.terminal {
        Err(Ended::Cut)
    } else {
        Ok(())
    }
}

/// One run of bytes that holds no more memory than it needs.
fn joined(chunks: Vec<Bytes>) -> Bytes {
    let mut all = Vec::with_capacity(chunks.iter().map(Bytes::len).sum());
    for chunk in &chunks {
        all.extend_from_slice(chunk);
    }
    Bytes::from(all)
}
