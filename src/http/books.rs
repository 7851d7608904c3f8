//! `GET /api/ledger?by=key&since=…`: what was spent and saved, behind the admin token.

use crate::accounts::ledger::Unwritten;
use crate::accounts::ledger::report::{By, Wanted};
use crate::gateway::Gateway;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

const MONTH: u64 = 30 * 86_400_000;

/// The routes, for [`Admin::with`](super::admin::Admin::with).
pub fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new().route("/api/ledger", get(ledger)).with_state(gateway)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// key, team, tag, model or day. Default: key.
    by: Option<String>,
    /// Milliseconds since the epoch. Default: thirty days ago.
    since: Option<u64>,
    /// Default: now.
    until: Option<u64>,
}

async fn ledger(State(gateway): State<Arc<Gateway>>, Query(asked): Query<Asked>) -> Response {
    let Some(by) = asked.by.as_deref().map_or(Some(By::Key), By::read) else {
        let error = "`by` is none of key, team, tag, model, day";
        return (StatusCode::BAD_REQUEST, axum::Json(json!({"error": error}))).into_response();
    };
    let now = gateway.clock.now().0;
    // Rows of this very millisecond count.
    let until = asked.until.unwrap_or(now.saturating_add(1));
    let wanted = Wanted { by, since: asked.since.unwrap_or(now.saturating_sub(MONTH)), until };
    let read = tokio::task::spawn_blocking(move || gateway.accounts.report(wanted)).await;
    let (status, told) = match read {
        Ok(Ok(report)) => (StatusCode::OK, report.json(wanted)),
        Ok(Err(absent @ Unwritten::Absent(_))) => {
            (StatusCode::NOT_FOUND, json!({"error": absent.to_string()}))
        }
        Ok(Err(wrong)) => (StatusCode::SERVICE_UNAVAILABLE, json!({"error": wrong.to_string()})),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, json!({"error": "the ledger could not be read"})),
    };
    (status, axum::Json(told)).into_response()
}
