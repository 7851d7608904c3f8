//! Requests in, answers out: paths, limits, counts.

use super::answer::{self, Answer};
use super::ask::{ChatAsk, CompletionAsk, EmbeddingAsk};
use super::script::{self, Script, Step};
use super::settings::{Coding, Defect, Latency, Manner};
use super::state::{Counting, InFlight, Seen, State};
use super::{embeddings, write};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Bytes of a request body that are read.
const MOST_BODY: usize = 64 << 20;
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream; charset=utf-8";
const HTML_PAGE: &[u8] =
    b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>\n";
const GARBAGE: &[u8] = b"{\"id\": \"chatcmpl-\xff\xfe, \"choices\": [[[";
const MODELS: [&str; 4] = ["gpt-4.1-mini", "gpt-4.1", "o4-mini", "text-embedding-3-small"];

/// What is to be sent, before any defect or coding.
struct Plan {
    status: StatusCode,
    kind: &'static str,
    before: Duration,
    content: Planned,
}

enum Planned {
    Body(Bytes),
    Stream { events: Vec<Bytes>, latency: Latency },
}

pub type Played = Response<Script<InFlight>>;

pub async fn respond(state: Arc<State>, request: Request<Incoming>) -> Result<Played, Infallible> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MOST_BODY).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => {
            let refused =
                error(StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large or broke off", None);
            return Ok(sent(refused, None, None, state.in_flight(Counting::Aside)));
        }
    };
    state.keep(|| Seen {
        method: head.method.clone(),
        target: head.uri.to_string(),
        headers: head.headers.clone(),
        body: body.clone(),
    });
    if let Some(rest) = head.uri.path().strip_prefix("/stand-in/") {
        let plan = own(&state, &head.method, rest);
        return Ok(sent(plan, None, None, state.in_flight(Counting::Aside)));
    }
    let in_flight = state.in_flight(Counting::Call);
    let asked = state
        .manner()
        .for_request(&head.headers)
        .and_then(|manner| Ok((manner, Coding::for_request(&head.headers)?)));
    let (manner, coding) = match asked {
        Ok(asked) => asked,
        Err(told) => return Ok(sent(error(StatusCode::BAD_REQUEST, &told, None), None, None, in_flight)),
    };
    let plan =
        planned(&state, manner, &head.method, head.uri.path(), &body).unwrap_or_else(|refused| refused);
    if !plan.before.is_zero() {
        sleep(plan.before).await;
    }
    Ok(sent(plan, manner.defect, coding, in_flight))
}

fn planned(state: &State, manner: Manner, method: &Method, path: &str, body: &Bytes) -> Result<Plan, Plan> {
    let at_once = |status: StatusCode, kind: &'static str, body: Bytes| Plan {
        status,
        kind,
        before: manner.latency.whole,
        content: Planned::Body(body),
    };
    match manner.defect {
        Some(Defect::Status(code)) => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return Err(Plan {
                before: manner.latency.whole,
                ..error(status, "this failure was asked for", None)
            });
        }
        Some(Defect::Html) => {
            return Err(at_once(StatusCode::OK, "text/html", Bytes::from_static(HTML_PAGE)));
        }
        _ => {}
    }
    match (method, path) {
        (&Method::POST, "/v1/chat/completions") => {
            let ask: ChatAsk = read(body)?;
            let answer = answer::chat(&ask, state.answers(), manner.defect);
            let logprobs = (ask.logprobs == Some(true)).then(|| ask.top_logprobs.unwrap_or(0));
            Ok(match ask.stream {
                Some(true) => streamed(
                    state,
                    manner,
                    &answer,
                    write::chat_events(&answer, logprobs, ask.include_usage()),
                ),
                _ => plain(state, manner, &answer, write::chat_body(&answer, logprobs)),
            })
        }
        (&Method::POST, "/v1/completions") => {
            let ask: CompletionAsk = read(body)?;
            let answer = answer::completion(&ask, state.answers(), manner.defect);
            let usage = ask.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
            Ok(match ask.stream {
                Some(true) => {
                    streamed(state, manner, &answer, write::completion_events(&answer, ask.logprobs, usage))
                }
                _ => plain(state, manner, &answer, write::completion_body(&answer, ask.logprobs)),
            })
        }
        (&Method::POST, "/v1/embeddings") => {
            let ask: EmbeddingAsk = read(body)?;
            let (vectors, counted) =
                embeddings::body(&ask).map_err(|told| error(StatusCode::BAD_REQUEST, &told, None))?;
            state.count(counted, 0);
            Ok(bent(manner, at_once(StatusCode::OK, JSON, vectors)))
        }
        (&Method::GET, "/v1/models") => Ok(bent(manner, at_once(StatusCode::OK, JSON, models()))),
        _ => {
            let told = format!("Invalid URL ({method} {path})");
            Err(error(StatusCode::NOT_FOUND, &told, Some("unknown_url")))
        }
    }
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Plan> {
    serde_json::from_slice(body).map_err(|wrong| {
        error(StatusCode::BAD_REQUEST, &format!("We could not parse the body of your request: {wrong}"), None)
    })
}

fn plain(state: &State, manner: Manner, answer: &Answer, body: Bytes) -> Plan {
    state.count(answer.usage.prompt, answer.usage.completion);
    let tokens = u32::try_from(answer.usage.completion).unwrap_or(u32::MAX);
    let latency = manner.latency;
    let before = latency.whole + latency.first_token + latency.per_token.saturating_mul(tokens);
    bent(manner, Plan { status: StatusCode::OK, kind: JSON, before, content: Planned::Body(body) })
}

fn streamed(state: &State, manner: Manner, answer: &Answer, events: Vec<Bytes>) -> Plan {
    state.count(answer.usage.prompt, answer.usage.completion);
    let content = Planned::Stream { events, latency: manner.latency };
    Plan { status: StatusCode::OK, kind: EVENTS, before: manner.latency.whole, content }
}

/// What the two defects that change a plain body's text make of it.
fn bent(manner: Manner, plan: Plan) -> Plan {
    match manner.defect {
        Some(Defect::Garbage) => Plan { content: Planned::Body(Bytes::from_static(GARBAGE)), ..plan },
        Some(Defect::ErrorEvent(_)) => error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The server had an error while processing your request",
            None,
        ),
        _ => plan,
    }
}

fn sent(plan: Plan, defect: Option<Defect>, coding: Option<Coding>, in_flight: InFlight) -> Played {
    let told = match &plan.content {
        Planned::Body(body) => Some(body.len()),
        Planned::Stream { .. } => None,
    };
    let steps = match plan.content {
        Planned::Body(body) => script::of_body(body, defect),
        Planned::Stream { events, latency } => {
            script::of_stream(events, latency.first_token, latency.per_token, defect)
        }
    };
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(plan.kind));
    headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
    if matches!(plan.status.as_u16(), 429 | 503) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let (steps, told) = match coding.map(|coding| (coding, script::encoded(steps.clone(), coding))) {
        Some((coding, Ok(encoded))) => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.word()));
            let told = told.map(|_| sent_bytes(&encoded));
            (encoded, told)
        }
        Some((_, Err(_))) | None => (steps, told),
    };
    let lie = if defect == Some(Defect::LieLength) { 64 } else { 0 };
    match told {
        Some(length) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length + lie));
        }
        None if lie > 0 => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(sent_bytes(&steps) + lie));
        }
        None => {}
    }
    let mut response = Response::new(Script::new(steps, in_flight));
    *response.status_mut() = plan.status;
    *response.headers_mut() = headers;
    response
}

fn sent_bytes(steps: &[Step]) -> usize {
    steps.iter().map(|step| if let Step::Send(bytes) = step { bytes.len() } else { 0 }).sum()
}

/// The stand-in's own paths: what it counted, and counting from zero again.
fn own(state: &State, method: &Method, path: &str) -> Plan {
    match (method, path) {
        (&Method::GET, "stats") => {
            let stats = state.stats();
            let body = json!({
                "calls": stats.calls, "prompt_tokens": stats.prompt_tokens,
                "completion_tokens": stats.completion_tokens, "in_flight": stats.in_flight
            });
            own_body(&body)
        }
        (&Method::POST, "reset") => {
            state.reset();
            own_body(&json!({"reset": true}))
        }
        _ => error(
            StatusCode::NOT_FOUND,
            "expected GET /stand-in/stats or POST /stand-in/reset",
            Some("unknown_url"),
        ),
    }
}

fn own_body(body: &Value) -> Plan {
    Plan {
        status: StatusCode::OK,
        kind: JSON,
        before: Duration::ZERO,
        content: Planned::Body(Bytes::from(body.to_string())),
    }
}

fn models() -> Bytes {
    let data: Vec<Value> = MODELS
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": 1_744_316_542, "owned_by": "stand-in"}))
        .collect();
    Bytes::from(json!({"object": "list", "data": data}).to_string())
}

/// OpenAI's error body.
fn error(status: StatusCode, message: &str, code: Option<&str>) -> Plan {
    let kind = match status.as_u16() {
        401 => "authentication_error",
        429 => "rate_limit_exceeded",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
    Plan { status, ..own_body(&body) }
}
