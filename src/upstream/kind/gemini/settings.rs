//! `generationConfig` and `toolConfig`.

use super::super::chat::{Chat, Choice, Format};
use super::super::fields::Members;
use super::super::invalid;
use super::PROVIDER;
use crate::base::fault::Fault;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::borrow::Cow;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Generation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<Value>,
    /// What the client gave under Google's own names, `topK` for instance.
    #[serde(flatten)]
    theirs: Members<'a>,
}

impl Generation<'_> {
    pub fn is_empty(&self) -> bool {
        self.set().iter().all(|(_, set)| !set) && self.theirs.names().next().is_none()
    }

    fn set(&self) -> [(&'static str, bool); 11] {
        [
            ("temperature", self.temperature.is_some()),
            ("topP", self.top_p.is_some()),
            ("candidateCount", self.candidate_count.is_some()),
            ("maxOutputTokens", self.max_output_tokens.is_some()),
            ("stopSequences", !self.stop_sequences.is_empty()),
            ("seed", self.seed.is_some()),
            ("presencePenalty", self.presence_penalty.is_some()),
            ("frequencyPenalty", self.frequency_penalty.is_some()),
            ("responseMimeType", self.response_mime_type.is_some()),
            ("responseJsonSchema", self.response_json_schema.is_some()),
            ("thinkingConfig", self.thinking_config.is_some()),
        ]
    }
}

/// The settings, and the members that are left for the request itself.
pub(super) fn generation<'a>(chat: Chat<'a>, model: &str) -> Result<(Generation<'a>, Members<'a>), Fault> {
    let Chat {
        // Judged by the request.
        model: _,
        turns: _,
        tools: _,
        choice: _,
        parallel: _,
        form: _,
        format,
        limit,
        stop,
        n,
        temperature,
        top_p,
        seed,
        presence_penalty,
        frequency_penalty,
        effort,
        // Labels for abuse reports and queues at OpenAI; this API has neither.
        user: _,
        service_tier: _,
        mut rest,
    } = chat;
    let (response_mime_type, response_json_schema) = match format {
        Format::Text => (None, None),
        Format::Json => (Some("application/json"), None),
        Format::Schema(schema) => (Some("application/json"), Some(schema)),
    };
    let theirs = match rest.take("generationConfig") {
        None => Members::default(),
        Some(raw) => serde_json::from_str(raw.get())
            .map_err(|_| invalid("`generationConfig`: expected an object".to_owned()))?,
    };
    let generation = Generation {
        temperature,
        top_p,
        candidate_count: n.filter(|n| *n != 1),
        max_output_tokens: limit,
        stop_sequences: stop,
        seed,
        presence_penalty,
        frequency_penalty,
        response_mime_type,
        response_json_schema,
        thinking_config: effort.map(|effort| thinking(&effort, model)),
        theirs,
    };
    generation.theirs.not_twice("generationConfig.", &generation.set())?;
    Ok((generation, rest))
}

/// Whether a model is of the generations that take a thinking budget and need no signatures.
pub(super) fn is_before_3(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or_default();
    ["gemini-1", "gemini-2", "gemma"].iter().any(|old| name.starts_with(old))
}

/// Google's own table for `reasoning_effort`: tokens up to Gemini 2.5, a level from 3 on. `none` asks
/// for no thinking; a model that cannot do without refuses it itself.
fn thinking(effort: &str, model: &str) -> Value {
    let budget = match effort {
        "none" => Some(0),
        "minimal" | "low" if is_before_3(model) => Some(1_024),
        "medium" if is_before_3(model) => Some(8_192),
        _ if is_before_3(model) => Some(24_576),
        _ => None,
    };
    match budget {
        Some(budget) => json!({"thinkingBudget": budget}),
        None => json!({"thinkingLevel": effort}),
    }
}

/// Which functions may be called. A function that is `strict` has its calls held to its schema.
pub(super) fn tool_config(chat: &Chat<'_>) -> Result<Option<Value>, Fault> {
    if chat.tools.is_empty() {
        return Ok(None);
    }
    if chat.parallel == Some(false) {
        let why = "may make several calls at once and cannot be told not to; leave it out";
        return Err(invalid(format!("`parallel_tool_calls`: {PROVIDER} {why}")));
    }
    let strict = chat.tools.iter().any(|tool| tool.strict == Some(true));
    let calling = match &chat.choice {
        None | Some(Choice::Auto) if strict => json!({"mode": "VALIDATED"}),
        None => return Ok(None),
        Some(Choice::Auto) => json!({"mode": "AUTO"}),
        Some(Choice::None) => json!({"mode": "NONE"}),
        Some(Choice::Required) => json!({"mode": "ANY"}),
        Some(Choice::Named(name)) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    Ok(Some(json!({"functionCallingConfig": calling})))
}
