//! Server-sent events, read and written.
//!
//! The reading follows the EventSource part of the HTML standard (section 9.2.6, "Interpreting an
//! event stream"): lines end in LF, CR or CRLF; one byte order mark may come first; comments and
//! unknown fields are skipped; several `data` lines are joined by LF; an event without a `data` line
//! is none; what is unfinished when the stream ends is dropped. Bytes are not checked to be UTF-8:
//! whoever reads the JSON inside does that.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::memchr2;

const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// One event. `data` is a slice of the chunk it came in where it lay in one piece: it keeps that
/// chunk's memory alive, so copy what is kept for long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The `event` field; empty where there was none.
    pub name: Bytes,
    pub data: Bytes,
    /// The `id` field of this very event.
    pub id: Option<Bytes>,
}

impl Event {
    pub fn of_data(data: impl Into<Bytes>) -> Event {
        Event { data: data.into(), ..Event::default() }
    }
}

/// An event was longer than the decoder's cap before it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {cap} bytes")]
pub struct TooBig {
    pub cap: usize,
}

/// Reads events out of chunks that may be split at any byte. Holds at most `cap` bytes and the chunk
/// at hand. After `TooBig` it stays too big.
#[derive(Debug)]
pub struct Decoder {
    cap: usize,
    too_big: bool,
    /// How many bytes of a byte order mark were seen; past its length when it is behind us.
    mark: usize,
    /// The last line ended in CR, so an LF that follows belongs to it.
    after_cr: bool,
    /// The start of a line whose end has not come.
    line: BytesMut,
    /// Bytes that the unfinished event holds besides `line`.
    held: usize,
    event: Event,
    data: Data,
}

/// The `data` lines so far.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Several(BytesMut),
}

impl Decoder {
    /// `cap`: bytes of one event at most, field names included.
    pub fn new(cap: usize) -> Decoder {
        Decoder {
            cap,
            too_big: false,
            mark: 0,
            after_cr: false,
            line: BytesMut::new(),
            held: 0,
            event: Event::default(),
            data: Data::None,
        }
    }

    /// Appends to `events` those that end in `chunk`. On `TooBig` those before it were appended.
    pub fn decode(&mut self, mut chunk: Bytes, events: &mut Vec<Event>) -> Result<(), TooBig> {
        self.pass_mark(&mut chunk);
        while !self.too_big && !chunk.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                if chunk[0] == b'\n' {
                    chunk.advance(1);
                    continue;
                }
            }
            let Some(end) = memchr2(b'\n', b'\r', &chunk) else {
                self.too_big = self.held + self.line.len() + chunk.len() > self.cap;
                if !self.too_big {
                    self.line.extend_from_slice(&chunk);
                }
                break;
            };
            let piece = chunk.split_to(end);
            self.after_cr = chunk[0] == b'\r';
            chunk.advance(1);
            self.end_line(piece, events);
        }
        match self.too_big {
            true => Err(TooBig { cap: self.cap }),
            false => Ok(()),
        }
    }

    /// Whether an event has begun and not ended: at the end of a stream, that it was cut.
    pub fn is_unfinished(&self) -> bool {
        !self.line.is_empty() || self.held > 0
    }

    /// Skips one byte order mark at the very start.
    fn pass_mark(&mut self, chunk: &mut Bytes) {
        while self.mark < MARK.len() && !chunk.is_empty() {
            if chunk[0] == MARK[self.mark] {
                chunk.advance(1);
                self.mark += 1;
            } else {
                // What looked like a mark was the start of a line.
                self.line.extend_from_slice(&MARK[..self.mark]);
                self.mark = MARK.len();
            }
        }
    }

    fn end_line(&mut self, piece: Bytes, events: &mut Vec<Event>) {
        let line = if self.line.is_empty() {
            piece
        } else {
            self.line.extend_from_slice(&piece);
            self.line.split().freeze()
        };
        if line.is_empty() {
            self.end_event(events);
            return;
        }
        if self.held + line.len() > self.cap {
            self.too_big = true;
            return;
        }
        self.field(line);
    }

    fn field(&mut self, line: Bytes) {
        let colon = memchr::memchr(b':', &line);
        let (name, mut value) = match colon {
            Some(at) => (line.slice(..at), line.slice(at + 1..)),
            None => (line, Bytes::new()),
        };
        if value.first() == Some(&b' ') {
            value.advance(1);
        }
        let size = name.len() + value.len();
        match name.as_ref() {
            b"data" => {
                self.data = match std::mem::take(&mut self.data) {
                    Data::None => Data::One(value),
                    Data::One(first) => {
                        let mut all = BytesMut::with_capacity(first.len() + 1 + value.len());
                        all.put_slice(&first);
                        Data::Several(joined(all, &value))
                    }
                    Data::Several(all) => Data::Several(joined(all, &value)),
                };
            }
            b"event" => self.event.name = value,
            b"id" if !value.contains(&0) => self.event.id = Some(value),
            _ => return,
        }
        self.held += size;
    }

    fn end_event(&mut self, events: &mut Vec<Event>) {
        let mut event = std::mem::take(&mut self.event);
        self.held = 0;
        event.data = match std::mem::take(&mut self.data) {
            Data::None => return,
            Data::One(data) => data,
            Data::Several(data) => data.freeze(),
        };
        events.push(event);
    }
}

fn joined(mut all: BytesMut, line: &[u8]) -> BytesMut {
    all.put_u8(b'\n');
    all.put_slice(line);
    all
}

/// Writes one event, with the blank line that ends it. A line break in `data` starts another `data`
/// line, so it reads back as LF; a name or id that holds one cannot be written and is left out.
pub fn encode(event: &Event, out: &mut BytesMut) {
    let breaks = |text: &[u8]| memchr2(b'\n', b'\r', text).is_some();
    if !event.name.is_empty() && !breaks(&event.name) {
        put_line(b"event: ", &event.name, out);
    }
    if let Some(id) = event.id.as_ref().filter(|id| !breaks(id)) {
        put_line(b"id: ", id, out);
    }
    let mut rest: &[u8] = &event.data;
    while let Some(at) = memchr2(b'\n', b'\r', rest) {
        put_line(b"data: ", &rest[..at], out);
        let width = if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[at + width..];
    }
    put_line(b"data: ", rest, out);
    out.put_u8(b'\n');
}

/// The whole frame of an event that has nothing but data.
pub fn frame(data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 8);
    encode(&Event::of_data(Bytes::copy_from_slice(data)), &mut out);
    out.freeze()
}

fn put_line(field: &[u8], value: &[u8], out: &mut BytesMut) {
    out.reserve(field.len() + value.len() + 2);
    out.put_slice(field);
    out.put_slice(value);
    out.put_u8(b'\n');
}
