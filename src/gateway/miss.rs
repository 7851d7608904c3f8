//! A miss: seats in a flight, and what each does.

use super::errand::{Errand, Keep};
use super::visit::{Sketch, Visit};
use super::{Gateway, Reply, ReplyBody, report};
use crate::base::fault::Fault;
use crate::cache::flight::{Leader, Seat};
use crate::cache::{Looked, Missed, Verdict};
use crate::semantic::embedder::Vector;
use crate::tape::live::{Follower, Head, LiveEnd};
use crate::upstream::{Outgoing, OutgoingBody, Way};
use http::Method;
use std::sync::Arc;

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
        visit: Visit,
        why: Missed,
        vector: Option<Vector>,
    ) -> Result<(Verdict, Reply), Fault> {
        let cap = visit.settings.config.cache.max_entry;
        for _ in 0..ROUNDS {
            match self.cache.flights.seat(visit.canon.exact, visit.form, visit.caller, cap) {
                Seat::Lead(leader) => return self.ask(visit, Verdict::Miss(why), vector, Some(leader)).await,
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
        self.ask(visit, Verdict::Miss(why), vector, None).await
    }

    /// Asks upstream, with a seat in a flight or without, and keeps the answer.
    pub(super) async fn ask(
        self: &Arc<Self>,
        visit: Visit,
        verdict: Verdict,
        vector: Option<Vector>,
        leader: Option<Leader>,
    ) -> Result<(Verdict, Reply), Fault> {
        let show = visit.policy().headers;
        let (terms, sketch) = (visit.terms(), self.sketch(&visit));
        let outgoing = Outgoing {
            method: Method::POST,
            target: visit.target,
            headers: visit.headers,
            body: OutgoingBody::Whole(visit.body),
        };
        let keep = Keep { canon: visit.canon, terms, vector, sketch };
        let errand = Errand {
            settings: visit.settings,
            dialect: visit.dialect,
            caller: visit.caller,
            outgoing,
            keep,
            leader,
        };
        let (way, mut reply) = errand.send(self).await?;
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
            report::put(&mut headers, &Verdict::Follow, Some(&Way::straight(deployment)), self.clock.now());
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
