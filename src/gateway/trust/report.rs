//! What `/api/budget` and `/api/observe` tell.

use super::watch::{Count, Watch};
use crate::gateway::Gateway;
use crate::semantic::budget::{self, Fallback, Serving, Standing, Tried};
use serde::Serialize;

/// Which routes are told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Those with a `max_wrong_rate`.
    Budgets,
    /// Those in observe mode.
    Observed,
}

#[derive(Debug, Serialize)]
pub struct Told {
    pub routes: Vec<RouteTold>,
}

/// One route. Rates and shares are 0 to 1; a rate of wrong hits is per semantic hit.
#[derive(Debug, Serialize)]
pub struct RouteTold {
    /// `None` where no route matches.
    pub route: Option<String>,
    /// `serve` or `observe`.
    pub mode: &'static str,
    pub max_wrong_rate: Option<f64>,
    pub audit_by: &'static str,
    pub requests: u64,
    /// In observe mode: what would have been.
    pub hits: Hits,
    /// In force now; `None`: exact hits only.
    pub threshold: Option<f64>,
    /// `held`: proven. `unproven`: served because the config says so. `exact`: nothing is proven. `None` without a budget.
    pub standing: Option<&'static str>,
    pub wrong: Wrong,
    pub audits: Audits,
    /// Exact hits of observe mode, compared: how much the upstream's own answers to one request differ.
    pub exact_repeats: Repeats,
    pub spent: Spent,
    /// How often the threshold rose (exact included) and fell.
    pub raised: u64,
    pub lowered: u64,
    /// Every threshold that is tried, lowest first.
    pub tried: Vec<TriedTold>,
}

#[derive(Debug, Serialize)]
pub struct Hits {
    pub exact: u64,
    pub semantic: u64,
    /// Both, per request.
    pub rate: f64,
}

/// Of the hits from the threshold in force on.
#[derive(Debug, Serialize)]
pub struct Wrong {
    /// Upper confidence bound; `None`: too little evidence for any.
    pub bound: Option<f64>,
    pub confidence: f64,
    /// A best guess, no bound.
    pub estimate: Option<f64>,
    /// Labels, all of them clean, that a first proof of `max_wrong_rate` takes.
    pub evidence_needed: u32,
}

#[derive(Debug, Serialize)]
pub struct Audits {
    /// Of the hits, now.
    pub share: f64,
    pub hits: u64,
    /// Neighbours that were not served, compared on their misses.
    pub near: u64,
    pub verdicts: u64,
    pub labels: u64,
    pub wrong: u64,
    pub lost: u64,
    pub complaints: u64,
}

#[derive(Debug, Serialize)]
pub struct Repeats {
    pub compared: u64,
    pub differed: u64,
}

/// What audits have cost. Calls are requests upstream that no client asked for.
#[derive(Debug, Serialize)]
pub struct Spent {
    pub calls: u64,
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    pub judge_calls: u64,
    pub judge_prompt_tokens: u64,
    pub judge_completion_tokens: u64,
}

#[derive(Debug, Serialize)]
pub struct TriedTold {
    pub threshold: f64,
    /// Semantic hits per request that it would give, by the recent mix.
    pub hit_rate: f64,
    pub bound: Option<f64>,
    pub estimate: Option<f64>,
}

impl Gateway {
    pub fn told(&self, about: About) -> Told {
        let settings = self.settings.load();
        let wanted = |watch: &&std::sync::Arc<Watch>| match about {
            About::Budgets => watch.max_wrong_rate.is_some(),
            About::Observed => watch.budget.settings().serving == Serving::Observe,
        };
        Told { routes: settings.watches.all().filter(wanted).map(|watch| route(watch)).collect() }
    }
}

fn route(watch: &Watch) -> RouteTold {
    let budget::Report { standing, audit_share, counts, evidence_needed, .. } = watch.budget.report();
    let settings = watch.budget.settings();
    let count = |count| watch.counts.get(count);
    let requests = count(Count::Requests);
    let (exact, semantic) = (count(Count::Exact), count(Count::Semantic));
    let threshold = watch.threshold();
    let tried = watch.budget.tried();
    let at = tried.iter().rev().find(|tried| tried.threshold <= threshold);
    let (bound, estimate) = match (watch.budget.threshold(), at) {
        (Fallback::Exact, _) if watch.max_wrong_rate.is_some() => (None, None),
        (_, at) => (at.and_then(|at| at.bound), at.and_then(|at| at.estimate)),
    };
    let candidates = per(counts.candidates, requests);
    RouteTold {
        route: watch.route.as_deref().map(str::to_owned),
        mode: if settings.serving == Serving::Observe { "observe" } else { "serve" },
        max_wrong_rate: watch.max_wrong_rate,
        audit_by: watch.by.word(),
        requests,
        hits: Hits { exact, semantic, rate: rounded(per(exact + semantic, requests)) },
        threshold: threshold.is_finite().then(|| rounded(f64::from(threshold))),
        standing: watch.max_wrong_rate.map(|_| word(standing)),
        wrong: Wrong {
            bound: bound.map(rounded),
            confidence: settings.confidence,
            estimate: estimate.map(rounded),
            evidence_needed,
        },
        audits: Audits {
            share: rounded(f64::from(audit_share)),
            hits: counts.audits,
            near: counts.shadows,
            verdicts: counts.verdicts,
            labels: counts.labels,
            wrong: counts.wrong,
            lost: counts.lost,
            complaints: counts.complaints,
        },
        exact_repeats: Repeats {
            compared: count(Count::ExactCompared),
            differed: count(Count::ExactDiffered),
        },
        spent: Spent {
            calls: count(Count::Calls),
            prompt_tokens: count(Count::Prompt),
            completion_tokens: count(Count::Completion),
            judge_calls: count(Count::JudgeCalls),
            judge_prompt_tokens: count(Count::JudgePrompt),
            judge_completion_tokens: count(Count::JudgeCompletion),
        },
        raised: counts.raised,
        lowered: counts.lowered,
        tried: tried.into_iter().map(|tried| tried_told(&tried, candidates)).collect(),
    }
}

/// `candidates`: per request.
fn tried_told(tried: &Tried, candidates: f64) -> TriedTold {
    TriedTold {
        threshold: rounded(f64::from(tried.threshold)),
        hit_rate: rounded(tried.share * candidates),
        bound: tried.bound.map(rounded),
        estimate: tried.estimate.map(rounded),
    }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Unproven => "unproven",
        Standing::Held => "held",
        Standing::Exact => "exact",
    }
}

fn per(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// To five decimals: a rate of 0.0001 is the least that can be held.
fn rounded(number: f64) -> f64 {
    (number * 1e5).round() / 1e5
}
