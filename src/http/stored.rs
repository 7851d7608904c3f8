//! `/api/entries`, `/api/purge`, `/api/export`, `/api/import` and `/api/warm`.

use super::api::{invalid, posted, read, refused};
use super::warming::Warming;
use crate::cache::carry::Import;
use crate::cache::purge::{Order, Refused};
use crate::gateway::Gateway;
use crate::gateway::warm::Findable;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes of an order at most.
const LONGEST_ORDER: usize = 64 << 10;
/// Bytes of one batch of answers to warm with.
const LONGEST_BATCH: usize = 64 << 20;
/// Entries listed unless another number is asked for, and at most.
const LISTED: usize = 50;
const MOST_LISTED: usize = 1_000;
/// The longest wait for the next piece of an import.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/api/entries", get(entries))
        .route("/api/purge", posted(post(purge)))
        .route("/api/export", get(export))
        .route("/api/import", posted(post(import)))
        .route("/api/warm", posted(post(warm)))
}

/// `Order`, and how many.
#[derive(Deserialize)]
struct Listing {
    limit: Option<usize>,
    #[serde(flatten)]
    order: BTreeMap<String, String>,
}

async fn entries(State(gateway): State<Arc<Gateway>>, Query(listing): Query<Listing>) -> Response {
    let Listing { limit, order } = listing;
    let order: Order = match serde_json::from_value(json!(order)) {
        Ok(order) => order,
        Err(wrong) => return refused(&invalid(format!("the query cannot be understood: {wrong}"))),
    };
    if order.near.is_some() {
        return refused(&invalid("`near` cannot be listed; use POST /api/purge with dry_run"));
    }
    let everything = Order { all: true, ..Order::default() };
    let order = if order == Order::default() { everything } else { order };
    let (total, bytes) = gateway.cache.size();
    match gateway.cache.list(&order, limit.unwrap_or(LISTED).min(MOST_LISTED)).await {
        Ok(listed) => {
            axum::Json(json!({"in_memory": total, "bytes": bytes, "entries": listed})).into_response()
        }
        Err(why) => misordered(&why),
    }
}

#[derive(Deserialize)]
struct Purging {
    #[serde(default)]
    dry_run: bool,
    #[serde(flatten)]
    order: BTreeMap<String, Value>,
}

async fn purge(State(gateway): State<Arc<Gateway>>, body: Body) -> Response {
    let Purging { dry_run, order } = match read(&gateway, body, LONGEST_ORDER).await {
        Ok(purging) => purging,
        Err(fault) => return refused(&fault),
    };
    let order: Order = match serde_json::from_value(json!(order)) {
        Ok(order) => order,
        Err(wrong) => return refused(&invalid(format!("the body cannot be understood: {wrong}"))),
    };
    match gateway.cache.purge(&order, dry_run).await {
        Ok(purged) => axum::Json(purged).into_response(),
        Err(why) => misordered(&why),
    }
}

fn misordered(why: &Refused) -> Response {
    refused(&invalid(why.to_string()))
}

async fn export(State(gateway): State<Arc<Gateway>>) -> Response {
    let (pieces, mut coming) = mpsc::channel::<Bytes>(4);
    let cache = gateway.cache.clone();
    // Ends by itself when the client leaves: nothing takes the pieces then.
    tokio::task::spawn_blocking(move || cache.export(|piece| pieces.blocking_send(piece).is_ok()));
    let flow = futures_util::stream::poll_fn(move |cx| {
        coming.poll_recv(cx).map(|piece| piece.map(Ok::<Bytes, Infallible>))
    });
    ([(CONTENT_TYPE, "application/octet-stream")], Body::from_stream(flow)).into_response()
}

async fn import(State(gateway): State<Arc<Gateway>>, mut body: Body) -> Response {
    let mut import = Import::into(gateway.cache.clone());
    loop {
        let frame = match tokio::time::timeout(PATIENCE, body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) | Err(_) => {
                import.finish().await;
                return refused(&invalid("the body broke off; what had come is kept, send it again"));
            }
        };
        if frame.data_ref().is_some_and(|chunk| !import.feed(chunk)) {
            break;
        }
        import.catch_up().await;
    }
    axum::Json(import.finish().await).into_response()
}

async fn warm(State(gateway): State<Arc<Gateway>>, body: Body) -> Response {
    let warming: Warming = match read(&gateway, body, LONGEST_BATCH).await {
        Ok(warming) => warming,
        Err(fault) => return refused(&fault),
    };
    let (mut kept, mut exact_only, mut wrong) = (0, 0, Vec::new());
    for (at, brought) in warming.brought().enumerate() {
        let warmed = match brought {
            Ok(brought) => gateway.warm(brought).await,
            Err(fault) => Err(fault),
        };
        match warmed {
            Ok(Findable::ByMeaning) => kept += 1,
            Ok(Findable::ExactOnly) => exact_only += 1,
            Err(fault) => wrong.push(json!({"item": at, "error": fault.message})),
        }
    }
    axum::Json(json!({"kept": kept, "exact_only": exact_only, "refused": wrong})).into_response()
}
