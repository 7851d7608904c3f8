//! The yardstick of load tests: the least that an axum server can do.

use crate::base::tasks::Tasks;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use axum::serve::ListenerExt;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Reads each request's body whole and answers with `body`, as JSON, until the process ends.
pub async fn serve(listener: TcpListener, body: Bytes, tasks: &Tasks) -> io::Result<SocketAddr> {
    let addr = listener.local_addr()?;
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
    });
    let router = Router::new().fallback(move |asked: Bytes| {
        let body = body.clone();
        async move {
            drop(asked);
            let mut response = Response::new(Body::from(body));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
    });
    let stopping = tasks.stopping();
    tasks.spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stopping).await;
        if let Err(error) = served {
            tracing::error!(%error, "the bare handler ended");
        }
    });
    Ok(addr)
}
