//! A miss: seats in a flight, and what each does.

use super::errand::{Errand, Keep};
use super::trust::Count;
use super::trust::audit::{Of, Shadow};
use super::visit::{Sketch, Visit};
use super::{Gateway, Reply, ReplyBody, report};
use crate::accounts::Tab;
use crate::accounts::row::Ended;
use crate::base::fault::Fault;
use crate::cache::flight::{Leader, Seat};
use crate::cache::shared::lease::{Lease, Turn};
use crate::cache::{Embedding, Found, Looked, Missed, Verdict};
use crate::tape::live::{Follower, Head, LiveEnd};
use crate::upstream::{Outgoing, OutgoingBody, Way};
use http::{Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Seats taken at most before a request goes alone: a flight that is abandoned again and again must
/// not hold anyone for ever.
const ROUNDS: usize = 4;

/// Bytes of a body whose context is outlined: reading it again takes a millisecond at most.
const LONGEST_OUTLINED: usize = 256 << 10;

/// Where the one who asks sits.
pub(super) enum Seated {
    /// For itself: nobody may follow.
    Nowhere,
    /// In front of a flight, and, with a lease, of all replicas.
    InFront { leader: Leader, lease: Option<Lease> },
}

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
            return self.ask(visit, Verdict::Miss(why), embedding, Seated::Nowhere, shadow).await;
        }
        let cap = visit.settings.config.cache.max_entry;
        for _ in 0..ROUNDS {
            match self.cache.flights.seat(visit.canon.exact, visit.form, visit.caller, cap) {
                Seat::Lead(leader) => {
                    if let Some(found) = self.landed(&visit, why).await {
                        return Ok(self.hit(visit, found));
                    }
                    let shadow = shadow(&visit);
                    return self.lead(visit, why, embedding, shadow, leader).await;
                }
                Seat::Alone => break,
                Seat::Follow { follower, same_credential } => {
                    self.metrics.followed();
                    match self.follow(&visit, follower, same_credential).await {
                        Followed::Answer(reply) => return Ok((Verdict::Follow, *reply)),
                        Followed::Fault(fault) => {
                            visit.tab.followed(Ended::Failed, None);
                            return Err(fault);
                        }
                        // The leader may have found the answer on another replica.
                        Followed::Nothing if self.cache.shared().is_some() => {
                            if let Some(answer) = self.look_again(&visit).await {
                                return Ok(answer);
                            }
                        }
                        Followed::Nothing => {
                            if let Some(found) = self.landed(&visit, why).await {
                                return Ok(self.hit(visit, found));
                            }
                        }
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
        self.ask(visit, Verdict::Miss(why), embedding, Seated::Nowhere, shadow).await
    }

    /// What a flight brought that landed after the cache was asked. Who was missed for want of a proof has been asked
    /// for one just now.
    async fn landed(&self, visit: &Visit, why: Missed) -> Option<Found> {
        if why == Missed::Unproven {
            return None;
        }
        let found = self.cache.at_hand(&visit.lookup())?;
        self.may_hit(visit).await.then_some(found)
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
        self.ask(visit, Verdict::Miss(Missed::Observed), Embedding::NotAsked, Seated::Nowhere, shadow).await
    }

    /// Asks for everybody on this replica, when it is this replica's turn.
    async fn lead(
        self: &Arc<Self>,
        visit: Box<Visit>,
        why: Missed,
        embedding: Embedding,
        shadow: Option<Shadow>,
        leader: Leader,
    ) -> Result<(Verdict, Reply), Fault> {
        let lease = match self.turn(&visit).await {
            Turn::Ours(lease) => Some(lease),
            Turn::Alone => None,
            Turn::Answered => match self.look_again(&visit).await {
                Some(answer) => return Ok(answer),
                None => None,
            },
        };
        self.ask(visit, Verdict::Miss(why), embedding, Seated::InFront { leader, lease }, shadow).await
    }

    /// Asks upstream, with a seat in a flight or without, and keeps the answer.
    pub(super) async fn ask(
        self: &Arc<Self>,
        visit: Box<Visit>,
        verdict: Verdict,
        embedding: Embedding,
        seated: Seated,
        shadow: Option<Shadow>,
    ) -> Result<(Verdict, Reply), Fault> {
        let show = visit.policy().headers;
        visit.tab.ask(verdict.word(), &visit.body).await?;
        let (mut terms, sketch) = (visit.terms(), self.sketch(&visit));
        if matches!(verdict, Verdict::Miss(Missed::Observed)) {
            // Served, this answer would never have been: what is stored stays what it would be.
            terms.ttl = Duration::ZERO;
        }
        let Visit { settings, dialect, target, headers, body, caller, canon, tab, .. } = *visit;
        let outgoing = Outgoing { method: Method::POST, target, headers, body: OutgoingBody::Whole(body) };
        let keep = Some(Keep { canon, terms, embedding, sketch, shadow });
        let (leader, lease) = match seated {
            Seated::Nowhere => (None, None),
            Seated::InFront { leader, lease } => (Some(leader), lease),
        };
        let errand = Box::new(Errand { settings, dialect, caller, keep, leader, lease, tab });
        let (way, mut reply) = errand.send(outgoing, self).await?;
        if show {
            report::put(&mut reply.headers, &verdict, Some(&way), self.clock.now());
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
                if head.status.is_success() && !same_credential && !self.may_hit(visit).await {
                    return Followed::Nothing;
                }
                book_follower(&follower, visit.tab.hand_over(), head.status);
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
            report::put(&mut headers, &Verdict::Follow, Some(&Way::straight(deployment)), self.clock.now());
        }
        (Verdict::Follow, Reply { status, headers, body: ReplyBody::Flow(Box::pin(follower.body())) })
    }

    /// After a flight in another form has landed: what it brought, if it serves.
    async fn look_again(&self, visit: &Visit) -> Option<(Verdict, Reply)> {
        match self.cache.lookup(visit.lookup()).await {
            Looked::Hit(found) if self.may_hit(visit).await => Some(self.play(visit, found)),
            _ => None,
        }
    }
}

/// Books a follower once its flight has ended, whether it stays that long or not.
pub(super) fn book_follower(follower: &Follower, tab: Tab, status: StatusCode) {
    follower.reckon(move |end, usage| {
        let ended = match (status.is_success(), end) {
            (false, _) => Ended::Failed,
            (true, LiveEnd::Complete) => Ended::Whole,
            (true, _) => Ended::Cut,
        };
        tab.followed(ended, usage);
    });
}
