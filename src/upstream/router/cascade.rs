//! The cheaper model first: its answer is read before it goes to the client, and where it shows a signal
//! the larger model is asked too.
//!
//! ```text
//! answered ─ held to its end ─ no signal ─────────────────────────────────────────> client
//!                 │                └ signal ─ larger model ─ answered ───────────────> client
//!                 └ too long to hold ──> client  └ failed ─> the first answer ─> client
//! ```
//! Costs a held answer: the first byte of a stream comes with its last.

use super::answer::{FAR, Held, hold};
use super::asked::Asked;
use super::fleet::Fleet;
use super::journey::{Journey, Stage};
use crate::config::routing::{Cascade, Signal};
use crate::upstream::{Escalated, Incoming, Outgoing, OutgoingBody};
use crate::wire::answer::outline_of_body;
use crate::wire::usage::Usage;
use crate::wire::{Dialect, convert, is_event_stream, sse};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;

/// Bytes of an answer that is held to be judged; a longer one goes to the client as it is.
const JUDGED: usize = 4 << 20;

impl Journey<'_> {
    /// This answer, or that of the larger model where this one shows a signal of the cascade. An answer that was
    /// paid for is never lost: where the larger model has none, this one stands.
    pub(super) async fn or_larger(&mut self, name: &str, fleet: &Arc<Fleet>, incoming: Incoming) -> Incoming {
        let known_as = self.other_name(name, fleet);
        let (Some(cascade), Some(dialect)) = (&fleet.model.cascade, self.judged_dialect()) else {
            return self.sign(incoming, false, known_as);
        };
        if incoming.status != StatusCode::OK {
            return self.sign(incoming, false, known_as);
        }
        let held = hold(incoming, JUDGED, Instant::now() + FAR).await;
        let verdict = judge(cascade, &self.asked, &self.body, dialect, &held);
        let larger = self.router.catalogue.find(&cascade.to).cloned();
        let (Some((signal, usage)), Some(larger)) = (verdict, larger) else {
            return self.sign(held.into_incoming(), false, known_as);
        };
        let (to, metrics) = (&cascade.to, &self.router.metrics.deployments);
        tracing::debug!(model = %name, %to, signal = signal.word(), "escalated to a larger model");
        metrics.escalated(name, to, signal.word());
        self.judging = false;
        match self.ask(to, &larger, true, &mut None).await {
            Stage::Answered(answer) if answer.status.is_success() => {
                let model = self.other_name(to, &larger);
                let mut answer = self.sign(answer, false, model);
                answer.way.escalated =
                    Some(Box::new(Escalated { model: name.into(), usage, signal: signal.word() }));
                answer
            }
            _ => {
                tracing::warn!(model = %name, %to, "the larger model has no answer, so the first one stands");
                self.sign(held.into_incoming(), false, known_as)
            }
        }
    }

    /// What goes to this model's deployments. Where the answer is to be judged it comes uncoded, and with its tokens'
    /// probabilities if a signal goes by them and the client says nothing of them.
    pub(super) fn outgoing(&self, fleet: &Fleet, model: &str) -> Outgoing {
        let mut headers = self.headers.clone();
        let mut body = self.asked.with_model(&self.body, model);
        if let (Some(cascade), Some(dialect), true) =
            (&fleet.model.cascade, self.judged_dialect(), self.judging)
        {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            if dialect == Dialect::ChatCompletions && cascade.on.contains(&Signal::LowConfidence) {
                body = self.asked.with_logprobs(body);
            }
        }
        let (method, target) = (self.method.clone(), self.target.clone());
        Outgoing { method, target, headers, body: OutgoingBody::Whole(body) }
    }

    /// `None`: its answers are not read.
    fn judged_dialect(&self) -> Option<Dialect> {
        Dialect::of_path(self.target.path())
            .filter(|dialect| matches!(dialect, Dialect::ChatCompletions | Dialect::Completions))
    }
}

/// The first signal that an answer shows, and what it cost. `None` too for one that is not whole.
fn judge(
    cascade: &Cascade,
    asked: &Asked,
    request: &[u8],
    dialect: Dialect,
    held: &Held,
) -> Option<(Signal, Option<Usage>)> {
    let body = body_of(dialect, held)?;
    let outline =
        outline_of_body(dialect, &body).ok().filter(|outline| outline.terminal && !outline.error)?;
    let body: Value = serde_json::from_slice(&body).ok()?;
    let choices = body.get("choices")?.as_array()?;
    let shows = |signal: &Signal| match signal {
        Signal::Refusal => choices.iter().any(is_refusal),
        Signal::Truncated => choices.iter().any(is_truncated) && !by_request(asked, outline.usage),
        Signal::Schema => {
            let wanted = Wanted::of(request);
            choices.iter().any(|choice| !wanted.is_met(choice))
        }
        Signal::LowConfidence => {
            choices.iter().filter_map(confidence).any(|confidence| confidence < cascade.min_confidence)
        }
    };
    let signal = cascade.on.iter().copied().find(|signal| shows(signal))?;
    Some((signal, outline.usage))
}

/// A whole answer as a plain body. `None` for one that cannot be read.
fn body_of(dialect: Dialect, held: &Held) -> Option<Bytes> {
    let whole = held.whole().filter(|_| !held.headers.contains_key(CONTENT_ENCODING))?;
    if !is_event_stream(&held.headers) {
        return Some(whole.clone());
    }
    let mut events = Vec::new();
    sse::Decoder::new(JUDGED).decode(whole.clone(), &mut events).ok()?;
    let events: Vec<Bytes> = events.into_iter().map(|event| event.data).collect();
    convert::fold(dialect, &events).ok()
}

fn is_refusal(choice: &Value) -> bool {
    let refused = choice["message"]["refusal"].as_str().is_some_and(|refusal| !refusal.is_empty());
    refused || choice["finish_reason"] == "content_filter"
}

fn is_truncated(choice: &Value) -> bool {
    choice["finish_reason"] == "length"
}

/// Whether an answer is as long as the client allows: then a larger model's would be cut too.
fn by_request(asked: &Asked, usage: Option<Usage>) -> bool {
    asked.max_tokens > 0 && usage.is_none_or(|usage| usage.completion >= asked.max_tokens)
}

/// The geometric mean of the probabilities of a choice's tokens: exp(Σ log p / n). `None` where the answer has none.
fn confidence(choice: &Value) -> Option<f64> {
    let logprobs = &choice["logprobs"];
    let tokens: Vec<f64> = match &logprobs["content"] {
        Value::Array(tokens) => tokens.iter().filter_map(|token| token["logprob"].as_f64()).collect(),
        _ => logprobs["token_logprobs"].as_array()?.iter().filter_map(Value::as_f64).collect(),
    };
    (!tokens.is_empty()).then(|| (tokens.iter().sum::<f64>() / tokens.len() as f64).exp())
}

/// The form that a request wants its answer in.
struct Wanted {
    content: Content,
    /// The parameters of each function that may be called.
    functions: Vec<(String, Value)>,
}

enum Content {
    Any,
    Object,
    Schema(Value),
}

impl Wanted {
    fn of(request: &[u8]) -> Wanted {
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        let format = &request["response_format"];
        let content = match format["type"].as_str() {
            Some("json_schema") => Content::Schema(format["json_schema"]["schema"].clone()),
            Some("json_object") => Content::Object,
            _ => Content::Any,
        };
        let tools = request["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        let function = |tool: &Value| {
            let function = &tool["function"];
            Some((function["name"].as_str()?.to_owned(), function["parameters"].clone()))
        };
        Wanted { content, functions: tools.iter().filter_map(function).collect() }
    }

    fn is_met(&self, choice: &Value) -> bool {
        let message = &choice["message"];
        let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !calls.iter().all(|call| self.may_be_called(&call["function"])) {
            return false;
        }
        // A refusal is another signal, and whoever calls a function need not say anything.
        let Some(text) = message["content"].as_str().filter(|_| calls.is_empty() && !is_refusal(choice))
        else {
            return true;
        };
        match &self.content {
            Content::Any => true,
            Content::Object => serde_json::from_str(text).is_ok_and(|value: Value| value.is_object()),
            Content::Schema(schema) => serde_json::from_str(text).is_ok_and(|value| meets(schema, &value)),
        }
    }

    /// Whether a function is one of those that were given, and its arguments are as it wants them.
    fn may_be_called(&self, call: &Value) -> bool {
        let called = call["name"].as_str().unwrap_or_default();
        let Some((_, parameters)) = self.functions.iter().find(|(name, _)| name == called) else {
            return false;
        };
        let arguments = call["arguments"].as_str().unwrap_or_default();
        // Of a function without parameters some models leave them out.
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        serde_json::from_str(arguments).is_ok_and(|value| meets(parameters, &value))
    }
}

/// True also where the schema itself cannot be read: that is the client's, and no model would do better.
fn meets(schema: &Value, value: &Value) -> bool {
    schema.is_null() || jsonschema::validator_for(schema).map_or(true, |schema| schema.is_valid(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn met(request: &Value, message: &Value) -> bool {
        Wanted::of(request.to_string().as_bytes())
            .is_met(&json!({ "message": message, "finish_reason": "stop" }))
    }

    #[test]
    fn an_answer_meets_its_schema_or_not() {
        let schema =
            json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } });
        let request =
            json!({ "response_format": { "type": "json_schema", "json_schema": { "schema": schema } } });
        assert!(met(&request, &json!({ "content": "{\"n\":1}" })));
        assert!(!met(&request, &json!({ "content": "{\"n\":\"1\"}" })));
        assert!(!met(&request, &json!({ "content": "Here it is: {\"n\":1}" })));
        assert!(met(&request, &json!({ "content": "no", "refusal": "no" })), "another signal");
        let object = json!({ "response_format": { "type": "json_object" } });
        assert!(met(&object, &json!({ "content": "{}" })) && !met(&object, &json!({ "content": "[]" })));
        assert!(met(&json!({}), &json!({ "content": "anything" })));
        let odd = json!({ "response_format": { "type": "json_schema", "json_schema": { "schema": { "type": 7 } } } });
        assert!(met(&odd, &json!({ "content": "{}" })), "no model meets a schema that is none");
    }

    #[test]
    fn a_call_is_of_a_function_that_was_given_with_arguments_that_it_takes() {
        let parameters =
            json!({ "type": "object", "required": ["city"], "properties": { "city": { "type": "string" } } });
        let tools = json!({ "tools": [
            { "type": "function", "function": { "name": "weather", "parameters": parameters } },
            { "type": "function", "function": { "name": "now" } },
        ] });
        let call = |name: &str, arguments: &str| json!({ "content": null, "tool_calls": [{ "function": { "name": name, "arguments": arguments } }] });
        assert!(met(&tools, &call("weather", "{\"city\":\"Seoul\"}")) && met(&tools, &call("now", "")));
        assert!(!met(&tools, &call("weather", "{}")) && !met(&tools, &call("weather", "{\"city\":")));
        assert!(!met(&tools, &call("wether", "{\"city\":\"Seoul\"}")));
    }

    #[test]
    fn confidence_is_the_geometric_mean_of_the_tokens() {
        let chat =
            json!({ "logprobs": { "content": [{ "logprob": 0.5f64.ln() }, { "logprob": 0.125f64.ln() }] } });
        assert!((confidence(&chat).unwrap() - 0.25).abs() < 1e-9);
        let plain = json!({ "logprobs": { "token_logprobs": [null, 0.5f64.ln()] } });
        assert!((confidence(&plain).unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(confidence(&json!({ "logprobs": null })), None);
    }
}
