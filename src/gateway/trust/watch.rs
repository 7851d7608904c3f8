//! One route's evidence.

use super::audit::Of;
use crate::config::{self, AuditBy, Policy};
use crate::semantic::budget::{
    AuditShares, Budget, Draw, Fallback, Heard, Serving, Settings, Start, Ticket, Verdict,
};
use crate::semantic::cross;
use crate::semantic::verify::edition;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The lowest threshold that is tried, unless the route begins below it.
const LOWEST: f32 = 0.70;

/// What is known of one route's hits. Shared by `Arc`; every method may be called from any task.
#[derive(Debug)]
pub struct Watch {
    /// The route's name; `None` where none matches.
    pub route: Option<Arc<str>>,
    pub budget: Budget,
    pub counts: Counts,
    /// How answers are compared.
    pub by: AuditBy,
    /// What the user allows; `None` in observe mode without a budget.
    pub max_wrong_rate: Option<f64>,
    /// The threshold that would be served without a budget.
    plain: f32,
}

/// What the config says of one route, as far as its evidence goes.
#[derive(Clone, Debug)]
pub struct Watched<'a> {
    pub route: Option<&'a config::Route>,
    pub policy: &'a Policy,
    pub semantic: &'a config::Semantic,
    /// The model's own threshold, where somebody measured one.
    pub calibrated: Option<f32>,
}

impl Watched<'_> {
    /// The threshold without a budget.
    pub fn plain(&self) -> f32 {
        let default = crate::semantic::manifest::DEFAULT_THRESHOLD;
        self.policy.semantic.threshold.or(self.calibrated).unwrap_or(default)
    }

    pub fn settings(&self) -> Settings {
        let audit = &self.policy.semantic.audit;
        // Observing without a budget: the rates shown are multiples of this.
        let base = Settings::new(audit.max_wrong_rate.unwrap_or(0.01));
        let known = self.policy.semantic.threshold.or(self.calibrated);
        let judge = self.semantic.judge.as_ref().filter(|_| audit.by == AuditBy::Judge);
        Settings {
            lowest: self.plain().min(LOWEST),
            start: known.map_or(Start::Exact, Start::At),
            serving: if self.policy.observes() { Serving::Observe } else { Serving::Live },
            audits: audit.share.map_or(base.audits, fixed),
            // A comparison on a miss costs no upstream call, but it does cost the judge's.
            shadows: judge.map_or(base.shadows, |_| audit.share.unwrap_or(base.audits.learning)),
            audit_error: judge.map_or(0.0, |judge| judge.error),
            basis: self.basis(),
            ..base
        }
    }

    /// What the evidence is about. Another route, model, verifier, judge or build of ours is another question.
    fn basis(&self) -> String {
        let Policy { semantic, .. } = self.policy;
        let judge = self.semantic.judge.as_ref().filter(|_| semantic.audit.by == AuditBy::Judge);
        let cross = self.semantic.cross_encoder.then(|| format!(" and cross-encoder {:x}", cross::edition()));
        format!(
            "model {}, verify {:?} by score {:x}{}, audited by {}{}, {:?}, reprise {}",
            self.semantic.model,
            semantic.verify,
            edition(),
            cross.unwrap_or_default(),
            semantic.audit.by.word(),
            judge.map(|judge| format!(" {}", judge.model)).unwrap_or_default(),
            self.route.map(|route| &route.matches),
            env!("CARGO_PKG_VERSION"),
        )
    }
}

/// A share that the user has set, whatever the evidence asks for.
fn fixed(share: f32) -> AuditShares {
    let most = (share * 1.5).min(1.0);
    AuditShares { steady: share, learning: share, most, ..Settings::new(0.01).audits }
}

impl Watch {
    pub fn of(watched: &Watched<'_>, budget: Budget, counts: Counts) -> Watch {
        Watch {
            route: watched.route.map(|route| route.name.as_str().into()),
            budget,
            counts,
            by: watched.policy.semantic.audit.by,
            max_wrong_rate: watched.policy.semantic.audit.max_wrong_rate,
            plain: watched.plain(),
        }
    }

    /// Whether it is what the config asks for now.
    pub fn fits(&self, watched: &Watched<'_>, settings: &Settings) -> bool {
        let audit = &watched.policy.semantic.audit;
        *self.budget.settings() == *settings
            && (self.by, self.max_wrong_rate, self.plain) == (audit.by, audit.max_wrong_rate, watched.plain())
    }

    /// The threshold that a budget holds a lookup to; infinite where only exact hits are served. A client's own may only
    /// tighten it. `None` without a budget.
    pub fn held_to(&self, wish: Option<f32>) -> Option<f32> {
        self.max_wrong_rate?;
        Some(match self.budget.threshold() {
            Fallback::From(own) => own.max(wish.unwrap_or(0.0)),
            Fallback::Exact => f32::INFINITY,
        })
    }

    /// The threshold in force for a client that wishes for none.
    pub fn threshold(&self) -> f32 {
        self.held_to(None).unwrap_or(self.plain)
    }

    /// The cosine from which a neighbour is worth comparing.
    pub fn floor(&self) -> f32 {
        self.budget.settings().lowest
    }

    /// Whether this hit, or this neighbour that was not served, is to be compared.
    pub fn draw(self: &Arc<Self>, of: Of, score: f32) -> Option<Open> {
        let draw = match of {
            Of::Hit => self.budget.on_hit(score, None),
            Of::Near | Of::Observed => self.budget.on_miss(score, None),
            // Exact hits are no evidence about a threshold.
            Of::Exact => Draw::Skip,
        };
        match draw {
            Draw::Skip => None,
            Draw::Audit(ticket) => Some(Open { watch: self.clone(), ticket: Some(ticket) }),
        }
    }
}

/// An audit that was drawn. Dropped without a verdict it is lost, so no way out leaves it open.
#[derive(Debug)]
pub struct Open {
    watch: Arc<Watch>,
    ticket: Option<Ticket>,
}

/// What follows from a verdict.
#[derive(Debug)]
pub enum Next {
    Settled,
    /// Another verdict on the same pair, independent of those before.
    Again(Open),
}

impl Open {
    pub fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    pub fn hear(mut self, verdict: Verdict) -> Next {
        let Some(ticket) = self.ticket.take() else { return Next::Settled };
        match self.watch.budget.hear(ticket, verdict) {
            Heard::Settled => Next::Settled,
            Heard::AskAgain(ticket) => Next::Again(Open { watch: self.watch.clone(), ticket: Some(ticket) }),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.watch.budget.lose(ticket);
        }
    }
}

/// One of the counts of a route, since its evidence began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    Requests,
    /// Hits by exact key, or would-be hits.
    Exact,
    /// Hits by meaning, or would-be hits.
    Semantic,
    /// Would-be exact hits that were compared, and those whose answer differed: an upstream's own variety.
    ExactCompared,
    ExactDiffered,
    /// Requests sent upstream for audits, and their tokens.
    Calls,
    Prompt,
    Completion,
    JudgeCalls,
    JudgePrompt,
    JudgeCompletion,
}

impl Count {
    const ALL: [(Count, &'static str); 11] = [
        (Count::Requests, "requests"),
        (Count::Exact, "exact"),
        (Count::Semantic, "semantic"),
        (Count::ExactCompared, "exact_compared"),
        (Count::ExactDiffered, "exact_differed"),
        (Count::Calls, "calls"),
        (Count::Prompt, "prompt_tokens"),
        (Count::Completion, "completion_tokens"),
        (Count::JudgeCalls, "judge_calls"),
        (Count::JudgePrompt, "judge_prompt_tokens"),
        (Count::JudgeCompletion, "judge_completion_tokens"),
    ];
}

/// Counts that the budget itself does not keep.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Count::ALL.len()]);

impl Counts {
    pub fn add(&self, count: Count, more: u64) {
        self.0[count as usize].fetch_add(more, Relaxed);
    }

    pub fn get(&self, count: Count) -> u64 {
        self.0[count as usize].load(Relaxed)
    }

    pub fn save(&self) -> BTreeMap<String, u64> {
        Count::ALL.iter().map(|(count, name)| ((*name).to_owned(), self.get(*count))).collect()
    }

    /// A name that is not there counts from nothing.
    pub fn restore(saved: &BTreeMap<String, u64>) -> Counts {
        let counts = Counts::default();
        for (count, name) in Count::ALL {
            counts.add(count, saved.get(name).copied().unwrap_or(0));
        }
        counts
    }
}
