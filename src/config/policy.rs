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

/// `semantic.audit_by`: how an audit compares the answer that was served with a fresh one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditBy {
    /// The same text, white space aside.
    Text,
    /// The same values, and nearly the same meaning by the embedding model.
    #[default]
    Meaning,
    /// What the deployment of `[semantic.judge]` says.
    Judge,
}

impl AuditBy {
    pub fn word(self) -> &'static str {
        match self {
            AuditBy::Text => "text",
            AuditBy::Meaning => "meaning",
            AuditBy::Judge => "judge",
        }
    }
}

/// How a route's semantic hits are audited, and what for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditPolicy {
    /// Wrong hits per semantic hit at most, 0.0001 to 0.2; the threshold follows it. `None`: no budget.
    pub max_wrong_rate: Option<f64>,
    /// Share of semantic hits that is audited, above 0 to 1. `None`: as much as the evidence asks for.
    pub share: Option<f32>,
    /// Default: the judge where one is named, else by meaning.
    pub by: AuditBy,
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
    pub audit: AuditPolicy,
}

/// How requests of one route are cached.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub mode: CacheMode,
    pub scope: ScopeBy,
    /// How long an entry is fresh. Default 1 h.
    pub ttl: Duration,
    /// Whether an answer cut by `length` or `content_filter` may be kept. Default false.
    pub keep_truncated: bool,
    /// Whether `Cache-Status` and `x-reprise-*` are put on answers. Default true.
    pub headers: bool,
    pub semantic: SemanticPolicy,
}

impl Policy {
    /// Whether the upstream answers everything, and hits are only noted.
    pub fn observes(&self) -> bool {
        self.mode != CacheMode::Off && self.semantic.mode == SemanticMode::Observe
    }

    /// Whether evidence of wrong hits is gathered: under a budget, or in observe mode.
    pub fn is_watched(&self) -> bool {
        let serves = self.mode == CacheMode::Semantic && self.semantic.mode == SemanticMode::Serve;
        self.observes() || (serves && self.semantic.audit.max_wrong_rate.is_some())
    }
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            mode: CacheMode::Semantic,
            scope: ScopeBy::Key,
            ttl: Duration::from_secs(3_600),
            keep_truncated: false,
            headers: true,
            semantic: SemanticPolicy {
                mode: SemanticMode::Serve,
                threshold: None,
                verify: Strictness::Strict,
                fuzzy: FuzzyPolicy::default(),
                audit: AuditPolicy::default(),
            },
        }
    }
}
