//! Which headers end at each hop.
//!
//! One function serves both directions, as RFC 9110 §7.6.1 does. What it leaves is untouched: order
//! within a name, duplicates, and the client's `accept-encoding`.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// What RFC 9110 §7.6.1 and its forerunners end at each hop, named or not.
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
];

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
static API_KEY: HeaderName = HeaderName::from_static("api-key");

/// What our own request headers begin with; they are for us and go no further.
const OURS: &str = "x-reprise-";

/// Removes what belongs to one connection only: `connection` and every header that it names,
/// `keep-alive`, `proxy-connection`, `te`, `trailer`, `transfer-encoding`, `upgrade`,
/// `proxy-authenticate` and `proxy-authorization`. `content-length` stays, even where `connection`
/// names it: it frames the body on both sides.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    for named in named_by_connection(headers) {
        headers.remove(named);
    }
    remove_all(headers, |name| HOP_BY_HOP.contains(name));
}

/// Removes what few messages carry, or nothing: a look at the names that are there costs less than a search for
/// each that might be.
fn remove_all(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    let gone: Vec<HeaderName> = headers.keys().filter(|name| goes(name)).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// The headers that `connection` makes hop-by-hop. The common values need no allocation.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut named = Vec::new();
    for value in headers.get_all(CONNECTION) {
        for token in value.as_bytes().split(|byte| *byte == b',') {
            let token = token.trim_ascii();
            if token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close") {
                continue;
            }
            if let Ok(name) = HeaderName::from_bytes(token)
                && name != CONTENT_LENGTH
            {
                named.push(name);
            }
        }
    }
    named
}

/// How the length of a request body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// All of it is there: the transport counts it.
    Counted,
    /// It flows: the client's own `content-length` is kept where it gave one.
    AsDeclared,
}

/// Makes a client's headers fit for the upstream: hop-by-hop ones, `host`, `expect` (we answer that
/// ourselves) and `x-reprise-*` go, and `content-length` follows `framing`.
pub fn for_upstream(headers: &mut HeaderMap, framing: Framing) {
    // RFC 9112 §6.3: with `transfer-encoding`, a `content-length` means nothing.
    if framing == Framing::Counted || headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(headers);
    headers.remove(HOST);
    headers.remove(EXPECT);
    remove_all(headers, |name| name.as_str().starts_with(OURS));
}

/// A key of ours in both of the forms that APIs ask for.
#[derive(Clone)]
pub struct Credential {
    bearer: HeaderValue,
    plain: HeaderValue,
}

impl Credential {
    /// `None` where `key` holds bytes that no header may carry.
    pub fn of(key: &str) -> Option<Credential> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
        let mut plain = HeaderValue::from_str(key).ok()?;
        bearer.set_sensitive(true);
        plain.set_sensitive(true);
        Some(Credential { bearer, plain })
    }

    /// The key alone, as `x-api-key` and its like carry it.
    pub fn plain(&self) -> &HeaderValue {
        &self.plain
    }

    /// Replaces whatever credential the client sent, in the header that it used: `x-api-key` or
    /// `api-key` where it used one of those, else `authorization: Bearer`.
    pub fn replace_in(&self, headers: &mut HeaderMap) {
        let bearer = headers.remove(&AUTHORIZATION).is_some();
        let x_api_key = headers.remove(&X_API_KEY).is_some();
        let api_key = headers.remove(&API_KEY).is_some();
        if x_api_key && !bearer {
            headers.insert(X_API_KEY.clone(), self.plain.clone());
        } else if api_key && !bearer {
            headers.insert(API_KEY.clone(), self.plain.clone());
        } else {
            headers.insert(AUTHORIZATION, self.bearer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        map
    }

    #[test]
    fn only_what_belongs_to_the_connection_goes() {
        let mut map = headers(&[
            ("connection", "keep-alive, X-Hop"),
            ("connection", "x-second , content-length,,b\u{e9}d"),
            ("keep-alive", "timeout=5"),
            ("x-hop", "1"),
            ("x-second", "2"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-connection", "close"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authorization", "Basic eA=="),
            ("content-length", "3"),
            ("accept-encoding", "br"),
            ("x-twice", "a"),
            ("x-twice", "b"),
        ]);
        strip_hop_by_hop(&mut map);
        let expected = headers(&[
            ("content-length", "3"),
            ("accept-encoding", "br"),
            ("x-twice", "a"),
            ("x-twice", "b"),
        ]);
        assert_eq!(map, expected);
    }

    #[test]
    fn what_is_meant_for_us_goes_no_further() {
        let lines = [
            ("host", "proxy:8080"),
            ("expect", "100-continue"),
            ("content-length", "7"),
            ("x-reprise-cache", "off"),
            ("x-reprise-tags", "a"),
            ("x-reprised", "mine"),
        ];
        let mut counted = headers(&lines);
        for_upstream(&mut counted, Framing::Counted);
        assert_eq!(counted, headers(&[("x-reprised", "mine")]));

        let mut declared = headers(&lines);
        for_upstream(&mut declared, Framing::AsDeclared);
        assert_eq!(declared, headers(&[("content-length", "7"), ("x-reprised", "mine")]));
    }

    #[test]
    fn a_length_beside_a_transfer_coding_is_not_forwarded() {
        let mut map = headers(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        for_upstream(&mut map, Framing::AsDeclared);
        assert_eq!(map, HeaderMap::new());
    }

    #[test]
    fn our_key_takes_the_place_of_the_clients_in_its_own_form() {
        let key = Credential::of("sk-ours").unwrap();
        for (sent, becomes) in [
            (vec![], ("authorization", "Bearer sk-ours")),
            (vec![("authorization", "Bearer theirs")], ("authorization", "Bearer sk-ours")),
            (vec![("x-api-key", "theirs")], ("x-api-key", "sk-ours")),
            (vec![("api-key", "theirs")], ("api-key", "sk-ours")),
            (
                vec![("authorization", "a"), ("x-api-key", "b"), ("api-key", "c")],
                ("authorization", "Bearer sk-ours"),
            ),
        ] {
            let mut map = headers(&sent);
            key.replace_in(&mut map);
            assert_eq!(map, headers(&[becomes]), "sent {sent:?}");
        }
        assert!(Credential::of("two\nlines").is_none());
    }
}
