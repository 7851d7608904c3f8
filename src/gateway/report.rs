//! What an answer says of its own making: `Cache-Status` (RFC 9211), `Age`, `x-reprise-*`.

use crate::base::clock::Millis;
use crate::base::money::NanoUsd;
use crate::cache::Verdict;
use crate::upstream::Way;
use http::header::AGE;
use http::{HeaderMap, HeaderName, HeaderValue};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const VERDICT: HeaderName = HeaderName::from_static("x-reprise-verdict");
const TIER: HeaderName = HeaderName::from_static("x-reprise-tier");
const SCORE: HeaderName = HeaderName::from_static("x-reprise-score");
const REASON: HeaderName = HeaderName::from_static("x-reprise-reason");
const ENTRY: HeaderName = HeaderName::from_static("x-reprise-entry");
const SAVED: HeaderName = HeaderName::from_static("x-reprise-saved-usd");
const BUDGET: HeaderName = HeaderName::from_static("x-reprise-budget-warning");
const DEPLOYMENT: HeaderName = HeaderName::from_static("x-reprise-deployment");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-reprise-attempts");
const TRIED: HeaderName = HeaderName::from_static("x-reprise-tried");
const ESCALATED: HeaderName = HeaderName::from_static("x-reprise-escalated");

/// Puts the verdict on the answer. `Cache-Status` is appended, as RFC 9211 asks, after those of the
/// caches behind us; an `x-reprise-*` of a Reprise behind us is replaced.
pub fn put(headers: &mut HeaderMap, verdict: &Verdict, way: Option<&Way>, now: Millis) {
    if headers.keys().any(|name| name.as_str().starts_with("x-reprise-")) {
        for name in [VERDICT, TIER, SCORE, REASON, ENTRY, SAVED, DEPLOYMENT, ATTEMPTS, TRIED, ESCALATED] {
            headers.remove(name);
        }
    }
    headers.insert(VERDICT, HeaderValue::from_static(verdict.word()));
    if let Some(reason) = verdict.reason() {
        headers.insert(REASON, HeaderValue::from_static(reason));
    }
    if let Some(tier) = verdict.tier() {
        headers.insert(TIER, HeaderValue::from_static(tier.word()));
    }
    if let Some(way) = way {
        set(headers, DEPLOYMENT, &way.deployment);
        if way.attempts > 0 {
            headers.insert(ATTEMPTS, HeaderValue::from(way.attempts));
        }
        if let Some(tried) = &way.tried {
            set(headers, TRIED, tried);
        }
        if let Some(escalated) = &way.escalated {
            headers.insert(ESCALATED, HeaderValue::from_static(escalated.signal));
        }
    }
    match verdict {
        Verdict::Hit { entry, tier, score } => {
            // What has expired has less than no time left (RFC 9211 §2.2).
            let (ttl, over) = (entry.ttl(now).as_secs(), now.since(entry.expires).as_secs());
            let sign = if entry.is_fresh(now) { "" } else { "-" };
            append(headers, &format!("reprise; hit; ttl={sign}{}; detail={}", ttl + over, tier.word()));
            if !entry.is_fresh(now) {
                headers.insert(REASON, HeaderValue::from_static("stale_if_error"));
            }
            headers.insert(AGE, HeaderValue::from(entry.age(now).as_secs()));
            set(headers, ENTRY, &entry.id());
            if let Some(score) = score {
                set(headers, SCORE, &format!("{score:.4}"));
            }
        }
        Verdict::Follow => append(headers, "reprise; fwd=miss; collapsed"),
        Verdict::Miss(_) => append(headers, "reprise; fwd=miss"),
        Verdict::Bypass(bypass) => append(headers, &format!("reprise; fwd=bypass; detail={}", bypass.word())),
    }
}

/// What a hit saved, in USD; nothing where that is not known.
pub fn saved(headers: &mut HeaderMap, saved: Option<NanoUsd>) {
    if let Some(saved) = saved {
        set(headers, SAVED, &saved.to_string());
    }
}

/// Soft limits that the caller's key has passed.
pub fn warn(headers: &mut HeaderMap, warning: &str) {
    set(headers, BUDGET, warning);
}

fn append(headers: &mut HeaderMap, status: &str) {
    if let Ok(value) = HeaderValue::from_str(status) {
        headers.append(CACHE_STATUS, value);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
