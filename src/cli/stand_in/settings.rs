//! What a stand-in is told at its start, and what a request may ask of it.

use http::HeaderMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Header that asks for a [`Defect`] in one answer, in the words of [`Defect::from_str`].
pub const FAULT_HEADER: &str = "x-stand-in-fault";
/// Header that sets [`Latency::whole`] for one answer, for instance `50ms`.
pub const LATENCY_HEADER: &str = "x-stand-in-latency";
/// Header that asks for a content coding: `gzip`, `deflate`, `br` or `zstd`.
pub const ENCODING_HEADER: &str = "x-stand-in-encoding";

/// Answers by question: `Some` takes the place of the stand-in's own text.
pub type Answers = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

#[derive(Clone)]
pub struct Settings {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    pub manner: Manner,
    pub answers: Option<Answers>,
    /// How many of the latest requests are kept for `StandIn::seen`. 0, the default, keeps none and costs nothing.
    pub keep: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            manner: Manner::default(),
            answers: None,
            keep: 0,
        }
    }
}

/// How answers come: how late, and how wrong. A request's headers override it for that request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Manner {
    pub latency: Latency,
    pub defect: Option<Defect>,
}

/// Waits, all zero by default. A plain body comes after `whole + first_token + tokens x per_token`.
/// A stream's head comes after `whole`, its first token `first_token` later, each next one `per_token`
/// after the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    pub whole: Duration,
    pub first_token: Duration,
    pub per_token: Duration,
}

/// One way for an answer to be bad. `N` counts events of a stream, and bytes of a plain body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// `status=500`: this status, with OpenAI's error body; 429 and 503 carry `retry-after: 1`.
    Status(u16),
    /// `html`: status 200 and a login page, as a proxy in the way would send.
    Html,
    /// `cut=N`: the connection breaks after N.
    Cut(usize),
    /// `stall=N`: nothing comes after N, and the connection stays open.
    Stall(usize),
    /// `lie-length`: `content-length` promises more than is sent.
    LieLength,
    /// `garbage`: status 200 and bytes that are no JSON; in a stream, as its second event.
    Garbage,
    /// `no-done`: a stream without its `[DONE]`.
    NoDone,
    /// `slow=20ms`: this wait before every event, or before every 64 bytes of a plain body.
    Slow(Duration),
    /// `error-event=N`: after N events an error event ends the stream; a plain answer is a 500.
    ErrorEvent(usize),
    /// `refusal`: the model declines; whole and well-formed.
    Refusal,
    /// `content-filter`: the answer stops half-way with that finish reason; well-formed.
    ContentFilter,
}

impl FromStr for Defect {
    type Err = String;

    fn from_str(text: &str) -> Result<Defect, String> {
        let (word, value) = match text.split_once('=') {
            Some((word, value)) => (word.trim(), Some(value.trim())),
            None => (text.trim(), None),
        };
        let count = || match value.map(str::parse) {
            Some(Ok(count)) => Ok(count),
            _ => Err(format!("`{word}` takes a number, as in `{word}=3`")),
        };
        match word {
            "status" => match value.and_then(|v| v.parse().ok()).filter(|code| (200..=599).contains(code)) {
                Some(code) => Ok(Defect::Status(code)),
                None => Err("`status` takes a code from 200 to 599, as in `status=503`".to_owned()),
            },
            "html" => Ok(Defect::Html),
            "cut" => count().map(Defect::Cut),
            "stall" => count().map(Defect::Stall),
            "lie-length" => Ok(Defect::LieLength),
            "garbage" => Ok(Defect::Garbage),
            "no-done" => Ok(Defect::NoDone),
            "slow" => match value.map(humantime::parse_duration) {
                Some(Ok(wait)) => Ok(Defect::Slow(wait)),
                _ => Err("`slow` takes a time, as in `slow=20ms`".to_owned()),
            },
            "error-event" => count().map(Defect::ErrorEvent),
            "refusal" => Ok(Defect::Refusal),
            "content-filter" => Ok(Defect::ContentFilter),
            _ => Err(format!(
                "unknown fault `{word}`; expected status=, html, cut=, stall=, lie-length, garbage, no-done, \
                 slow=, error-event=, refusal or content-filter"
            )),
        }
    }
}

impl Manner {
    /// This manner, overridden by a request's headers. `Err` says what is wrong with a header.
    pub fn for_request(mut self, headers: &HeaderMap) -> Result<Manner, String> {
        if let Some(value) = headers.get(FAULT_HEADER) {
            self.defect = Some(text_of(FAULT_HEADER, value)?.parse()?);
        }
        if let Some(value) = headers.get(LATENCY_HEADER) {
            let text = text_of(LATENCY_HEADER, value)?;
            self.latency.whole = humantime::parse_duration(text)
                .map_err(|_| format!("`{LATENCY_HEADER}` takes a time, as in `50ms`"))?;
        }
        Ok(self)
    }
}

fn text_of<'a>(name: &str, value: &'a http::HeaderValue) -> Result<&'a str, String> {
    value.to_str().map_err(|_| format!("`{name}` is not text"))
}

/// A content coding that an answer can be sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// What the request's header asks for.
    pub fn for_request(headers: &HeaderMap) -> Result<Option<Coding>, String> {
        match headers.get(ENCODING_HEADER).map(http::HeaderValue::as_bytes) {
            None | Some(b"identity") => Ok(None),
            Some(b"gzip") => Ok(Some(Coding::Gzip)),
            Some(b"deflate") => Ok(Some(Coding::Deflate)),
            Some(b"br") => Ok(Some(Coding::Brotli)),
            Some(b"zstd") => Ok(Some(Coding::Zstd)),
            Some(_) => Err(format!("`{ENCODING_HEADER}` takes gzip, deflate, br or zstd")),
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_or_explained() {
        assert_eq!("status=429".parse(), Ok(Defect::Status(429)));
        assert_eq!("cut=3".parse(), Ok(Defect::Cut(3)));
        assert_eq!("slow=20ms".parse(), Ok(Defect::Slow(Duration::from_millis(20))));
        for bad in ["status", "status=42", "cut", "cut=x", "slow=fast", "fire"] {
            let told = bad.parse::<Defect>().unwrap_err();
            assert!(told.contains('`') && !told.ends_with('.'), "{told}");
        }
    }
}
