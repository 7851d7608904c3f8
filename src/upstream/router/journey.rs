//! One request's way: plan, attempt, outcome, and again until one answers or every road is closed.
//!
//! ```text
//! model ─> roads ─> a place on one ─> attempt ─┬ answered ─────────────────────────> client
//!            ^                                 ├ refused (context, policy) ─> next model of its chain
//!            └── backoff, within the budget ── ┴ failed; tries used up ────> next model of the chain
//! ```

use super::asked::{Asked, Tokens, measure};
use super::budget::backoff;
use super::fleet::{Fleet, Place};
use super::hedge::{Raced, Which, race};
use super::outcome::{Failed, Last, Outcome, Refusal, Tried};
use super::plan::{Binding, NoRoad, roads};
use super::seat::Seat;
use super::{Router, answer, closed};
use crate::base::fault::{Fault, Kind};
use crate::upstream::{Incoming, Way};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::{sleep, timeout_at};

pub struct Journey<'r> {
    pub(super) router: &'r Router,
    pub(super) method: Method,
    pub(super) target: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) asked: Asked,
    binding: Binding,
    /// Measured once, where a model needs it.
    tokens: Option<Tokens>,
    attempts: u32,
    tried: Vec<Tried>,
    /// The model that was asked for is being asked, whose answer its cascade judges; no fallback, and no larger one.
    pub(super) judging: bool,
}

/// What asking one model came to.
pub(super) enum Stage {
    Answered(Incoming),
    Over(Fault),
    /// On to the next model.
    Next(Why),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Failed,
    Closed,
    Refused(Refusal),
}

impl Why {
    fn word(self) -> &'static str {
        match self {
            Why::Failed => "failed",
            Why::Closed => "closed",
            Why::Refused(refusal) => refusal.word(),
        }
    }
}

impl<'r> Journey<'r> {
    pub fn new(
        router: &'r Router,
        (method, target, headers): (Method, PathAndQuery, HeaderMap),
        body: Bytes,
        asked: Asked,
        binding: Binding,
    ) -> Journey<'r> {
        Journey {
            router,
            method,
            target,
            headers,
            body,
            asked,
            binding,
            tokens: None,
            attempts: 0,
            tried: Vec::new(),
            judging: true,
        }
    }

    pub async fn run(mut self) -> Result<Incoming, Fault> {
        let name = self.binding.to.clone().unwrap_or_else(|| self.asked.model.clone());
        let Some(first) = self.router.catalogue.find(&name) else {
            return Err(closed::unknown_model(&name, &self.router.catalogue));
        };
        self.router.budget.request();
        let mut stages = VecDeque::from([(name, first.clone())]);
        let (mut substitute, mut end) = (false, None);
        while let Some((name, fleet)) = stages.pop_front() {
            let patient = stages.is_empty() && (substitute || fleet.model.fallback.is_empty());
            let why = match self.ask(&name, &fleet, patient, &mut end).await {
                Stage::Answered(incoming) if substitute => {
                    return Ok(self.sign(incoming, true, self.other_name(&name, &fleet)));
                }
                Stage::Answered(incoming) => return Ok(self.or_larger(&name, &fleet, incoming).await),
                Stage::Over(fault) => return Err(fault),
                Stage::Next(why) => why,
            };
            if !substitute {
                stages.extend(self.chain(&fleet, why));
                (substitute, self.judging) = (true, false);
            }
            if let Some((to, _)) = stages.front() {
                let tried = Tried::list(&self.tried);
                tracing::info!(model = %name, %to, why = why.word(), %tried, "fell back to another model");
                self.router.metrics.deployments.fell_back(&name, to, why.word());
            }
        }
        match end {
            Some(Last::Answer(incoming)) => Ok(self.sign(incoming, false, None)),
            Some(Last::Fault(fault)) => Err(closed::listing(fault, &self.tried)),
            None => Err(Fault::new(Kind::Internal, "no deployment was asked, and none said why")),
        }
    }

    /// The models to try after the first one, each once.
    fn chain(&self, fleet: &Fleet, why: Why) -> Vec<(String, Arc<Fleet>)> {
        let model = &fleet.model;
        let own = match why {
            Why::Refused(Refusal::ContextWindow) => &model.fallback_context_window,
            Why::Refused(Refusal::ContentPolicy) => &model.fallback_content_policy,
            Why::Failed | Why::Closed => &model.fallback,
        };
        let names = if own.is_empty() { &model.fallback } else { own };
        let mut chain: Vec<(String, Arc<Fleet>)> = Vec::new();
        for name in names {
            if let Some(found) = self.router.catalogue.find(name)
                && chain.iter().all(|(other, _)| other != name)
            {
                chain.push((name.clone(), found.clone()));
            }
        }
        chain
    }

    /// Asks one model. `patient`: there is no other, so that waiting for a place is worth it. `end`: what
    /// the client gets if none does better.
    pub(super) async fn ask(
        &mut self,
        name: &str,
        fleet: &Arc<Fleet>,
        patient: bool,
        end: &mut Option<Last>,
    ) -> Stage {
        let tokens = match fleet.counts_tokens() {
            true => *self.tokens.get_or_insert_with(|| measure(&self.body)),
            false => Tokens::default(),
        };
        let mut candidates = match roads(fleet, &self.binding, tokens, self.asked.max_tokens) {
            Ok(candidates) => candidates,
            Err(NoRoad::Bound) => {
                end.get_or_insert(Last::Fault(closed::bound(name, &self.binding)));
                return Stage::Next(Why::Closed);
            }
            Err(NoRoad::TooLong { largest }) => {
                let fault = closed::too_long(name, tokens, self.asked.max_tokens, largest);
                end.get_or_insert(Last::Fault(fault));
                return Stage::Next(Why::Refused(Refusal::ContextWindow));
            }
        };
        let need = fleet.need(tokens, self.asked.max_tokens);
        let mut failed = Vec::new();
        loop {
            let place = match self.place(fleet, &candidates, &failed, need, patient).await {
                Seat::Taken(place) => place,
                Seat::Closed(gates) => {
                    end.get_or_insert_with(|| Last::Fault(closed::shut(name, fleet, &gates)));
                    return Stage::Next(Why::Closed);
                }
                Seat::Shed(gates) => {
                    end.get_or_insert_with(|| Last::Fault(closed::shed(name, fleet, &gates)));
                    return Stage::Next(Why::Closed);
                }
            };
            let (at, outcome) = self.attempt(name, fleet, &candidates, place).await;
            match outcome {
                Outcome::Answered(incoming) => return Stage::Answered(incoming),
                Outcome::Unsendable(fault) => return Stage::Over(fault),
                Outcome::Declined(fault) => {
                    *end = Some(Last::Fault(fault));
                    candidates.retain(|other| *other != at);
                    if candidates.is_empty() {
                        return Stage::Next(Why::Closed);
                    }
                    continue;
                }
                Outcome::Refused(refusal, incoming) => {
                    *end = Some(Last::Answer(incoming));
                    return Stage::Next(Why::Refused(refusal));
                }
                Outcome::Failed(Failed { last, .. }) => *end = Some(last),
            }
            failed = self.failed_at(fleet);
            let number = u32::try_from(failed.len()).unwrap_or(u32::MAX);
            let settings = &self.router.settings;
            if number > settings.retries || !self.router.budget.retry() {
                return Stage::Next(Why::Failed);
            }
            sleep(backoff(settings.backoff, settings.max_backoff, number, &self.router.dice)).await;
        }
    }

    /// Where this model's attempts have failed.
    fn failed_at(&self, fleet: &Fleet) -> Vec<usize> {
        let place =
            |tried: &Tried| fleet.roads.iter().position(|road| Arc::ptr_eq(&road.name, &tried.deployment));
        self.tried.iter().filter_map(place).collect()
    }

    /// One attempt, and after `hedge_after` a second one beside it; what it came to, and where.
    async fn attempt(
        &mut self,
        name: &str,
        fleet: &Arc<Fleet>,
        candidates: &[usize],
        place: Place,
    ) -> (usize, Outcome) {
        self.attempts += 1;
        let (at, need) = (place.at, place.need);
        let Some(after) = self.router.settings.hedge_after else {
            let outcome = self.send(name, fleet, place).await;
            return (at, self.note(fleet, at, outcome));
        };
        let mut beside = None;
        let raced = {
            let (this, beside) = (&*self, &mut beside);
            let second = || {
                let others: Vec<usize> = candidates.iter().copied().filter(|other| *other != at).collect();
                let place = this.enter(fleet, &others, need).ok()?;
                // A hedge is a retry made early.
                let place = this.router.budget.retry().then_some(place)?;
                *beside = Some(place.at);
                Some(this.send(name, fleet, place))
            };
            race(this.send(name, fleet, place), after, second).await
        };
        let Some(other) = beside else {
            let (Raced::Alone(outcome) | Raced::Won(_, outcome) | Raced::Both(_, _, outcome)) = raced;
            return (at, self.note(fleet, at, outcome));
        };
        self.attempts += 1;
        let place_of = |which| if which == Which::First { at } else { other };
        let (at, outcome) = match raced {
            Raced::Alone(outcome) => (at, outcome),
            Raced::Won(which, outcome) => (place_of(which), outcome),
            Raced::Both(which, failed, outcome) => {
                let _ = self.note(fleet, place_of(which), Outcome::Failed(failed));
                (if which == Which::First { other } else { at }, outcome)
            }
        };
        (at, self.note(fleet, at, outcome))
    }

    /// Keeps a failure in mind.
    fn note(&mut self, fleet: &Fleet, at: usize, outcome: Outcome) -> Outcome {
        if let Outcome::Failed(failed) = &outcome {
            let tried = Tried {
                deployment: fleet.roads[at].name.clone(),
                failure: failed.failure,
                status: failed.status(),
            };
            tracing::debug!(deployment = %tried.deployment, failure = tried.failure.word(), "attempt failed");
            self.tried.push(tried);
        }
        outcome
    }

    async fn send(&self, name: &str, fleet: &Fleet, place: Place) -> Outcome {
        let road = place.road();
        road.shown.sent();
        let outgoing = self.outgoing(fleet, &fleet.model.name_there(&road.settings, name));
        let limit = place.began() + road.reach.first_byte;
        match timeout_at(limit, road.reach.exchange.exchange(outgoing)).await {
            Err(_) => answer::timed_out(place),
            Ok(Err(fault)) => answer::failed_exchange(fault, place),
            Ok(Ok(incoming)) => answer::judge(incoming, place).await,
        }
    }

    /// The model's name, where the client wrote another.
    pub(super) fn other_name(&self, name: &str, fleet: &Fleet) -> Option<Arc<str>> {
        let name = fleet.model.known_as(name);
        (name != self.asked.model).then(|| name.into())
    }

    pub(super) fn sign(
        &mut self,
        mut incoming: Incoming,
        substitute: bool,
        model: Option<Arc<str>>,
    ) -> Incoming {
        let tried = (!self.tried.is_empty()).then(|| Tried::list(&self.tried).into());
        incoming.way = Way { attempts: self.attempts, substitute, model, tried, ..incoming.way };
        incoming
    }
}
