//! The client's chat request, taken apart once for every provider that speaks another dialect.
//!
//! What no such provider has a counterpart for is refused here; what asks for nothing, or cannot
//! change an answer there, is left out. Each provider destructures the view, so that a new field does
//! not compile until it is judged for all of them.

use super::fields::{self, Fields, Members};
use super::turns::{self, Turn};
use crate::base::fault::Fault;
use crate::wire::request::Form;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Fields that ask for what none of the other dialects has, and the values that ask for nothing.
const REFUSED: [(&str, &[&str]); 9] = [
    ("logprobs", &["false"]),
    ("top_logprobs", &["0"]),
    ("logit_bias", &["{}"]),
    ("modalities", &["[\"text\"]"]),
    ("audio", &[]),
    ("web_search_options", &[]),
    ("verbosity", &["\"medium\""]),
    ("functions", &["[]"]),
    ("function_call", &["\"none\""]),
];

/// Fields that say how a request is filed, billed or sped up at OpenAI, and cannot change an answer
/// elsewhere.
const LEFT_OUT: [&str; 5] = ["metadata", "store", "prediction", "prompt_cache_key", "prompt_cache_retention"];

pub(super) struct Chat<'a> {
    pub model: Cow<'a, str>,
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub choice: Option<Choice<'a>>,
    pub parallel: Option<bool>,
    pub format: Format<'a>,
    pub form: Form,
    /// `max_completion_tokens`, else `max_tokens`.
    pub limit: Option<u64>,
    pub stop: Vec<Cow<'a, str>>,
    pub n: Option<u64>,
    pub temperature: Option<f64>,
    pub top_p: Option<&'a RawValue>,
    pub seed: Option<&'a RawValue>,
    pub presence_penalty: Option<&'a RawValue>,
    pub frequency_penalty: Option<&'a RawValue>,
    pub effort: Option<Cow<'a, str>>,
    /// `safety_identifier`, else `user`.
    pub user: Option<Cow<'a, str>>,
    pub service_tier: Option<Cow<'a, str>>,
    /// What OpenAI's API does not name: the provider may.
    pub rest: Members<'a>,
}

/// A function that the model may call.
pub(super) struct Tool<'a> {
    pub name: Cow<'a, str>,
    pub description: Option<Cow<'a, str>>,
    pub parameters: Option<&'a RawValue>,
    pub strict: Option<bool>,
    /// Of the tool and its function, together.
    pub rest: [Members<'a>; 2],
}

pub(super) enum Choice<'a> {
    Auto,
    None,
    Required,
    Named(Cow<'a, str>),
}

pub(super) enum Format<'a> {
    Text,
    /// Any JSON object.
    Json,
    Schema(&'a RawValue),
}

impl<'a> Chat<'a> {
    /// `provider`: as faults name it, such as "Anthropic's API".
    pub fn read(body: &'a [u8], provider: &str) -> Result<Chat<'a>, Fault> {
        let text =
            std::str::from_utf8(body).map_err(|_| super::invalid("the body is not UTF-8".to_owned()))?;
        let mut fields = Fields::read("", text)?;
        for (name, idle) in REFUSED {
            fields.only_idle(name, idle, provider)?;
        }
        fields.leave_out(&LEFT_OUT);
        let (max_tokens, limit) =
            (fields.take_as("max_tokens", "a number")?, fields.take_as("max_completion_tokens", "a number")?);
        let (user, identifier) = (fields.take_text("user")?, fields.take_text("safety_identifier")?);
        let stream = fields.take_as("stream", "true or false")?.unwrap_or(false);
        let options: Option<StreamOptions> = fields.take_as("stream_options", "an object")?;
        let usage = options.and_then(|options| options.include_usage).unwrap_or(false);
        Ok(Chat {
            model: fields.need_text("model")?,
            turns: turns::read(fields.take_list("messages")?, provider)?,
            tools: tools(&mut fields, provider)?,
            choice: choice(&mut fields, provider)?,
            parallel: fields.take_as("parallel_tool_calls", "true or false")?,
            format: format(&mut fields, provider)?,
            form: Form { stream, include_usage: stream && usage },
            limit: limit.or(max_tokens),
            stop: stop(&mut fields)?,
            n: fields.take_as("n", "a number")?,
            temperature: fields.take_as("temperature", "a number")?,
            top_p: fields.take("top_p"),
            seed: fields.take("seed"),
            presence_penalty: fields.take("presence_penalty"),
            frequency_penalty: fields.take("frequency_penalty"),
            effort: fields.take_text("reasoning_effort")?,
            user: identifier.or(user),
            service_tier: fields.take_text("service_tier")?,
            rest: fields.rest(),
        })
    }
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

fn stop<'a>(fields: &mut Fields<'a>) -> Result<Vec<Cow<'a, str>>, Fault> {
    let Some(raw) = fields.take("stop") else { return Ok(Vec::new()) };
    if let Some(one) = fields::text(raw) {
        return Ok(vec![one]);
    }
    let list = serde_json::from_str::<Vec<fields::Text<'a>>>(raw.get());
    let list = list.map_err(|_| fields.refused("stop", "expected a string or an array of strings"))?;
    Ok(list.into_iter().map(|text| text.0).collect())
}

fn tools<'a>(fields: &mut Fields<'a>, provider: &str) -> Result<Vec<Tool<'a>>, Fault> {
    let mut tools = Vec::new();
    for (at, raw) in fields.take_list("tools")?.into_iter().enumerate() {
        let mut outer = Fields::read(format!("tools[{at}]"), raw.get())?;
        let kind = outer.take_text("type")?;
        if kind.as_deref().is_some_and(|kind| kind != "function") {
            return Err(outer.refused(
                "type",
                format_args!("only functions have a counterpart in {provider}; leave out other tools"),
            ));
        }
        let function = outer.take("function").ok_or_else(|| outer.refused("function", "it is absent"))?;
        let mut inner = Fields::read(outer.place("function"), function.get())?;
        tools.push(Tool {
            name: inner.need_text("name")?,
            description: inner.take_text("description")?,
            parameters: inner.take("parameters"),
            strict: inner.take_as("strict", "true or false")?,
            rest: [outer.rest(), inner.rest()],
        });
    }
    Ok(tools)
}

fn choice<'a>(fields: &mut Fields<'a>, provider: &str) -> Result<Option<Choice<'a>>, Fault> {
    let Some(raw) = fields.take("tool_choice") else { return Ok(None) };
    match fields::text(raw).as_deref() {
        Some("auto") => return Ok(Some(Choice::Auto)),
        Some("none") => return Ok(Some(Choice::None)),
        Some("required") => return Ok(Some(Choice::Required)),
        Some(_) => return Err(fields.refused("tool_choice", "expected auto, none, required or a function")),
        None => {}
    }
    let mut outer = Fields::read("tool_choice", raw.get())?;
    match outer.take_text("type")?.as_deref() {
        Some("function") => {}
        _ => return Err(outer.no_counterpart("type", provider)),
    }
    let function = outer.take("function").ok_or_else(|| outer.refused("function", "it is absent"))?;
    let mut function = Fields::read("tool_choice.function", function.get())?;
    Ok(Some(Choice::Named(function.need_text("name")?)))
}

fn format<'a>(fields: &mut Fields<'a>, provider: &str) -> Result<Format<'a>, Fault> {
    let Some(raw) = fields.take("response_format") else { return Ok(Format::Text) };
    let mut format = Fields::read("response_format", raw.get())?;
    match format.take_text("type")?.as_deref() {
        Some("text") => Ok(Format::Text),
        Some("json_object") => Ok(Format::Json),
        Some("json_schema") => {
            let raw =
                format.take("json_schema").ok_or_else(|| format.refused("json_schema", "it is absent"))?;
            let mut inner = Fields::read("response_format.json_schema", raw.get())?;
            let schema = inner.take("schema").ok_or_else(|| inner.refused("schema", "it is absent"))?;
            Ok(Format::Schema(schema))
        }
        _ => Err(format.no_counterpart("type", provider)),
    }
}
