//! What the client says about caching: `Cache-Control` (RFC 9111 §5.2.1) and `x-reprise-*`.

use crate::base::fault::{Fault, Kind};
use crate::cache::entry::Tag;
use crate::config::CacheMode;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use std::time::Duration;

/// One request's wishes. `Default` is a client that says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directives {
    /// `x-reprise-cache`
    pub mode: Option<CacheMode>,
    /// `x-reprise-threshold`
    pub threshold: Option<f32>,
    /// `x-reprise-ttl`
    pub ttl: Option<Duration>,
    /// `x-reprise-namespace`
    pub namespace: Option<String>,
    /// `x-reprise-tags: feature=faq,cohort=beta`
    pub tags: Vec<Tag>,
    /// Asked upstream, and the answer kept.
    pub no_cache: bool,
    /// Neither answered from the cache nor kept.
    pub no_store: bool,
    pub only_if_cached: bool,
    pub max_age: Option<Duration>,
    pub min_fresh: Option<Duration>,
}

/// Longest namespace and tag, bytes; tags at most.
const MAX_WORD: usize = 128;
const MAX_TAGS: usize = 16;

impl Directives {
    /// `Err`: an `x-reprise-*` value that cannot be understood. A `Cache-Control` directive that cannot
    /// be is ignored, as RFC 9111 §4.2.1 asks.
    pub fn read(headers: &HeaderMap) -> Result<Directives, Fault> {
        let mut wishes = Directives::default();
        for value in headers.get_all(CACHE_CONTROL) {
            for directive in value.to_str().unwrap_or_default().split(',') {
                wishes.cache_control(directive.trim());
            }
        }
        if !headers.keys().any(|name| name.as_str().starts_with("x-reprise-")) {
            return Ok(wishes);
        }
        if let Some(word) = text(headers, "x-reprise-cache")? {
            wishes.mode = Some(match word {
                "off" => CacheMode::Off,
                "exact" => CacheMode::Exact,
                "semantic" => CacheMode::Semantic,
                _ => return Err(invalid("x-reprise-cache", "expected off, exact or semantic")),
            });
        }
        if let Some(word) = text(headers, "x-reprise-threshold")? {
            let threshold = word.parse().ok().filter(|t| (0.0..=1.0).contains(t));
            wishes.threshold =
                Some(threshold.ok_or_else(|| {
                    invalid("x-reprise-threshold", "expected a similarity from 0.0 to 1.0")
                })?);
        }
        if let Some(word) = text(headers, "x-reprise-ttl")? {
            let seconds = word
                .parse()
                .map_err(|_| invalid("x-reprise-ttl", "expected whole seconds, for instance 3600"))?;
            wishes.ttl = Some(Duration::from_secs(seconds));
        }
        if let Some(word) = text(headers, "x-reprise-namespace")? {
            if word.is_empty() || word.len() > MAX_WORD {
                return Err(invalid("x-reprise-namespace", "expected 1 to 128 characters"));
            }
            wishes.namespace = Some(word.to_owned());
        }
        if let Some(word) = text(headers, "x-reprise-tags")? {
            wishes.tags = tags(word)?;
        }
        Ok(wishes)
    }

    fn cache_control(&mut self, directive: &str) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let seconds = || value.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
        match name.trim().to_ascii_lowercase().as_str() {
            "no-cache" => self.no_cache = true,
            "no-store" => self.no_store = true,
            "only-if-cached" => self.only_if_cached = true,
            "max-age" => self.max_age = seconds(),
            "min-fresh" => self.min_fresh = seconds(),
            _ => {}
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(invalid(name, "expected once"));
    }
    value.to_str().map(|word| Some(word.trim())).map_err(|_| invalid(name, "expected plain ascii"))
}

fn tags(list: &str) -> Result<Vec<Tag>, Fault> {
    let wrong = || invalid("x-reprise-tags", "expected at most 16 of name=value, separated by commas");
    let tags: Vec<Tag> = list
        .split(',')
        .filter(|tag| !tag.trim().is_empty())
        .map(|tag| tag.split_once('=').ok_or_else(wrong))
        .map(|pair| pair.map(|(name, value)| (name.trim().into(), value.trim().into())))
        .collect::<Result<_, _>>()?;
    let fits = |tag: &Tag| !tag.0.is_empty() && tag.0.len() + tag.1.len() <= MAX_WORD;
    if tags.len() > MAX_TAGS || !tags.iter().all(fits) { Err(wrong()) } else { Ok(tags) }
}

fn invalid(name: &str, remedy: &str) -> Fault {
    Fault::new(Kind::InvalidHeader, format!("{name} cannot be understood; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Directives, Fault> {
        let headers = pairs.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), value.parse::<http::HeaderValue>().unwrap())
        });
        Directives::read(&headers.collect())
    }

    #[test]
    fn cache_control_reads_as_rfc_9111_says() {
        let wishes =
            read(&[("cache-control", "No-Cache, max-age=30, min-fresh=\"5\", max-stale, only-if-cached")])
                .unwrap();
        assert!(wishes.no_cache && wishes.only_if_cached && !wishes.no_store);
        assert_eq!(wishes.max_age, Some(Duration::from_secs(30)));
        assert_eq!(wishes.min_fresh, Some(Duration::from_secs(5)));
        assert_eq!(read(&[("cache-control", "max-age=soon")]).unwrap(), Directives::default());
    }

    #[test]
    fn ttl_is_seconds_and_nothing_else() {
        assert_eq!(read(&[("x-reprise-ttl", "90")]).unwrap().ttl, Some(Duration::from_secs(90)));
        for wrong in ["90s", "-1", "1.5", ""] {
            assert_eq!(read(&[("x-reprise-ttl", wrong)]).unwrap_err().kind, Kind::InvalidHeader, "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_a_remedy() {
        for (name, value) in [
            ("x-reprise-cache", "on"),
            ("x-reprise-threshold", "1.4"),
            ("x-reprise-threshold", "NaN"),
            ("x-reprise-tags", "faq"),
            ("x-reprise-namespace", ""),
        ] {
            let fault = read(&[(name, value)]).unwrap_err();
            assert!(fault.message.contains(name) && fault.message.contains("expected"), "{}", fault.message);
        }
    }

    #[test]
    fn tags_are_pairs() {
        let wishes = read(&[("x-reprise-tags", "feature=faq, cohort=beta")]).unwrap();
        assert_eq!(wishes.tags, [("feature".into(), "faq".into()), ("cohort".into(), "beta".into())]);
    }
}
