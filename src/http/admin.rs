//! Health, readiness and metrics, on a listener of their own.

use super::listen::{self, Accept, Drained};
use crate::base::secret::Secret;
use crate::base::tasks::Tasks;
use crate::config::Limits;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether requests should be sent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Not now, and why, one reason an item; lower case, no full stop. A drain is such a reason.
    NotReady(Vec<String>),
}

/// The admin side. `/healthz` says that the process lives and `/readyz` whether it should be sent
/// requests, both without a token; all else asks for it where there is one.
pub struct Admin {
    open: Router,
    guarded: Router,
    token: Option<Secret>,
}

/// Why the admin side does not serve.
#[derive(Debug, thiserror::Error)]
#[error(
    "the admin side refuses to listen on {0} without a token; set `server.admin_token`, or listen on 127.0.0.1"
)]
pub struct Unguarded(pub SocketAddr);

impl Admin {
    /// `readiness` and `metrics` are called once for each request to `/readyz` and `/metrics`;
    /// `metrics` gives OpenMetrics text.
    pub fn new(
        token: Option<Secret>,
        readiness: impl Fn() -> Readiness + Send + Sync + 'static,
        metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Admin {
        let (readiness, metrics) = (Arc::new(readiness), Arc::new(metrics));
        let open = Router::new()
            .route("/healthz", get(|| async { ([(CONTENT_TYPE, "text/plain")], "alive\n") }))
            .route("/readyz", get(move || std::future::ready(ready(readiness()))));
        let guarded = Router::new()
            .route("/metrics", get(move || std::future::ready(([(CONTENT_TYPE, OPENMETRICS)], metrics()))));
        Admin { open, guarded, token }
    }

    /// Adds routes behind the token.
    pub fn with(mut self, routes: Router) -> Admin {
        self.guarded = self.guarded.merge(routes);
        self
    }

    /// Serves until `stop` completes, then drains for `drain` at most.
    ///
    /// # Errors
    /// `address`, where it is reachable from beyond this machine and there is no token.
    pub async fn run<L: Accept>(
        self,
        listener: L,
        address: SocketAddr,
        limits: &Limits,
        drain: Duration,
        tasks: &Tasks,
        stop: impl Future<Output = ()>,
    ) -> Result<Drained, Unguarded> {
        if self.token.is_none() && !address.ip().to_canonical().is_loopback() {
            return Err(Unguarded(address));
        }
        let service = TowerToHyperService::new(self.router());
        Ok(listen::run(listener, service, limits, drain, tasks, stop).await)
    }

    fn router(self) -> Router {
        let nothing =
            || async { (StatusCode::NOT_FOUND, axum::Json(json!({"error": "no such admin path"}))) };
        let guarded = self.guarded.fallback(nothing);
        let guarded = match self.token {
            None => guarded,
            Some(token) => guarded.layer(middleware::from_fn_with_state(Arc::new(token), guard)),
        };
        self.open.fallback_service(guarded)
    }
}

fn ready(readiness: Readiness) -> Response {
    match readiness {
        Readiness::Ready => axum::Json(json!({"ready": true, "reasons": []})).into_response(),
        Readiness::NotReady(reasons) => {
            let body = axum::Json(json!({"ready": false, "reasons": reasons}));
            (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
        }
    }
}

async fn guard(State(token): State<Arc<Secret>>, request: Request, next: Next) -> Response {
    if bears(request.headers(), &token) {
        return next.run(request).await;
    }
    let body =
        axum::Json(json!({"error": "send `authorization: Bearer` with the value of `server.admin_token`"}));
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], body).into_response()
}

/// Compares digests, in constant time: neither the token's text nor its length can be felt out.
fn bears(headers: &HeaderMap, token: &Secret) -> bool {
    let Some(value) = headers.get(AUTHORIZATION) else { return false };
    let Some((scheme, sent)) = value.as_bytes().split_at_checked(7) else { return false };
    // `blake3::Hash` compares in constant time.
    scheme.eq_ignore_ascii_case(b"bearer ") && blake3::hash(sent) == blake3::hash(token.expose().as_bytes())
}
