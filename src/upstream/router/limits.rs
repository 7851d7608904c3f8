//! Requests and tokens a minute: what we sent ourselves, and what the provider says is left.

use http::HeaderMap;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Sixty seconds and the one that has begun, so that no sixty seconds hold more than the limit.
const SLOTS: usize = 61;

/// What was counted within the last minute, to the second. 500 bytes.
#[derive(Debug)]
pub struct Minute {
    origin: Instant,
    slots: [i64; SLOTS],
    /// The second since `origin` that is being counted.
    at: u64,
    total: i64,
}

impl Minute {
    pub fn new(now: Instant) -> Minute {
        Minute { origin: now, slots: [0; SLOTS], at: 0, total: 0 }
    }

    /// Adds; a negative amount takes back what had been estimated too high.
    pub fn add(&mut self, now: Instant, amount: i64) {
        self.turn(now);
        self.slots[(self.at % SLOTS as u64) as usize] += amount;
        self.total += amount;
    }

    pub fn used(&mut self, now: Instant) -> u64 {
        self.turn(now);
        u64::try_from(self.total).unwrap_or(0)
    }

    /// When `room` more will fit under `limit`; `now` if they do already, and for what never fits, as
    /// soon as nothing else is counted.
    pub fn fits_at(&mut self, now: Instant, room: u64, limit: u64) -> Instant {
        let mut used = self.used(now);
        let goal = limit.saturating_sub(room);
        if used <= goal {
            return now;
        }
        for ahead in 1..=SLOTS as u64 {
            let slot = self.slots[((self.at + ahead) % SLOTS as u64) as usize];
            used = used.saturating_sub(u64::try_from(slot).unwrap_or(0));
            if used <= goal || used == 0 {
                return self.origin + Duration::from_secs(self.at + ahead);
            }
        }
        now + Duration::from_secs(SLOTS as u64)
    }

    fn turn(&mut self, now: Instant) {
        let at = now.saturating_duration_since(self.origin).as_secs();
        for passed in (self.at + 1)..=at.min(self.at + SLOTS as u64) {
            let slot = &mut self.slots[(passed % SLOTS as u64) as usize];
            self.total -= std::mem::take(slot);
        }
        self.at = self.at.max(at);
    }
}

/// What a provider said of one of its limits, as long as it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    pub limit: Option<u64>,
    pub remaining: u64,
    pub until: Instant,
}

/// Reads `x-ratelimit-{limit,remaining,reset}-{what}`, or `anthropic-ratelimit-{what}-{limit,remaining,reset}`. `None`
/// where it does not say what remains. Without a time to reset, the word holds for a second.
pub fn told(headers: &HeaderMap, what: What, now: Instant) -> Option<Told> {
    let text = |name: &str| Some(headers.get(name)?.to_str().ok()?.trim());
    let (remaining, [limit, reset]) =
        what.names().into_iter().find_map(|[remaining, rest @ ..]| Some((text(remaining)?, rest)))?;
    let span = text(reset).and_then(|text| span(text).or_else(|| until(text)));
    let span = span.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(3_600));
    let limit = text(limit).and_then(|text| text.parse().ok());
    Some(Told { limit, remaining: remaining.parse().ok()?, until: now + span })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Requests,
    Tokens,
}

impl What {
    /// What remains, the limit and when it is full again; by OpenAI's names, then by Anthropic's.
    fn names(self) -> [[&'static str; 3]; 2] {
        match self {
            What::Requests => [
                [
                    "x-ratelimit-remaining-requests",
                    "x-ratelimit-limit-requests",
                    "x-ratelimit-reset-requests",
                ],
                [
                    "anthropic-ratelimit-requests-remaining",
                    "anthropic-ratelimit-requests-limit",
                    "anthropic-ratelimit-requests-reset",
                ],
            ],
            What::Tokens => [
                ["x-ratelimit-remaining-tokens", "x-ratelimit-limit-tokens", "x-ratelimit-reset-tokens"],
                [
                    "anthropic-ratelimit-tokens-remaining",
                    "anthropic-ratelimit-tokens-limit",
                    "anthropic-ratelimit-tokens-reset",
                ],
            ],
        }
    }
}

/// How long until a moment, which Anthropic writes as in RFC 3339. One that has passed is no time at all.
fn until(text: &str) -> Option<Duration> {
    let at = humantime::parse_rfc3339_weak(text).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

/// A span as providers write it: `1s`, `6m0s`, `20ms`, `2m59.56s`, or bare seconds.
fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        total += number
            * match &rest[digits..unit] {
                "h" => 3_600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(total).ok()
}

/// How long the provider asks to be left alone: `retry-after-ms`, or `Retry-After` in seconds or as a
/// date. A date that has passed is no time at all.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(millis) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(millis / 1_000.0).ok();
    }
    let after = text("retry-after")?;
    if let Ok(seconds) = after.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = httpdate::parse_http_date(after).ok()?;
    Some(at.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    const S: Duration = Duration::from_secs(1);

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[tokio::test]
    async fn a_minute_forgets_to_the_second() {
        let now = Instant::now();
        let mut minute = Minute::new(now);
        minute.add(now, 5);
        minute.add(now + 30 * S, 7);
        assert_eq!(minute.used(now + 60 * S), 12, "the first second may have been its last moment");
        assert_eq!(minute.used(now + 61 * S), 7);
        minute.add(now + 61 * S, -2);
        assert_eq!(minute.used(now + 61 * S), 5);
        assert_eq!(minute.used(now + 3_600 * S), 0);
    }

    #[tokio::test]
    async fn it_says_when_there_is_room_again() {
        let now = Instant::now();
        let mut minute = Minute::new(now);
        minute.add(now, 6);
        minute.add(now + 10 * S, 4);
        let then = now + 20 * S;
        assert_eq!(minute.fits_at(then, 1, 11), then);
        assert_eq!(minute.fits_at(then, 1, 10), now + 61 * S);
        assert_eq!(minute.fits_at(then, 7, 10), now + 71 * S);
        assert_eq!(minute.fits_at(then, 99, 10), now + 71 * S, "what never fits waits for an empty minute");
    }

    #[tokio::test]
    async fn providers_write_spans_in_their_own_ways() {
        for (text, millis) in [
            ("1s", 1_000),
            ("6m0s", 360_000),
            ("20ms", 20),
            ("2m59.56s", 179_560),
            ("1h1m", 3_660_000),
            ("7.66", 7_660),
        ] {
            assert_eq!(span(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["soon", "5 parsecs", "1x", "-3", ""] {
            assert!(span(wrong).is_none_or(|span| span.is_zero()), "{wrong}");
        }
    }

    #[tokio::test]
    async fn what_remains_is_read_with_its_end() {
        let now = Instant::now();
        let map = headers(&[
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "149984"),
        ]);
        let requests = Told { limit: Some(60), remaining: 0, until: now + S };
        assert_eq!(told(&map, What::Requests, now), Some(requests));
        assert_eq!(told(&map, What::Tokens, now).map(|told| told.remaining), Some(149_984));
        assert_eq!(told(&HeaderMap::new(), What::Tokens, now), None);
        let reset = humantime::format_rfc3339(SystemTime::now() + 90 * S).to_string();
        let map = headers(&[
            ("anthropic-ratelimit-tokens-limit", "80000"),
            ("anthropic-ratelimit-tokens-remaining", "1000"),
            ("anthropic-ratelimit-tokens-reset", &reset),
        ]);
        let tokens = told(&map, What::Tokens, now).unwrap();
        assert_eq!((tokens.limit, tokens.remaining), (Some(80_000), 1_000));
        assert!(tokens.until > now + 80 * S && tokens.until <= now + 91 * S);
    }

    #[test]
    fn retry_after_comes_in_three_forms() {
        assert_eq!(retry_after(&headers(&[("retry-after", "7")])), Some(7 * S));
        let both = headers(&[("retry-after", "7"), ("retry-after-ms", "250")]);
        assert_eq!(retry_after(&both), Some(Duration::from_millis(250)));
        let past = headers(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        assert_eq!(retry_after(&past), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
    }
}
