//! Virtual keys: what one may do.

use super::policies::{CACHE_MODES, SCOPES};
use super::policy::{CacheMode, ScopeBy};
use super::reader::Given;
use super::values;
use crate::base::money::NanoUsd;
use crate::base::secret::Secret;
use serde::{Deserialize, Serialize};
use std::time::{Duration, UNIX_EPOCH};

/// `[keys]` and `[[key]]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys {
    /// Only virtual keys are let in. Default: whoever has none passes with his own credential.
    pub required: bool,
    /// Where a soft limit that is passed is posted to.
    pub webhook: Option<Secret>,
    pub listed: Vec<Listed>,
}

/// `[[key]]`: a key whose secret is kept elsewhere, and named here.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub secret: Secret,
    /// Milliseconds since the epoch.
    pub expires: Option<u64>,
    pub grant: Grant,
}

impl Listed {
    /// The key's id in the ledger and among keys: no key of the keys' file is called so.
    pub fn id(&self) -> String {
        format!("config:{}", self.grant.name)
    }
}

/// What a key may do, and whom it is booked to. An absent limit is no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grant {
    pub name: String,
    pub team: Option<String>,
    /// `name=value`; on every row of the key.
    pub tags: Vec<String>,
    /// Models that may be asked for; one that ends in `*` stands for all that begin so. Empty: all.
    pub models: Vec<String>,
    /// Who shares its answers, in place of the route's scope.
    pub scope: Option<ScopeBy>,
    /// The most that the cache does for it.
    pub cache: Option<CacheMode>,
    pub threshold: Option<f32>,
    /// Seconds.
    pub ttl: Option<u64>,
    /// Requests in one minute of the clock, hits included.
    pub rpm: Option<u64>,
    /// Tokens sent to and got from upstreams in one minute of the clock.
    pub tpm: Option<u64>,
    /// Requests in progress.
    pub concurrency: Option<u64>,
    /// Hard limits.
    pub budget: Budget,
    /// Soft limits.
    pub warn: Budget,
    pub over: Over,
}

/// US dollars in a calendar period of UTC; weeks begin on Monday.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    pub day: Option<NanoUsd>,
    pub week: Option<NanoUsd>,
    pub month: Option<NanoUsd>,
    pub whole: Option<NanoUsd>,
}

impl Budget {
    /// By period: day, week, month, whole.
    pub fn limits(&self) -> [Option<NanoUsd>; 4] {
        [self.day, self.week, self.month, self.whole]
    }

    pub fn is_none(&self) -> bool {
        self.limits().iter().all(Option::is_none)
    }
}

/// What becomes of a key whose budget is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Every request is refused.
    #[default]
    Refuse,
    /// Answers from the cache go on; what would have to be asked upstream is refused.
    CacheOnly,
}

impl Grant {
    /// Whether the key may ask for `model`.
    pub fn allows(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| super::fits(pattern, model))
    }

    /// Whether anything is held for it before the upstream is asked.
    pub fn is_metered(&self) -> bool {
        !self.budget.is_none() || self.tpm.is_some() || self.concurrency.is_some()
    }

    /// Whether other replicas are to know what it has used.
    pub fn is_told(&self) -> bool {
        self.is_metered() || !self.warn.is_none()
    }

    /// Whether anything about it can only be kept for requests that we read.
    pub fn is_bounded(&self) -> bool {
        !self.models.is_empty() || !self.budget.is_none() || self.tpm.is_some()
    }
}

/// A moment at which a key expires: a UTC day, its first second, or a moment as in RFC 3339.
///
/// # Errors
/// What to write instead.
pub fn moment(text: &str) -> Result<u64, String> {
    let day = humantime::parse_rfc3339_weak(&format!("{text} 00:00:00"));
    let read = day.or_else(|_| humantime::parse_rfc3339_weak(text)).ok();
    let since = read.and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
    since
        .map(|since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
        .ok_or_else(|| format!("{text:?} is no moment; write a day such as \"2027-01-01\""))
}

/// A cache scope by its word.
///
/// # Errors
/// What to write instead.
pub fn scope(word: &str) -> Result<ScopeBy, String> {
    values::one_of(Given::Variable(word), SCOPES)
}

/// A cache mode by its word.
///
/// # Errors
/// What to write instead.
pub fn cache_mode(word: &str) -> Result<CacheMode, String> {
    values::one_of(Given::Variable(word), CACHE_MODES)
}

/// `name=value`, as in `x-reprise-tags`.
///
/// # Errors
/// What to write instead.
pub fn tag(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && text.len() <= 128 && !text.contains(',') => {
            Ok(format!("{}={}", name.trim(), value.trim()))
        }
        _ => Err(format!("{text:?} is no tag; write for instance \"feature=faq\"")),
    }
}

/// US dollars as a person writes them.
///
/// # Errors
/// What to write instead.
pub fn dollars(text: &str) -> Result<NanoUsd, String> {
    super::books::dollars(super::reader::Given::Variable(text))
}

/// How long an answer is fresh for a key, in seconds.
pub(super) fn seconds(given: super::reader::Given<'_>) -> Result<u64, String> {
    const YEAR: Duration = Duration::from_secs(31_557_600);
    values::duration(given, Duration::from_secs(1)..=YEAR).map(|span| span.as_secs())
}
