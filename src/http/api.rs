//! `/api/explain` and `/api/feedback`: JSON in, JSON out, behind the admin token; `/api/budget` and `/api/observe`: JSON out.

use super::face;
use crate::base::fault::{Fault, Kind};
use crate::cache::entry::EntryId;
use crate::cache::feedback::{Report, Reported};
use crate::gateway::Gateway;
use crate::gateway::explain::Asked;
use crate::gateway::trust::report::About;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::ALLOW;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a report at most: an id, and a question no longer than a model reads.
const LONGEST_REPORT: usize = 64 << 10;
/// Bytes that explain takes beside the request it is about.
const ENVELOPE: usize = 64 << 10;

/// The routes, for [`Admin::with`](super::admin::Admin::with).
pub fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/api/explain", posted(post(explain)))
        .route("/api/feedback", posted(post(feedback)))
        .route("/api/budget", get(|State(gateway): State<Arc<Gateway>>| told(gateway, About::Budgets)))
        .route("/api/observe", get(|State(gateway): State<Arc<Gateway>>| told(gateway, About::Observed)))
        .merge(super::stored::routes())
        .with_state(gateway)
}

pub(super) fn posted(method: MethodRouter<Arc<Gateway>>) -> MethodRouter<Arc<Gateway>> {
    method.fallback(|| async {
        let error = json!({"error": "expected POST with a JSON body"});
        (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST")], axum::Json(error))
    })
}

/// What `/api/explain` takes: a request as a client would send it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Explain {
    #[serde(default = "chat_completions")]
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Read as the very bytes given here.
    body: Option<Box<RawValue>>,
    /// In place of `body`, for one that is no JSON.
    body_text: Option<String>,
}

fn chat_completions() -> String {
    "/v1/chat/completions".to_owned()
}

/// What `/api/feedback` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Feedback {
    /// The value of `x-reprise-entry`.
    entry: String,
    right: bool,
    /// What was asked when the entry's answer came back; needed where only that pairing was wrong.
    question: Option<String>,
}

async fn explain(State(gateway): State<Arc<Gateway>>, body: Body) -> Response {
    let most = gateway.settings.load().config.limits.max_body.saturating_add(ENVELOPE);
    let asked = match read::<Explain>(&gateway, body, most).await.and_then(asked) {
        Ok(asked) => asked,
        Err(fault) => return refused(&fault),
    };
    match gateway.explain(asked).await {
        Ok(explained) => axum::Json(explained).into_response(),
        Err(fault) => refused(&fault),
    }
}

fn asked(explain: Explain) -> Result<Asked, Fault> {
    let Explain { path, headers, body, body_text } = explain;
    let body = match (body, body_text) {
        (Some(json), None) => Bytes::from(String::from(Box::<str>::from(json))),
        (None, Some(text)) => Bytes::from(text),
        _ => return Err(invalid("expected one of `body`, with the request as JSON, and `body_text`")),
    };
    let target: PathAndQuery = path
        .parse()
        .map_err(|_| invalid(format!("`path` is {path:?}; expected one such as /v1/chat/completions")))?;
    let mut carried = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let wrong =
            || invalid(format!("`headers` holds {name:?}; expected names and values that HTTP allows"));
        let value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
        carried.append(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
    }
    Ok(Asked { target, headers: carried, body })
}

async fn told(gateway: Arc<Gateway>, about: About) -> Response {
    axum::Json(gateway.told(about)).into_response()
}

async fn feedback(State(gateway): State<Arc<Gateway>>, body: Body) -> Response {
    let Feedback { entry, right, question } = match read(&gateway, body, LONGEST_REPORT).await {
        Ok(feedback) => feedback,
        Err(fault) => return refused(&fault),
    };
    let Some(id) = EntryId::parse(&entry) else {
        return refused(&invalid(
            "`entry` is no id; expected the 32 hex digits of an answer's x-reprise-entry",
        ));
    };
    let report = match (right, question) {
        (true, _) => Report::Right,
        (false, None) => Report::Wrong,
        (false, Some(question)) if question.trim().is_empty() => {
            return refused(&invalid("`question` is empty; leave it out to drop the entry"));
        }
        (false, Some(question)) => Report::WrongFor(question),
    };
    let reported = gateway.cache.report(id, report).await;
    gateway.metrics.fed_back(reported.word());
    match reported {
        Reported::Unknown => {
            let error = format!(
                "no entry {entry}; it may have expired or been evicted, or it was dropped: take the id of a recent hit"
            );
            (StatusCode::NOT_FOUND, axum::Json(json!({"error": error}))).into_response()
        }
        Reported::Right | Reported::Dropped => {
            axum::Json(json!({"entry": entry, "outcome": reported.word()})).into_response()
        }
        Reported::Tightened { score, partition } => {
            gateway.complain(&partition, score);
            let score = (f64::from(score) * 10_000.0).round() / 10_000.0;
            axum::Json(json!({"entry": entry, "outcome": reported.word(), "wrong_at": score})).into_response()
        }
    }
}

/// Reads a JSON body of at most `most` bytes, within `server.body_timeout`.
pub(super) async fn read<T: DeserializeOwned>(
    gateway: &Gateway,
    body: Body,
    most: usize,
) -> Result<T, Fault> {
    let limit = gateway.settings.load().config.limits.body_timeout;
    let whole = match tokio::time::timeout(limit, Limited::new(body, most).collect()).await {
        Ok(Ok(whole)) => whole.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(Fault::new(Kind::BodyTooLarge, format!("the body is over {most} bytes; send less")));
        }
        Ok(Err(_)) => return Err(invalid("the body broke off; send it whole")),
        Err(_) => {
            return Err(Fault::new(Kind::RequestTimeout, "the body did not come in time; send it at once"));
        }
    };
    serde_json::from_slice(&whole).map_err(|error| invalid(format!("the body cannot be understood: {error}")))
}

pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Kind::InvalidRequest, message)
}

pub(super) fn refused(fault: &Fault) -> Response {
    (face::status(fault.kind), axum::Json(json!({"error": fault.message}))).into_response()
}
