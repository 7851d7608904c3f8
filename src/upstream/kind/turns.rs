//! The messages of a chat request, taken apart.

use super::fields::{self, Fields, Members};
use super::invalid;
use crate::base::fault::Fault;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One message.
pub(super) enum Turn<'a> {
    /// Of the system or the developer.
    System(Vec<Part<'a>>),
    User(Vec<Part<'a>>),
    Assistant(Said<'a>),
    /// What a function gave back.
    Tool {
        at: String,
        call: Cow<'a, str>,
        parts: Vec<Part<'a>>,
        rest: Members<'a>,
    },
}

pub(super) struct Said<'a> {
    pub parts: Vec<Part<'a>>,
    pub calls: Vec<Call<'a>>,
    /// Anthropic's thinking, with its signatures, as an earlier answer had it.
    pub thinking: Vec<&'a RawValue>,
    /// Gemini's signature of its thinking.
    pub signature: Option<String>,
}

pub(super) struct Call<'a> {
    pub id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    /// A JSON object, as the model wrote it.
    pub arguments: Box<RawValue>,
    pub signature: Option<String>,
}

pub(super) struct Part<'a> {
    /// As faults name it.
    pub at: String,
    pub content: Content<'a>,
    /// Members that OpenAI's API does not name, `cache_control` for instance.
    pub rest: Members<'a>,
}

pub(super) enum Content<'a> {
    Text(Cow<'a, str>),
    Image(Source<'a>),
    Audio { data: Cow<'a, str>, format: Cow<'a, str> },
    File { source: Source<'a>, name: Option<Cow<'a, str>> },
}

/// Where bytes come from.
pub(super) enum Source<'a> {
    /// From a `data:` URL, in base64.
    Inline {
        media: String,
        data: Cow<'a, str>,
    },
    Url(Cow<'a, str>),
}

/// Fields of an assistant's earlier message that are records of how it was made: no provider reads
/// them again.
const RECORDS: [&str; 4] = ["reasoning_content", "reasoning", "reasoning_details", "annotations"];

pub(super) fn read<'a>(messages: Vec<&'a RawValue>, provider: &str) -> Result<Vec<Turn<'a>>, Fault> {
    if messages.is_empty() {
        return Err(invalid("`messages`: it is absent or empty".to_owned()));
    }
    let one = |(at, raw): (usize, &'a RawValue)| turn(format!("messages[{at}]"), raw, provider);
    messages.into_iter().enumerate().map(one).collect()
}

fn turn<'a>(at: String, raw: &'a RawValue, provider: &str) -> Result<Turn<'a>, Fault> {
    let mut fields = Fields::read(at, raw.get())?;
    let role = fields.need_text("role")?;
    let parts = parts(&mut fields, provider)?;
    let turn = match role.as_ref() {
        "system" | "developer" => Turn::System(parts),
        "user" => Turn::User(parts),
        "assistant" => Turn::Assistant(said(&mut fields, parts, provider)?),
        "tool" => {
            let call = fields.need_text("tool_call_id")?;
            // The call has the name already.
            fields.leave_out(&["name"]);
            return Ok(Turn::Tool { at: fields.place("tool_call_id"), call, parts, rest: fields.rest() });
        }
        _ => return Err(fields.no_counterpart("role", provider)),
    };
    fields.end(provider)?;
    Ok(turn)
}

fn said<'a>(fields: &mut Fields<'a>, mut parts: Vec<Part<'a>>, provider: &str) -> Result<Said<'a>, Fault> {
    fields.leave_out(&RECORDS);
    fields.only_idle("audio", &[], provider)?;
    fields.only_idle("function_call", &[], provider)?;
    if let Some(refusal) = fields.take_text("refusal")?.filter(|text| !text.is_empty()) {
        let content = Content::Text(refusal);
        parts.push(Part { at: fields.place("refusal"), content, rest: Members::default() });
    }
    let mut calls = Vec::new();
    for (at, raw) in fields.take_list("tool_calls")?.into_iter().enumerate() {
        calls
            .push(call(Fields::read(format!("{}[{at}]", fields.place("tool_calls")), raw.get())?, provider)?);
    }
    let signature = signature(fields)?;
    Ok(Said { parts, calls, thinking: fields.take_list("thinking_blocks")?, signature })
}

fn call<'a>(mut fields: Fields<'a>, provider: &str) -> Result<Call<'a>, Fault> {
    if fields.take_text("type")?.is_some_and(|kind| kind != "function") {
        return Err(fields.no_counterpart("type", provider));
    }
    let function = fields.take("function").ok_or_else(|| fields.refused("function", "it is absent"))?;
    let mut function = Fields::read(fields.place("function"), function.get())?;
    let written = function.take_text("arguments")?.unwrap_or_default();
    let text = if written.trim().is_empty() { "{}" } else { written.trim() };
    let arguments = serde_json::from_str::<Box<RawValue>>(text).ok();
    let arguments = arguments.filter(|raw| raw.get().starts_with('{'));
    Ok(Call {
        id: fields.need_text("id")?,
        name: function.need_text("name")?,
        arguments: arguments
            .ok_or_else(|| function.refused("arguments", "expected the text of a JSON object"))?,
        signature: signature(&mut fields)?,
    })
}

/// `extra_content.google.thought_signature`, where Google's own chat API puts it.
fn signature(fields: &mut Fields<'_>) -> Result<Option<String>, Fault> {
    let extra: Option<serde_json::Value> = fields.take_as("extra_content", "an object")?;
    let text = extra.as_ref().and_then(|extra| extra.pointer("/google/thought_signature")?.as_str());
    Ok(text.map(str::to_owned))
}

fn parts<'a>(fields: &mut Fields<'a>, provider: &str) -> Result<Vec<Part<'a>>, Fault> {
    let at = fields.place("content");
    let Some(raw) = fields.take("content") else { return Ok(Vec::new()) };
    if let Some(text) = fields::text(raw) {
        return Ok(vec![Part { at, content: Content::Text(text), rest: Members::default() }]);
    }
    let list = serde_json::from_str::<Vec<&'a RawValue>>(raw.get());
    let list = list.map_err(|_| fields.refused("content", "expected a string or an array of parts"))?;
    let one = |(place, raw): (usize, &'a RawValue)| part(format!("{at}[{place}]"), raw, provider);
    list.into_iter().enumerate().map(one).collect()
}

fn part<'a>(at: String, raw: &'a RawValue, provider: &str) -> Result<Part<'a>, Fault> {
    let mut fields = Fields::read(at.clone(), raw.get())?;
    let kind = fields.need_text("type")?;
    let inner = |fields: &mut Fields<'a>, name: &str| {
        let raw = fields.take(name).ok_or_else(|| fields.refused(name, "it is absent"))?;
        Fields::read(fields.place(name), raw.get())
    };
    let content = match kind.as_ref() {
        "text" => Content::Text(fields.need_text("text")?),
        "refusal" => Content::Text(fields.need_text("refusal")?),
        "image_url" => {
            let mut image = inner(&mut fields, "image_url")?;
            let url = image.need_text("url")?;
            Content::Image(source(url).ok_or_else(|| image.refused("url", "expected a URL or base64 data"))?)
        }
        "input_audio" => {
            let mut audio = inner(&mut fields, "input_audio")?;
            Content::Audio { data: audio.need_text("data")?, format: audio.need_text("format")? }
        }
        "file" => {
            let mut file = inner(&mut fields, "file")?;
            if file.take("file_id").is_some() {
                return Err(file.refused("file_id", "it is known to OpenAI only; send `file_data`"));
            }
            let data = file.need_text("file_data")?;
            let source = source(data).ok_or_else(|| file.refused("file_data", "expected a data: URL"))?;
            Content::File { source, name: file.take_text("filename")? }
        }
        _ => return Err(fields.no_counterpart("type", provider)),
    };
    Ok(Part { at, content, rest: fields.rest() })
}

/// A `data:` URL with base64 (RFC 2397), or one to fetch.
fn source(url: Cow<'_, str>) -> Option<Source<'_>> {
    if url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
        let comma = url.find(',')?;
        let head = url[5..comma].to_ascii_lowercase();
        let media = head.strip_suffix(";base64")?.split(';').next().unwrap_or_default().to_owned();
        let data = match url {
            Cow::Borrowed(url) => Cow::Borrowed(&url[comma + 1..]),
            Cow::Owned(mut url) => Cow::Owned(url.split_off(comma + 1)),
        };
        return (!media.is_empty() && !data.is_empty()).then_some(Source::Inline { media, data });
    }
    url.contains("://").then_some(Source::Url(url))
}
