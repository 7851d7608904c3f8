//! How one deployment is connected to: name, TCP, TLS, and the limit on all of it together.

use crate::base::corked::Corked;
use http::Uri;
use http::uri::{Authority, Scheme};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tower_service::Service;

/// Between probes of a silent connection, so that a stream through a NAT is not forgotten.
const KEEPALIVE: Duration = Duration::from_secs(30);

pub(super) type Io = Corked<<HttpsConnector<HttpConnector> as Service<Uri>>::Response>;
pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// Connecting took longer than `connect_timeout`.
#[derive(Debug, thiserror::Error)]
#[error("the connection did not come about in time")]
pub(super) struct TimedOut;

/// Connects to one upstream. It heeds no `*_PROXY` variable: what is configured as the upstream is what is
/// asked.
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector>,
    address: Uri,
    limit: Duration,
}

impl Connector {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// For `https`, where the system has no CA certificates.
    pub fn new(scheme: &Scheme, authority: &Authority, limit: Duration) -> io::Result<Connector> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = HttpsConnectorBuilder::new();
        let builder = if *scheme == Scheme::HTTPS {
            builder.with_provider_and_platform_verifier(provider)?
        } else {
            // No certificate will be looked at, so none is loaded.
            let tls = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
            builder.with_tls_config(tls)
        };
        let https = builder.https_or_http().enable_http1().wrap_connector(tcp);
        let address = Uri::builder().scheme(scheme.clone()).authority(authority.clone()).path_and_query("/");
        Ok(Connector { https, address: address.build().map_err(io::Error::other)?, limit })
    }

    /// # Errors
    /// `TimedOut`, or what name lookup, TCP or TLS say.
    pub async fn connect(&self) -> Result<Io, Failure> {
        let mut https = self.https.clone();
        let connecting = async {
            futures_util::future::poll_fn(|context| https.poll_ready(context)).await?;
            https.call(self.address.clone()).await.map(Corked::new)
        };
        tokio::time::timeout(self.limit, connecting).await.unwrap_or_else(|_| Err(TimedOut.into()))
    }
}
