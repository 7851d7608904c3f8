//! One upstream endpoint: where it is, how it is addressed, and its connections.

use super::connect::Connector;
use super::connections::Connections;
use super::headers::Credential;
use crate::base::fault::{Fault, Kind};
use crate::config;
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use std::sync::Arc;
use std::time::Duration;

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
    /// What `host` says: the authority, less a port that goes without saying.
    pub host: HeaderValue,
    /// The path prefix, empty or beginning with a slash, without a trailing one.
    prefix: String,
    pub credential: Option<Credential>,
    pub connections: Arc<Connections>,
    pub connect_timeout: Duration,
    pub first_byte_timeout: Duration,
    pub idle_timeout: Duration,
}

impl Deployment {
    /// Checks what is given; connects to nothing.
    pub fn of(upstream: &config::Upstream) -> Result<Deployment, Unusable> {
        let unusable = |message: String| Unusable { name: upstream.name.clone(), message };
        let url: Uri = upstream.url.parse().map_err(|error| {
            unusable(format!("not a URL ({error}); expected for instance http://127.0.0.1:4000"))
        })?;
        let parts = url.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(unusable(
                "not a URL with a host; expected for instance http://127.0.0.1:4000".into(),
            ));
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(unusable("expected a URL that begins with http:// or https://".into()));
        }
        if authority.as_str().contains('@') {
            return Err(unusable("a URL must not hold a credential; put it in `key`".into()));
        }
        if upstream.url.contains(['?', '#']) {
            return Err(unusable("a URL with a query or fragment cannot be a prefix; remove it".into()));
        }
        let prefix = parts.path_and_query.map(|path| path.path().trim_end_matches('/').to_owned());
        let credential = match &upstream.key {
            None => None,
            Some(key) => Some(Credential::of(key.expose()).ok_or_else(|| {
                unusable("`key` holds bytes that no header may carry; look for a line break in it".into())
            })?),
        };
        let connector = Connector::new(&scheme, &authority, upstream.connect_timeout).map_err(|error| {
            unusable(format!("{error}; install the system's CA certificates (package ca-certificates)"))
        })?;
        Ok(Deployment {
            name: upstream.name.as_str().into(),
            host: host(&scheme, &authority).map_err(|_| unusable("not a URL with a usable host".into()))?,
            credential,
            connections: Arc::new(Connections::new(connector)),
            prefix: prefix.unwrap_or_default(),
            connect_timeout: upstream.connect_timeout,
            first_byte_timeout: upstream.first_byte_timeout,
            idle_timeout: upstream.idle_timeout,
        })
    }

    /// The target behind this upstream's prefix. A version segment that both have is not doubled:
    /// `http://host/v1` and `/v1/models` make `/v1/models`.
    ///
    /// # Errors
    /// `InvalidRequest` for a target that is no path, or that could leave the prefix (`..`, a
    /// backslash). Without a prefix every path passes as it is.
    pub fn behind(&self, target: PathAndQuery) -> Result<PathAndQuery, Fault> {
        let path = target.path();
        let mut prefix = self.prefix.as_str();
        if !path.starts_with('/')
            || (!prefix.is_empty() && (path.contains('\\') || path.split('/').any(is_dots)))
        {
            let message = "the request path cannot be forwarded; begin it with `/`, and remove `..`, `.` and `\\` from it";
            return Err(Fault::new(Kind::InvalidRequest, message));
        }
        if let Some(shorter) = prefix.strip_suffix("/v1")
            && (path == "/v1" || path.starts_with("/v1/"))
        {
            prefix = shorter;
        }
        if prefix.is_empty() {
            return Ok(target);
        }
        let whole = Bytes::from([prefix, target.as_str()].concat());
        PathAndQuery::from_maybe_shared(whole).map_err(|error| {
            let message = "the request path is too long to be forwarded behind the upstream's prefix";
            Fault::new(Kind::InvalidRequest, message).caused_by(error)
        })
    }
}

/// RFC 9110 §7.2.
fn host(scheme: &Scheme, authority: &Authority) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    match (authority.port_u16(), scheme.as_str()) {
        (Some(80), "http") | (Some(443), "https") => HeaderValue::from_str(authority.host()),
        _ => HeaderValue::from_str(authority.as_str()),
    }
}

/// Whether a path segment is `.` or `..`, written plainly or percent-encoded.
fn is_dots(segment: &str) -> bool {
    if segment.len() > 6 || !segment.starts_with(['.', '%']) {
        return false;
    }
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
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
            ("http://h/p", "/files/a..b/...", "http://h/p/files/a..b/..."),
            ("http://h", "/a/../b/%2e?{x}", "http://h/a/../b/%2e?{x}"),
        ] {
            let deployment = behind(base).unwrap();
            let target = deployment.behind(target.parse().unwrap()).unwrap();
            let url = format!("http://{}{target}", deployment.host.to_str().unwrap());
            assert_eq!(url, whole, "{base} + {target}");
        }
    }

    #[test]
    fn a_target_cannot_climb_out_of_the_prefix() {
        let one = behind("http://h/openai").unwrap();
        for target in ["/../admin", "/v1/%2E%2e/%2e./x", "/a/./b", "/a\\..\\b", "*"] {
            let fault = one.behind(target.parse().unwrap()).unwrap_err();
            assert_eq!(fault.kind, Kind::InvalidRequest, "{target}");
        }
    }

    #[test]
    fn what_cannot_be_an_upstream_is_said_without_its_credential() {
        for (url, word) in [
            ("not a url", "not a URL"),
            ("127.0.0.1:4000", "not a URL"),
            ("/path", "not a URL"),
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
