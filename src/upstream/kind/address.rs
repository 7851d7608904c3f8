//! The path of each API, and its credential's header.

use super::{Kind, invalid, no_counterpart};
use crate::base::fault::Fault;
use crate::upstream::headers::Credential;
use crate::wire::Dialect;
use bytes::Bytes;
use http::HeaderName;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use std::fmt::Write;

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
static API_KEY: HeaderName = HeaderName::from_static("api-key");
static X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// Puts the credential into the header that the provider reads: the deployment's own, or else the
/// client's, whichever header it came in.
pub(super) fn credential(kind: Kind, own: Option<&Credential>, headers: &mut HeaderMap) {
    let name = match kind {
        Kind::OpenAi => {
            if let Some(own) = own {
                own.replace_in(headers);
            }
            return;
        }
        Kind::AzureOpenAi => &API_KEY,
        Kind::Anthropic => &X_API_KEY,
        Kind::Gemini => &X_GOOG_API_KEY,
    };
    if own.is_none() && headers.contains_key(name) {
        return;
    }
    let theirs = match (own, bearer(headers)) {
        (Some(own), _) => own.plain().clone(),
        // A token of the provider's identity service rather than a key: it is one only as a bearer.
        (None, Some(token)) if is_token(kind, token.as_bytes()) => return,
        (None, Some(key)) => key,
        (None, None) => match headers.get(&X_API_KEY).or_else(|| headers.get(&API_KEY)) {
            Some(key) => key.clone(),
            None => return,
        },
    };
    for other in [&AUTHORIZATION, &X_API_KEY, &API_KEY, &X_GOOG_API_KEY] {
        headers.remove(other);
    }
    headers.insert(name.clone(), theirs);
}

fn bearer(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = (value.get(..7)?, value.get(7..)?);
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    let mut token = HeaderValue::from_bytes(token.trim_ascii()).ok()?;
    token.set_sensitive(true);
    Some(token)
}

/// Microsoft's tokens are JSON Web Tokens, Google's and Anthropic's have beginnings of their own.
fn is_token(kind: Kind, text: &[u8]) -> bool {
    match kind {
        Kind::OpenAi => true,
        Kind::AzureOpenAi => text.starts_with(b"eyJ"),
        Kind::Anthropic => text.starts_with(b"sk-ant-oat"),
        Kind::Gemini => text.starts_with(b"ya29."),
    }
}

/// Azure's path for a dialect. The model of the body names the deployment.
pub(super) fn azure(dialect: Dialect, version: Option<&str>, body: &[u8]) -> Result<PathAndQuery, Fault> {
    let operation = match dialect {
        Dialect::ChatCompletions => "chat/completions",
        Dialect::Completions => "completions",
        Dialect::Embeddings => "embeddings",
        Dialect::Responses => "responses",
        Dialect::Messages => return Err(no_counterpart(Kind::AzureOpenAi, dialect)),
    };
    let Some(version) = version.map(escaped) else {
        return path(format!("/openai/v1/{operation}"));
    };
    if dialect == Dialect::Responses {
        // The one operation whose deployment Azure reads in the body.
        return path(format!("/openai/responses?api-version={version}"));
    }
    let deployment = escaped(&model(body)?);
    path(format!("/openai/deployments/{deployment}/{operation}?api-version={version}"))
}

/// The body's model, which the path is to name.
fn model(body: &[u8]) -> Result<String, Fault> {
    #[derive(serde::Deserialize)]
    struct Named {
        model: String,
    }
    let named = serde_json::from_slice::<Named>(body);
    named
        .map(|named| named.model)
        .map_err(|_| invalid("`model`: expected a JSON body with one, the name of a deployment".to_owned()))
}

/// The path of a model's method. `models/` goes before a name without a collection of its own, such as
/// `tunedModels/`.
pub(super) fn gemini(model: &str, stream: bool) -> Result<PathAndQuery, Fault> {
    let segments: Vec<String> = model.split('/').map(escaped).collect();
    let collection = if segments.len() == 1 { "models/" } else { "" };
    let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
    path(format!("/v1beta/{collection}{}:{method}", segments.join("/")))
}

fn path(target: String) -> Result<PathAndQuery, Fault> {
    PathAndQuery::from_maybe_shared(Bytes::from(target))
        .map_err(|error| invalid(format!("`model` makes no path ({error}); shorten it")))
}

/// A path segment or query value (RFC 3986 §2.3): everything but unreserved characters is escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    // `.` and `..` would be steps in the path.
    if out.bytes().all(|byte| byte == b'.') { out.replace('.', "%2E") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_credential_goes_in_the_header_that_the_provider_reads() {
        let ours = Credential::of("ours").unwrap();
        for (kind, own, sent, becomes) in [
            (Kind::OpenAi, None, ("api-key", "k"), ("api-key", "k")),
            (Kind::OpenAi, Some(&ours), ("authorization", "Bearer k"), ("authorization", "Bearer ours")),
            (Kind::AzureOpenAi, None, ("authorization", "Bearer k"), ("api-key", "k")),
            (Kind::AzureOpenAi, None, ("authorization", "Bearer eyJ0"), ("authorization", "Bearer eyJ0")),
            (Kind::AzureOpenAi, Some(&ours), ("authorization", "Bearer eyJ0"), ("api-key", "ours")),
            (Kind::Anthropic, None, ("authorization", "bearer k"), ("x-api-key", "k")),
            (Kind::Anthropic, None, ("x-api-key", "k"), ("x-api-key", "k")),
            (
                Kind::Anthropic,
                None,
                ("authorization", "Bearer sk-ant-oat01"),
                ("authorization", "Bearer sk-ant-oat01"),
            ),
            (Kind::Gemini, None, ("x-api-key", "k"), ("x-goog-api-key", "k")),
            (Kind::Gemini, Some(&ours), ("x-goog-api-key", "k"), ("x-goog-api-key", "ours")),
        ] {
            let mut map = headers(&[sent]);
            credential(kind, own, &mut map);
            assert_eq!(map, headers(&[becomes]), "{kind:?} {sent:?}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(escaped("gpt-4o_mini.v1~"), "gpt-4o_mini.v1~");
        assert_eq!(escaped("../a b?c"), "..%2Fa%20b%3Fc");
        assert_eq!(escaped(".."), "%2E%2E");
    }
}
