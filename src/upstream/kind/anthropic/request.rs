//! A chat request as a Messages request.

use super::super::chat::{Chat, Choice, Format, Tool};
use super::super::fields::Members;
use super::super::turns::{Content, Part, Said, Source, Turn};
use super::super::{Translated, invalid, is_zero, unwritable};
use super::PROVIDER;
use crate::base::fault::Fault;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;

#[derive(Serialize)]
struct Request<'a> {
    model: Cow<'a, str>,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(flatten)]
    rest: Members<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(flatten)]
        rest: Members<'a>,
    },
    Image {
        source: BlockSource<'a>,
        #[serde(flatten)]
        rest: Members<'a>,
    },
    Document {
        source: BlockSource<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<Cow<'a, str>>,
        #[serde(flatten)]
        rest: Members<'a>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(flatten)]
        rest: Members<'a>,
    },
    #[serde(untagged)]
    AsItCame(&'a RawValue),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum BlockSource<'a> {
    Base64 { media_type: String, data: Cow<'a, str> },
    Url { url: Cow<'a, str> },
}

#[derive(Serialize)]
struct Function<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    input_schema: Schema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(flatten)]
    of_tool: Members<'a>,
    #[serde(flatten)]
    of_function: Members<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Schema<'a> {
    Given(&'a RawValue),
    Empty(Value),
}

#[derive(Default, Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat<'a>>,
}

#[derive(Serialize)]
struct OutputFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: &'a RawValue,
}

/// Writes the request. `max_tokens`: where the client set no limit.
///
/// # Errors
/// `InvalidRequest`, with the field's name, for what has no counterpart.
pub(in super::super) fn request(body: &[u8], max_tokens: u64) -> Result<Translated, Fault> {
    let Chat {
        model,
        turns,
        tools,
        choice,
        parallel,
        format,
        form,
        limit,
        stop,
        n,
        temperature,
        top_p,
        // Best effort at OpenAI itself; there is nothing like it here.
        seed: _,
        presence_penalty,
        frequency_penalty,
        effort,
        user,
        service_tier,
        rest,
    } = Chat::read(body, PROVIDER)?;
    if n.is_some_and(|n| n != 1) {
        return Err(lacks("n", "it gives one choice; ask several times"));
    }
    if temperature.is_some_and(|temperature| temperature > 1.0) {
        return Err(lacks("temperature", "it takes 0 to 1; lower it"));
    }
    for (name, penalty) in [("presence_penalty", presence_penalty), ("frequency_penalty", frequency_penalty)]
    {
        if penalty.is_some_and(|raw| !is_zero(raw)) {
            return Err(lacks(name, "it has no counterpart for it; leave it out"));
        }
    }
    let thinking = effort.as_deref().filter(|effort| *effort == "none").map(|_| json!({"type": "disabled"}));
    let (system, messages) = conversation(turns)?;
    let request = Request {
        model,
        max_tokens: limit.unwrap_or(max_tokens),
        system,
        messages,
        tool_choice: tool_choice(choice, parallel, !tools.is_empty()),
        tools: tools.into_iter().map(function).collect(),
        temperature,
        top_p,
        stop_sequences: stop,
        output_config: output_config(format, effort)?,
        thinking,
        metadata: user.map(|user| json!({"user_id": user})),
        service_tier: service_tier.filter(|tier| tier == "default").map(|_| "standard_only"),
        stream: form.stream,
        rest,
    };
    let ours = [
        ("system", !request.system.is_empty()),
        ("stop_sequences", !request.stop_sequences.is_empty()),
        ("output_config", request.output_config.is_some()),
        ("thinking", request.thinking.is_some()),
    ];
    request.rest.not_twice("", &ours)?;
    let body = serde_json::to_vec(&request).map_err(unwritable)?;
    Ok(Translated { body: Bytes::from(body), form })
}

fn lacks(name: &str, why: &str) -> Fault {
    invalid(format!("`{name}`: of {PROVIDER}, {why}"))
}

/// System messages, wherever they stand, go before the conversation: Anthropic's own chat API does the
/// same. Neighbours of one role become one message; so do a round's tool results.
fn conversation(turns: Vec<Turn<'_>>) -> Result<(Vec<Block<'_>>, Vec<Message<'_>>), Fault> {
    let mut system = Vec::new();
    let mut messages: Vec<Message<'_>> = Vec::new();
    for turn in turns {
        let (role, content) = match turn {
            Turn::System(parts) => {
                system.extend(blocks(parts)?);
                continue;
            }
            Turn::User(parts) => ("user", blocks(parts)?),
            Turn::Assistant(said) => ("assistant", said_blocks(said)?),
            Turn::Tool { at: _, call, parts, rest } => {
                let content = blocks(parts)?;
                ("user", vec![Block::ToolResult { tool_use_id: call, content, rest }])
            }
        };
        match messages.last_mut() {
            Some(last) if last.role == role => last.content.extend(content),
            _ if content.is_empty() => {}
            _ => messages.push(Message { role, content }),
        }
    }
    Ok((system, messages))
}

fn said_blocks(said: Said<'_>) -> Result<Vec<Block<'_>>, Fault> {
    // Gemini's signature means nothing here.
    let Said { parts, calls, thinking, signature: _ } = said;
    let mut out: Vec<Block<'_>> = thinking.into_iter().map(Block::AsItCame).collect();
    out.extend(blocks(parts)?);
    out.extend(calls.into_iter().map(|call| Block::ToolUse {
        id: call.id,
        name: call.name,
        input: call.arguments,
    }));
    Ok(out)
}

/// Empty texts, which the API refuses, say nothing and are left out.
fn blocks(parts: Vec<Part<'_>>) -> Result<Vec<Block<'_>>, Fault> {
    let mut out = Vec::with_capacity(parts.len());
    for Part { at, content, rest } in parts {
        out.push(match content {
            Content::Text(text) if text.is_empty() => continue,
            Content::Text(text) => Block::Text { text, rest },
            Content::Image(source) => Block::Image { source: block_source(source), rest },
            Content::File { source, name } => {
                Block::Document { source: block_source(source), title: name, rest }
            }
            Content::Audio { .. } => {
                return Err(invalid(format!("`{at}`: {PROVIDER} takes no audio; leave it out")));
            }
        });
    }
    Ok(out)
}

fn block_source(source: Source<'_>) -> BlockSource<'_> {
    match source {
        Source::Inline { media, data } => BlockSource::Base64 { media_type: media, data },
        Source::Url(url) => BlockSource::Url { url },
    }
}

fn function(tool: Tool<'_>) -> Function<'_> {
    let Tool { name, description, parameters, strict, rest: [of_tool, of_function] } = tool;
    let input_schema = match parameters {
        Some(schema) => Schema::Given(schema),
        None => Schema::Empty(json!({"type": "object", "properties": {}})),
    };
    Function {
        name,
        description,
        input_schema,
        strict: strict.filter(|strict| *strict),
        of_tool,
        of_function,
    }
}

fn tool_choice(choice: Option<Choice<'_>>, parallel: Option<bool>, tools: bool) -> Option<Value> {
    let one_at_a_time = parallel == Some(false);
    let mut wanted = match choice {
        None if one_at_a_time && tools => json!({"type": "auto"}),
        None => return None,
        Some(Choice::None) => return tools.then(|| json!({"type": "none"})),
        Some(Choice::Auto) if !tools => return None,
        Some(Choice::Auto) => json!({"type": "auto"}),
        Some(Choice::Required) => json!({"type": "any"}),
        Some(Choice::Named(name)) => json!({"type": "tool", "name": name}),
    };
    if one_at_a_time {
        wanted["disable_parallel_tool_use"] = true.into();
    }
    Some(wanted)
}

fn output_config<'a>(
    format: Format<'a>,
    effort: Option<Cow<'a, str>>,
) -> Result<Option<OutputConfig<'a>>, Fault> {
    let format = match format {
        Format::Text => None,
        Format::Schema(schema) => Some(OutputFormat { kind: "json_schema", schema }),
        Format::Json => {
            return Err(lacks("response_format.type", "it has no json_object; give a json_schema"));
        }
    };
    let effort = effort.filter(|effort| effort != "none").map(|effort| match effort.as_ref() {
        "minimal" => Cow::Borrowed("low"),
        _ => effort,
    });
    let config = OutputConfig { effort, format };
    Ok((config.effort.is_some() || config.format.is_some()).then_some(config))
}
