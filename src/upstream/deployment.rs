//! One upstream endpoint: where it is, how it is addressed, and the client that keeps its connections.

use super::headers::Credential;
use crate::base::fault::{Fault, Kind};
use crate::config;
use http::uri::PathAndQuery;
use reqwest::Url;
use std::sync::Arc;
use std::time::Duration;

/// Idle connections kept open to one upstream.
const IDLE_CONNECTIONS: usize = 1_024;
/// How long an idle connection is kept. Common servers close theirs after 5 s to 75 s; one that the
/// upstream closed is noticed and not used again.
const IDLE_FOR: Duration = Duration::from_secs(60);
/// Between probes of a silent connection, so that a stream through a NAT is not forgotten.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Why an upstream of the config cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("upstream {name}: {message}")]
pub struct Unusable {
    pub name: String,
    pub message: String,
}

/// One upstream endpoint.
pub(super) struct Deployment {
    pub name: Arc<str>,
    /// Scheme, host and port, without a trailing slash.
    origin: String,
    /// The path prefix, empty or beginning with a slash, without a trailing one.
    prefix: String,
    pub credential: Option<Credential>,
    pub http: reqwest::Client,
    pub connect_timeout: Duration,
    pub first_byte_timeout: Duration,
    pub idle_timeout: Duration,
}

impl Deployment {
    /// Checks what is given and prepares a client; connects to nothing.
    pub fn of(upstream: &config::Upstream) -> Result<Deployment, Unusable> {
        let unusable = |message: String| Unusable { name: upstream.name.clone(), message };
        let url = Url::parse(&upstream.url).map_err(|error| {
            unusable(format!("not a URL ({error}); expected for instance http://127.0.0.1:4000"))
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(unusable("expected a URL that begins with http:// or https:// and a host".into()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(unusable("a URL must not hold a credential; put it in `key`".into()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(unusable("a URL with a query or fragment cannot be a prefix; remove it".into()));
        }
        let credential = match &upstream.key {
            None => None,
            Some(key) => Some(Credential::of(key.expose()).ok_or_else(|| {
                unusable("`key` holds bytes that no header may carry; look for a line break in it".into())
            })?),
        };
        Ok(Deployment {
            name: upstream.name.as_str().into(),
            origin: url.origin().ascii_serialization(),
            prefix: url.path().trim_end_matches('/').to_owned(),
            credential,
            http: client(&url, upstream.connect_timeout).map_err(|error| unusable(chain(&error)))?,
            connect_timeout: upstream.connect_timeout,
            first_byte_timeout: upstream.first_byte_timeout,
            idle_timeout: upstream.idle_timeout,
        })
    }

    /// The target behind this upstream's prefix. A version segment that both have is not doubled:
    /// `http://host/v1` and `/v1/models` make `http://host/v1/models`.
    ///
    /// # Errors
    /// `InvalidRequest` for a target that the URL rules would turn into another path (`..`, a
    /// backslash): it could leave the prefix.
    pub fn url(&self, target: &PathAndQuery) -> Result<Url, Fault> {
        let path = target.path();
        let odd = || {
            Fault::new(
                Kind::InvalidRequest,
                "the request path cannot be forwarded; remove `..`, `.` and `\\` from it",
            )
        };
        if !path.starts_with('/') || path.contains('\\') || path.split('/').any(is_dots) {
            return Err(odd());
        }
        let mut prefix = self.prefix.as_str();
        if let Some(shorter) = prefix.strip_suffix("/v1")
            && (path == "/v1" || path.starts_with("/v1/"))
        {
            prefix = shorter;
        }
        let mut text = String::with_capacity(self.origin.len() + prefix.len() + target.as_str().len());
        text.push_str(&self.origin);
        text.push_str(prefix);
        text.push_str(target.as_str());
        Url::parse(&text).map_err(|error| odd().caused_by(error))
    }
}

/// Whether a path segment is `.` or `..`, written plainly or percent-encoded.
fn is_dots(segment: &str) -> bool {
    if segment.len() > 6 || !segment.starts_with(['.', '%']) {
        return false;
    }
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

/// Speaks HTTP/1.1, follows no redirect, decodes nothing, retries nothing, and heeds no `*_PROXY` variable: what is
/// configured as the upstream is what is asked. One `accept: */*` is added where the client sent no
/// `accept` at all, which RFC 9110 §12.5.1 defines as the same.
fn client(url: &Url, connect_timeout: Duration) -> reqwest::Result<reqwest::Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Err: another thread was first, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let mut builder = reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_FOR)
        .connect_timeout(connect_timeout);
    if url.scheme() == "http" {
        // No certificate will be looked at, so none is loaded.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(url: &str) -> Result<Deployment, Unusable> {
        Deployment::of(&config::Upstream {
            name: "one".into(),
            url: url.into(),
            key: None,
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(120),
        })
    }

    #[test]
    fn a_target_is_put_behind_the_prefix() {
        for (base, target, whole) in [
            ("http://h:4000", "/v1/models", "http://h:4000/v1/models"),
            ("http://h:4000/", "/v1/models?a=b%20c", "http://h:4000/v1/models?a=b%20c"),
            ("http://h/openai", "/v1/chat/completions?x=1", "http://h/openai/v1/chat/completions?x=1"),
            ("http://h/v1", "/v1/models", "http://h/v1/models"),
            ("http://h/v1/", "/v1?x", "http://h/v1?x"),
            ("http://h/api/v1", "/v1/chat/completions", "http://h/api/v1/chat/completions"),
            ("http://h/v1", "/v10/models", "http://h/v1/v10/models"),
            ("http://h/v1", "/health", "http://h/v1/health"),
            ("http://h/xv1", "/v1/models", "http://h/xv1/v1/models"),
            ("http://[::1]:80/a", "//double//x", "http://[::1]/a//double//x"),
            ("http://h", "/files/a..b/...", "http://h/files/a..b/..."),
        ] {
            let url = behind(base).unwrap().url(&target.parse().unwrap()).unwrap();
            assert_eq!(url.as_str(), whole, "{base} + {target}");
        }
    }

    #[test]
    fn a_target_cannot_climb_out_of_the_prefix() {
        let one = behind("http://h/openai").unwrap();
        for target in ["/../admin", "/v1/%2E%2e/%2e./x", "/a/./b", "/a\\..\\b", "*"] {
            let fault = one.url(&target.parse().unwrap()).unwrap_err();
            assert_eq!(fault.kind, Kind::InvalidRequest, "{target}");
        }
    }

    #[test]
    fn what_cannot_be_an_upstream_is_said_without_its_credential() {
        for (url, word) in [
            ("not a url", "not a URL"),
            ("ftp://h", "http://"),
            ("http://me:hunter2@h", "`key`"),
            ("http://h/?a=1", "query"),
        ] {
            let Err(error) = behind(url) else { panic!("{url} was taken") };
            assert!(error.to_string().contains(word), "{error}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
