//! An entry's fields, one after the other. Every struct is taken apart without `..`: a new field does not
//! compile until it is written here, and `envelope::VERSION` raised.

use super::cursor::{self, Cursor};
use crate::base::clock::Millis;
use crate::base::digest::{ExactKey, Partition, Scope};
use crate::cache::entry::{Content, Embedded, Entry, Tag};
use crate::tape::{Reeled, Tape};
use crate::wire::Dialect;
use crate::wire::answer::{Finish, Outline};
use crate::wire::embeddings::{Frame, Item};
use crate::wire::usage::Usage;
use bytes::Bytes;
use std::sync::Arc;

pub fn written(entry: &Entry) -> Vec<u8> {
    let mut out = Vec::with_capacity(entry.size());
    let Entry { key, partition, scope, namespace, model, question, tags, stored, expires, content } = entry;
    for digest in [&key.0, &partition.0, &scope.0] {
        out.extend_from_slice(digest);
    }
    cursor::option(&mut out, namespace.as_deref(), cursor::text);
    cursor::text(&mut out, model);
    cursor::option(&mut out, question.as_deref(), cursor::text);
    cursor::number(&mut out, tags.len() as u64);
    for (name, value) in tags {
        cursor::text(&mut out, name);
        cursor::text(&mut out, value);
    }
    cursor::number(&mut out, stored.0);
    cursor::number(&mut out, expires.0);
    match content {
        Content::Answer(tape) => {
            out.push(0);
            write_tape(&mut out, tape);
        }
        Content::Embedding(embedded) => {
            out.push(1);
            write_embedded(&mut out, embedded);
        }
    }
    out
}

/// `None`: not what `written` writes.
pub fn read(bytes: &[u8]) -> Option<Entry> {
    let mut cursor = Cursor::of(bytes);
    let from = &mut cursor;
    let entry = Entry {
        key: ExactKey(from.array()?),
        partition: Partition(from.array()?),
        scope: Scope(from.array()?),
        namespace: from.option(|from| from.text().map(Box::from))?,
        model: from.text()?.into(),
        question: from.option(|from| from.text().map(Arc::from))?,
        tags: from.list(|from| -> Option<Tag> { Some((from.text()?.into(), from.text()?.into())) })?,
        stored: Millis(from.number()?),
        expires: Millis(from.number()?),
        content: match from.byte()? {
            0 => Content::Answer(read_tape(from)?),
            1 => Content::Embedding(read_embedded(from)?),
            _ => return None,
        },
    };
    cursor.is_at_end().then_some(entry)
}

fn write_tape(out: &mut Vec<u8>, tape: &Tape) {
    out.push(dialect_code(tape.dialect));
    let Outline { finish, usage, error, terminal, model } = &tape.outline;
    cursor::number(out, finish.len() as u64);
    out.extend(finish.iter().map(|finish| finish_code(*finish)));
    cursor::option(out, *usage, write_usage);
    out.push(u8::from(*error));
    out.push(u8::from(*terminal));
    cursor::option(out, model.as_deref(), cursor::text);
    match tape.reeled() {
        Reeled::Frames { frames, usage } => {
            out.push(0);
            cursor::option(out, usage, |out, usage| {
                cursor::number(out, usage.start as u64);
                cursor::number(out, usage.end as u64);
            });
            cursor::bytes(out, &frames);
        }
        Reeled::Body(body) => {
            out.push(1);
            cursor::bytes(out, &body);
        }
    }
}

fn read_tape(from: &mut Cursor<'_>) -> Option<Tape> {
    let dialect = dialect(from.byte()?)?;
    let outline = Outline {
        finish: from.list(|from| finish(from.byte()?))?,
        usage: from.option(read_usage)?,
        error: from.flag()?,
        terminal: from.flag()?,
        model: from.option(|from| from.text().map(str::to_owned))?,
    };
    let place = |from: &mut Cursor<'_>| usize::try_from(from.number()?).ok();
    let reeled = match from.byte()? {
        0 => {
            let usage = from.option(|from| Some(place(from)?..place(from)?))?;
            Reeled::Frames { usage, frames: Bytes::copy_from_slice(from.bytes()?) }
        }
        1 => Reeled::Body(Bytes::copy_from_slice(from.bytes()?)),
        _ => return None,
    };
    Tape::of_reeled(dialect, reeled, outline)
}

fn write_embedded(out: &mut Vec<u8>, embedded: &Embedded) {
    let Embedded { item, usage, frame } = embedded;
    cursor::bytes(out, &item.0);
    cursor::option(out, *usage, write_usage);
    let Frame { model, rest } = &**frame;
    cursor::option(out, model.as_deref(), cursor::text);
    cursor::number(out, rest.len() as u64);
    for (name, value) in rest {
        cursor::text(out, name);
        cursor::text(out, value);
    }
}

fn read_embedded(from: &mut Cursor<'_>) -> Option<Embedded> {
    Some(Embedded {
        item: Item(Bytes::copy_from_slice(from.bytes()?)),
        usage: from.option(read_usage)?,
        frame: Arc::new(Frame {
            model: from.option(|from| from.text().map(str::to_owned))?,
            rest: from.list(|from| Some((from.text()?.to_owned(), from.text()?.to_owned())))?,
        }),
    })
}

fn write_usage(out: &mut Vec<u8>, usage: Usage) {
    let Usage { prompt, completion, cached, cache_write, reasoning } = usage;
    for count in [prompt, completion, cached, cache_write, reasoning] {
        cursor::number(out, count);
    }
}

fn read_usage(from: &mut Cursor<'_>) -> Option<Usage> {
    Some(Usage {
        prompt: from.number()?,
        completion: from.number()?,
        cached: from.number()?,
        cache_write: from.number()?,
        reasoning: from.number()?,
    })
}

/// Codes are never given to another meaning.
fn dialect_code(dialect: Dialect) -> u8 {
    match dialect {
        Dialect::ChatCompletions => 1,
        Dialect::Completions => 2,
        Dialect::Embeddings => 3,
        Dialect::Responses => 4,
        Dialect::Messages => 5,
    }
}

fn dialect(code: u8) -> Option<Dialect> {
    use Dialect::{ChatCompletions, Completions, Embeddings, Messages, Responses};
    let all = [ChatCompletions, Completions, Embeddings, Responses, Messages];
    all.into_iter().find(|dialect| dialect_code(*dialect) == code)
}

fn finish_code(finish: Finish) -> u8 {
    match finish {
        Finish::Stop => 1,
        Finish::Length => 2,
        Finish::ToolCalls => 3,
        Finish::ContentFilter => 4,
        Finish::FunctionCall => 5,
        Finish::Other => 6,
    }
}

fn finish(code: u8) -> Option<Finish> {
    use Finish::{ContentFilter, FunctionCall, Length, Other, Stop, ToolCalls};
    let all = [Stop, Length, ToolCalls, ContentFilter, FunctionCall, Other];
    all.into_iter().find(|finish| finish_code(*finish) == code)
}
