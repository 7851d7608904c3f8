//! What may differ by route.

use std::time::Duration;

/// `cache.mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheMode {
    Off,
    Exact,
    #[default]
    Semantic,
}

/// `cache.scope`: who shares answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScopeBy {
    #[default]
    Key,
    Team,
    Global,
}

/// `semantic.mode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SemanticMode {
    #[default]
    Serve,
    Observe,
    Off,
}

/// `semantic.verify`: how a near neighbour is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    #[default]
    Strict,
    Balanced,
    Off,
}

/// When a question may be compared by meaning.
#[derive(Clone, Debug, PartialEq)]
pub struct FuzzyPolicy {
    /// Above it the client asked for variety. Default 1.0 (an absent temperature counts as allowed).
    pub max_temperature: f64,
    /// User turns at most, the question included. Default 1: a follow-up depends on what came before.
    pub max_turns: usize,
    /// Whether a request that offers tools may be answered by meaning. Default false.
    pub tools: bool,
    /// Characters of the question at most. Default 2,000.
    pub max_chars: usize,
}

impl Default for FuzzyPolicy {
    fn default() -> Self {
        FuzzyPolicy { max_temperature: 1.0, max_turns: 1, tools: false, max_chars: 2_000 }
    }
}

/// `[semantic]`, the part a route may override.
#[derive(Clone, Debug, PartialEq)]
pub struct SemanticPolicy {
    pub mode: SemanticMode,
    /// The cosine from which a neighbour is a candidate, 0 to 1. `None`: not set anywhere, so the
    /// model's own calibrated value decides, and 0.85 where it has none.
    pub threshold: Option<f32>,
    pub verify: Strictness,
    pub fuzzy: FuzzyPolicy,
}

/// How requests of one route are cached.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub mode: CacheMode,
    pub scope: ScopeBy,
    /// How long an entry is fresh. Default 1 h.
    pub ttl: Duration,
    /// How long an expired entry may stand in for an upstream that fails. Default: not at all.
    pub stale_if_error: Duration,
    /// Whether an answer cut by `length` or `content_filter` may be kept. Default false.
    pub keep_truncated: bool,
    /// Whether `Cache-Status` and `x-reprise-*` are put on answers. Default true.
    pub headers: bool,
    pub semantic: SemanticPolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            mode: CacheMode::Semantic,
            scope: ScopeBy::Key,
            ttl: Duration::from_secs(3_600),
            stale_if_error: Duration::ZERO,
            keep_truncated: false,
            headers: true,
            semantic: SemanticPolicy {
                mode: SemanticMode::Serve,
                threshold: None,
                verify: Strictness::Strict,
                fuzzy: FuzzyPolicy::default(),
            },
        }
    }
}
