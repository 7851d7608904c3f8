//! `/api/keys`: virtual keys made, listed, rotated, disabled and expired, behind the admin token. Every
//! change is in the audit log, and none of them ever holds a key's text.

use crate::accounts::keys::store::{Store, Unkept};
use crate::accounts::{audit, keys::store::Fresh};
use crate::base::clock::Millis;
use crate::config::accounts::Audit;
use crate::config::keys::{Grant, moment};
use crate::gateway::Gateway;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The routes, for [`Admin::with`](super::admin::Admin::with).
pub fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/api/keys", get(list).post(create))
        .route("/api/keys/{id}/rotate", post(rotate))
        .route("/api/keys/{id}/disable", post(disable))
        .route("/api/keys/{id}/enable", post(enable))
        .route("/api/keys/{id}/expire", post(expire))
        .with_state(gateway)
}

/// What makes a key: what it may do, and until when.
#[derive(Deserialize)]
struct Create {
    expires: Option<String>,
    #[serde(flatten)]
    grant: serde_json::Map<String, Value>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Rotate {
    /// How long the old secret still opens, for instance `24h`. Default: not at all.
    grace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Expire {
    /// A day or moment; absent: now.
    at: Option<String>,
}

async fn list(State(gateway): State<Arc<Gateway>>) -> Response {
    let now = gateway.clock.now();
    let keys = gateway.accounts.ring();
    let told: Vec<Value> = keys
        .keys()
        .iter()
        .map(|key| {
            let [day, week, month, whole] = key.meter.spent(now);
            json!({
                "id": &*key.id, "stopped": key.stopped(now), "settings": &key.grant,
                "spent_usd": {"day": day, "week": week, "month": month, "whole": whole},
            })
        })
        .collect();
    axum::Json(json!({"keys": told})).into_response()
}

async fn create(State(gateway): State<Arc<Gateway>>, body: Bytes) -> Response {
    let read = read::<Create>(&body).and_then(|create| {
        let expires = create.expires.as_deref().map(moment).transpose()?;
        let grant: Grant =
            serde_json::from_value(Value::Object(create.grant)).map_err(|wrong| wrong.to_string())?;
        match grant.name.trim().is_empty() {
            true => Err("`name` is missing; give the key one".to_owned()),
            false => Ok((grant, expires)),
        }
    });
    match read {
        Ok((grant, expires)) => {
            let details = json!({"settings": &grant, "expires": expires});
            let change = move |store: &mut Store, now: Millis| store.create(&grant, expires, now.0);
            shown(changed(gateway, "create", details, |made: &Fresh| made.id.clone(), change).await)
        }
        Err(wrong) => refused(StatusCode::BAD_REQUEST, &wrong),
    }
}

async fn rotate(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>, body: Bytes) -> Response {
    let read = read::<Rotate>(&body).and_then(|asked| match asked.grace {
        None => Ok(Duration::ZERO),
        Some(span) => humantime::parse_duration(&span).map_err(|_| format!("{span:?} is no span; write 24h")),
    });
    match read {
        Ok(grace) => {
            let details = json!({"grace_seconds": grace.as_secs()});
            let named = id.clone();
            let change = move |store: &mut Store, now: Millis| store.rotate(&named, now.plus(grace).0);
            shown(changed(gateway, "rotate", details, |_| id, change).await)
        }
        Err(wrong) => refused(StatusCode::BAD_REQUEST, &wrong),
    }
}

async fn disable(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>) -> Response {
    let named = id.clone();
    let change = move |store: &mut Store, _| store.set_disabled(&named, true);
    done(changed(gateway, "disable", Value::Null, |()| id, change).await)
}

async fn enable(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>) -> Response {
    let named = id.clone();
    let change = move |store: &mut Store, _| store.set_disabled(&named, false);
    done(changed(gateway, "enable", Value::Null, |()| id, change).await)
}

async fn expire(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>, body: Bytes) -> Response {
    match read::<Expire>(&body).and_then(|asked| asked.at.as_deref().map(moment).transpose()) {
        Ok(at) => {
            let named = id.clone();
            let change = move |store: &mut Store, now: Millis| store.set_expiry(&named, at.or(Some(now.0)));
            done(changed(gateway, "expire", json!({"at": at}), |()| id, change).await)
        }
        Err(wrong) => refused(StatusCode::BAD_REQUEST, &wrong),
    }
}

/// Makes the change off the async threads, and notes it. A change that cannot be noted is said, not undone.
async fn changed<T: Send + 'static>(
    gateway: Arc<Gateway>,
    action: &'static str,
    details: Value,
    id: impl FnOnce(&T) -> String + Send + 'static,
    change: impl FnOnce(&mut Store, Millis) -> Result<T, Unkept> + Send + 'static,
) -> Result<T, Unkept> {
    let work = move || {
        let made = gateway.accounts.change_keys(change)?;
        let audits = gateway.settings.load().config.accounts.ledger.audit != Audit::Off;
        if let Some(folder) = gateway.accounts.folder().filter(|_| audits) {
            let noted = audit::action(folder, gateway.clock.now(), "api", action, &id(&made), details);
            noted.unwrap_or_else(|wrong| tracing::error!(action, "not in the audit log: {wrong}"));
        }
        Ok(made)
    };
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Unkept::Nowhere))
}

/// The one answer that holds a key's text.
fn shown(made: Result<Fresh, Unkept>) -> Response {
    match made {
        Ok(fresh) => {
            let told = axum::Json(json!({"id": fresh.id, "key": fresh.text}));
            ([(CACHE_CONTROL, "no-store")], told).into_response()
        }
        Err(wrong) => unkept(&wrong),
    }
}

fn done(made: Result<(), Unkept>) -> Response {
    match made {
        Ok(()) => axum::Json(json!({"done": true})).into_response(),
        Err(wrong) => unkept(&wrong),
    }
}

fn unkept(wrong: &Unkept) -> Response {
    let status = match wrong {
        Unkept::Unknown(_) => StatusCode::NOT_FOUND,
        Unkept::Taken(_) | Unkept::Nowhere => StatusCode::CONFLICT,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    refused(status, &wrong.to_string())
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, axum::Json(json!({"error": why}))).into_response()
}

/// An absent body is an empty object.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, String> {
    let body = if body.is_empty() { b"{}" } else { &body[..] };
    serde_json::from_slice(body).map_err(|wrong| format!("the body cannot be understood: {wrong}"))
}
