//! A chat request as a `generateContent` request.

use super::super::chat::{Chat, Tool};
use super::super::fields::Members;
use super::super::turns::{self, Part, Said, Source, Turn};
use super::super::{Translated, invalid, unwritable};
use super::PROVIDER;
use super::settings::{self, Generation};
use crate::base::fault::Fault;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What the reference gives for the signature of a call that another model made.
const FOREIGN_CALL: &str = "skip_thought_signature_validator";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Functions<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<Value>,
    #[serde(skip_serializing_if = "Generation::is_empty")]
    generation_config: Generation<'a>,
    #[serde(flatten)]
    rest: Members<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<Piece<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Piece<'a> {
    #[serde(flatten)]
    content: PieceContent<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<String>,
    #[serde(flatten)]
    rest: Members<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum PieceContent<'a> {
    Text(Cow<'a, str>),
    InlineData(Inline<'a>),
    FileData(File<'a>),
    FunctionCall(Call<'a>),
    FunctionResponse(Response<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Inline<'a> {
    mime_type: String,
    data: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    file_uri: Cow<'a, str>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: Cow<'a, str>,
    name: Cow<'a, str>,
    args: Box<RawValue>,
}

#[derive(Serialize)]
struct Response<'a> {
    id: Cow<'a, str>,
    name: Cow<'a, str>,
    response: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Functions<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a RawValue>,
    #[serde(flatten)]
    of_tool: Members<'a>,
    #[serde(flatten)]
    of_function: Members<'a>,
}

/// Writes the request, and says which model belongs into its path.
///
/// # Errors
/// `InvalidRequest`, with the field's name, for what has no counterpart.
pub(in super::super) fn request(body: &[u8]) -> Result<(String, Translated), Fault> {
    let mut chat = Chat::read(body, PROVIDER)?;
    let model = chat.model.clone().into_owned();
    let signed = !settings::is_before_3(&model);
    let (system, contents) = conversation(std::mem::take(&mut chat.turns), signed)?;
    let tool_config = settings::tool_config(&chat)?;
    let tools = std::mem::take(&mut chat.tools);
    let form = chat.form;
    let (generation_config, rest) = settings::generation(chat, &model)?;
    let request = Request {
        system_instruction: (!system.is_empty()).then_some(Content { role: None, parts: system }),
        contents,
        tools: declarations(tools),
        tool_config,
        generation_config,
        rest,
    };
    let ours = [
        ("systemInstruction", request.system_instruction.is_some()),
        ("contents", true),
        ("toolConfig", request.tool_config.is_some()),
    ];
    request.rest.not_twice("", &ours)?;
    let body = serde_json::to_vec(&request).map_err(unwritable)?;
    Ok((model, Translated { body: Bytes::from(body), form }))
}

/// System messages, wherever they stand, become the system instruction. Neighbours of one role become
/// one content; so do a round's function results.
fn conversation(turns: Vec<Turn<'_>>, signed: bool) -> Result<(Vec<Piece<'_>>, Vec<Content<'_>>), Fault> {
    let mut system = Vec::new();
    let mut contents: Vec<Content<'_>> = Vec::new();
    let mut called: BTreeMap<String, String> = BTreeMap::new();
    for turn in turns {
        let (role, parts) = match turn {
            Turn::System(parts) => {
                system.extend(pieces(parts)?);
                continue;
            }
            Turn::User(parts) => ("user", pieces(parts)?),
            Turn::Assistant(said) => {
                for call in &said.calls {
                    called.insert(call.id.to_string(), call.name.to_string());
                }
                ("model", said_pieces(said, signed)?)
            }
            Turn::Tool { at, call, parts, mut rest } => {
                rest.take(CACHE_CONTROL);
                if let Some(name) = rest.names().next() {
                    return Err(invalid(format!("`{name}` beside `{at}`: {PROVIDER} has no place for it")));
                }
                let name = called.get(call.as_ref()).cloned();
                let name = name.ok_or_else(|| {
                    invalid(format!("`{at}`: no message before it makes a call of this id"))
                })?;
                let response = Response { id: call, name: Cow::Owned(name), response: response(parts)? };
                ("user", vec![plain(PieceContent::FunctionResponse(response))])
            }
        };
        match contents.last_mut() {
            Some(last) if last.role == Some(role) => last.parts.extend(parts),
            _ if parts.is_empty() => {}
            _ => contents.push(Content { role: Some(role), parts }),
        }
    }
    Ok((system, contents))
}

/// A hint for Anthropic's cache, which clients send to whoever answers.
const CACHE_CONTROL: &str = "cache_control";

fn plain(content: PieceContent<'_>) -> Piece<'_> {
    Piece { content, thought_signature: None, rest: Members::default() }
}

fn said_pieces(said: Said<'_>, signed: bool) -> Result<Vec<Piece<'_>>, Fault> {
    // Anthropic's thinking means nothing here.
    let Said { parts, calls, thinking: _, signature } = said;
    let mut out = pieces(parts)?;
    if let (Some(last), Some(signature)) = (out.last_mut(), signature) {
        last.thought_signature = Some(signature);
    }
    for (at, call) in calls.into_iter().enumerate() {
        // Only the first of several calls is signed. One that another model made has no signature.
        let foreign = (at == 0 && signed).then(|| FOREIGN_CALL.to_owned());
        let content = PieceContent::FunctionCall(Call { id: call.id, name: call.name, args: call.arguments });
        out.push(Piece { content, thought_signature: call.signature.or(foreign), rest: Members::default() });
    }
    Ok(out)
}

fn pieces(parts: Vec<Part<'_>>) -> Result<Vec<Piece<'_>>, Fault> {
    let mut out = Vec::with_capacity(parts.len());
    for Part { at, content, mut rest } in parts {
        rest.take(CACHE_CONTROL);
        let content = match content {
            turns::Content::Text(text) if text.is_empty() => continue,
            turns::Content::Text(text) => PieceContent::Text(text),
            // The file's name has no place; its kind is in the media type.
            turns::Content::Image(source) | turns::Content::File { source, name: _ } => from(source),
            turns::Content::Audio { data, format } => {
                let known = matches!(format.as_ref(), "wav" | "mp3" | "aiff" | "aac" | "ogg" | "flac");
                if !known {
                    return Err(invalid(format!("`{at}`: {PROVIDER} does not take this audio format")));
                }
                PieceContent::InlineData(Inline { mime_type: format!("audio/{format}"), data })
            }
        };
        out.push(Piece { content, thought_signature: None, rest });
    }
    Ok(out)
}

fn from(source: Source<'_>) -> PieceContent<'_> {
    match source {
        Source::Inline { media, data } => PieceContent::InlineData(Inline { mime_type: media, data }),
        Source::Url(url) => PieceContent::FileData(File { mime_type: media_type(&url), file_uri: url }),
    }
}

/// The media type of a file at an address, where its name tells; else the API finds out.
fn media_type(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let (_, end) = path.rsplit_once('.')?;
    match end.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => Some("image/jpeg"),
        "png" => Some("image/png"),
        "webp" => Some("image/webp"),
        "heic" => Some("image/heic"),
        "heif" => Some("image/heif"),
        "gif" => Some("image/gif"),
        "pdf" => Some("application/pdf"),
        _ => None,
    }
}

/// What a function gave back, which must be an object: its own, or its text as `output`.
fn response(parts: Vec<Part<'_>>) -> Result<Box<RawValue>, Fault> {
    let mut text = String::new();
    for Part { at, content, rest: _ } in parts {
        match content {
            turns::Content::Text(more) => text.push_str(&more),
            _ => return Err(invalid(format!("`{at}`: of {PROVIDER}, a function's result is text"))),
        }
    }
    if text.trim_start().starts_with('{')
        && let Ok(object) = serde_json::from_str::<Box<RawValue>>(text.trim())
    {
        return Ok(object);
    }
    serde_json::value::to_raw_value(&serde_json::json!({"output": text})).map_err(unwritable)
}

fn declarations(tools: Vec<Tool<'_>>) -> Vec<Functions<'_>> {
    if tools.is_empty() {
        return Vec::new();
    }
    let one = |tool| {
        // `strict` is in the tool config.
        let Tool { name, description, parameters, strict: _, rest: [mut of_tool, mut of_function] } = tool;
        of_tool.take(CACHE_CONTROL);
        of_function.take(CACHE_CONTROL);
        Declaration { name, description, parameters_json_schema: parameters, of_tool, of_function }
    };
    vec![Functions { function_declarations: tools.into_iter().map(one).collect() }]
}
