//! A miss: seats in a flight, and what each does.

use super::errand::{Errand, Keep};
use super::trust::Count;
use super::trust::audit::{Of, Shadow};
use super::visit::{Sketch, Visit};
use super::{Gateway, Reply, ReplyBody, report};
use crate::base::fault::Fault;
use crate::cache::flight::{Leader, Seat};
use crate::cache::{Embedding, Found, Looked, Missed, Verdict};
use crate::tape::live::{Follower, Head, LiveEnd};
use crate::upstream::{Outgoing, OutgoingBody};
use http::Method;
use std::sync::Arc;
use std::time::Duration;

/// Seats taken at most before a request goes alone: a flight that is abandoned again and again must
/// not hold anyone for ever.
const ROUNDS: usize = 4;

/// Bytes of a body whose context is outlined: reading it again takes a millisecond at most.
const LONGEST_OUTLINED: usize = 256 << 10;

/// What following came to.
enum Followed {
    Answer(Box<Reply>),
    Fault(Fault),
    /// No answer that this caller may have: take a seat again.
    Nothing,
}

impl Gateway {
    /// Asks upstream, once for all identical requests in flight.
    pub(super) async fn miss(
        self: &Arc<Self>,
        visit: Box<Visit>,
        why: Missed,
        embedding: Embedding,
        near: Option<Box<Found>>,
    ) -> Result<(Verdict, Reply), Fault> {
        let shadow = |visit: &Visit| near.as_deref().and_then(|near| self.shadow(visit, Of::Near, near));
        if visit.policy().observes() {
            let shadow = shadow(&visit);
            return self.ask(visit, Verdict::Miss(why), embedding, None, shadow).await;
        }
        let cap = visit.settings.config.cache.max_entry;
        for _ in 0..ROUNDS {
            match self.cache.flights.seat(visit.canon.exact, visit.form, visit.caller, cap) {
                Seat::Lead(leader) => {
                    let shadow = shadow(&visit);
                    return self.ask(visit, Verdict::Miss(why), embedding, Some(leader), shadow).await;
                }
                Seat::Alone => break,
                Seat::Follow { follower, same_credential } => {
                    self.metrics.followed();
                    match self.follow(&visit, follower, same_credential).await {
                        Followed::Answer(reply) => return Ok((Verdict::Follow, *reply)),
                        Followed::Fault(fault) => return Err(fault),
                        Followed::Nothing => {}
                    }
                }
                Seat::Await(follower) => {
                    follower.ended().await;
                    if let Some(answer) = self.look_again(&visit).await {
                        return Ok(answer);
                    }
                }
            }
        }
        let shadow = shadow(&visit);
        self.ask(visit, Verdict::Miss(why), embedding, None, shadow).await
    }

    /// In observe mode: notes what would have been served, and lets the upstream answer.
    pub(super) async fn observe(
        self: &Arc<Self>,
        visit: Box<Visit>,
        found: Found,
    ) -> Result<(Verdict, Reply), Fault> {
        if visit.wishes.only_if_cached {
            return Err(super::only_if_cached());
        }
        let of = if found.score.is_none() { Of::Exact } else { Of::Observed };
        if let Some(watch) = visit.watch() {
            watch.counts.add(if of == Of::Exact { Count::Exact } else { Count::Semantic }, 1);
        }
        let shadow = self.shadow(&visit, of, &found);
        self.ask(visit, Verdict::Miss(Missed::Observed), Embedding::NotAsked, None, shadow).await
    }

    /// Asks upstream, with a seat in a flight or without, and keeps the answer.
    pub(super) async fn ask(
        self: &Arc<Self>,
        visit: Box<Visit>,
        verdict: Verdict,
        embedding: Embedding,
        leader: Option<Leader>,
        shadow: Option<Shadow>,
    ) -> Result<(Verdict, Reply), Fault> {
        let show = visit.policy().headers;
        let (mut terms, sketch) = (visit.terms(), self.sketch(&visit));
        if matches!(verdict, Verdict::Miss(Missed::Observed)) {
            // Served, this answer would never have been: what is stored stays what it would be.
            terms.ttl = Duration::ZERO;
        }
        let Visit { settings, dialect, target, headers, body, caller, canon, .. } = *visit;
        let outgoing = Outgoing { method: Method::POST, target, headers, body: OutgoingBody::Whole(body) };
        let keep = Keep { canon, terms, embedding, sketch, shadow };
        let errand = Errand { settings, dialect, caller, outgoing, keep, leader };
        let (deployment, mut reply) = errand.send(self).await?;
        if show {
            report::put(&mut reply.headers, &verdict, Some(&deployment), self.clock.now());
        }
        Ok((verdict, reply))
    }

    /// Of the first request that may be compared by meaning in its partition; not of a huge one.
    fn sketch(&self, visit: &Visit) -> Option<Sketch> {
        let wanted = visit.canon.question.is_ok() && visit.body.len() <= LONGEST_OUTLINED;
        (wanted && !self.cache.outlines.knows(&visit.canon.partition)).then(|| visit.sketch())
    }

    async fn follow(&self, visit: &Visit, mut follower: Follower, same_credential: bool) -> Followed {
        match follower.head().await {
            Ok(head) if head.status.is_success() || same_credential => {
                if head.status.is_success() && !same_credential && !self.may_hit(visit) {
                    return Followed::Nothing;
                }
                Followed::Answer(Box::new(self.read_along(head, follower, visit.policy().headers).1))
            }
            Err(LiveEnd::Failed(kind, why)) => Followed::Fault(Fault::new(kind, why)),
            Ok(_) | Err(_) => Followed::Nothing,
        }
    }

    /// The leader's answer, as it comes.
    pub(super) fn read_along(&self, head: Head, follower: Follower, show: bool) -> (Verdict, Reply) {
        let Head { status, mut headers, deployment } = head;
        if show {
            report::put(&mut headers, &Verdict::Follow, Some(&deployment), self.clock.now());
        }
        (Verdict::Follow, Reply { status, headers, body: ReplyBody::Flow(Box::pin(follower.body())) })
    }

    /// After a flight in another form has landed: what it brought, if it serves.
    async fn look_again(&self, visit: &Visit) -> Option<(Verdict, Reply)> {
        match self.cache.lookup(visit.lookup()).await {
            Looked::Hit(found) if self.may_hit(visit) => Some(self.play(visit, found)),
            _ => None,
        }
    }
}
