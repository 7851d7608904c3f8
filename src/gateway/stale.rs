//! An expired answer in place of an error: `cache.stale_if_error` (RFC 5861 §4).

use super::visit::Visit;
use super::{Gateway, Reply};
use crate::base::digest::{ExactKey, Partition};
use crate::base::fault::{Fault, Kind};
use crate::cache::{Found, Verdict};
use crate::wire::request::Form;
use http::HeaderMap;
use std::time::Duration;

/// What is needed to look for an expired answer once the upstream has failed.
pub(super) struct Ground {
    exact: ExactKey,
    partition: Partition,
    form: Form,
    limit: Duration,
    show: bool,
    /// For the coding of the answer.
    asked: HeaderMap,
}

impl Gateway {
    /// `None` where the route allows no expired answer, or the client none older than it says, or where
    /// its credential has not been accepted lately. One branch where the route does not.
    pub(super) async fn ground(&self, visit: &Visit) -> Option<Ground> {
        let policy = visit.policy();
        let limit = policy.stale_if_error;
        if limit.is_zero()
            || policy.observes()
            || visit.wishes.max_age.is_some()
            || visit.wishes.min_fresh.is_some()
        {
            return None;
        }
        self.may_hit(visit).await.then(|| Ground {
            exact: visit.canon.exact,
            partition: visit.canon.partition,
            form: visit.form,
            limit,
            show: policy.headers,
            asked: visit.headers.clone(),
        })
    }

    /// The answer as it is, or, where the upstream failed, the expired one that stands in for it.
    pub(super) fn or_stale(
        &self,
        ground: Option<Ground>,
        answered: Result<(Verdict, Reply), Fault>,
    ) -> Result<(Verdict, Reply), Fault> {
        let (Some(ground), true) = (ground, failed(&answered)) else { return answered };
        let Some(found) = self.cache.stale(&ground.exact, &ground.partition, ground.form, ground.limit)
        else {
            return answered;
        };
        self.metrics.served_stale();
        tracing::warn!(model = %found.entry.model, "the upstream failed: an expired answer was served");
        let Found { entry, tier, score, playback, .. } = found;
        self.count_saved(entry.usage());
        let verdict = Verdict::Hit { entry, tier, score };
        Ok(self.stored(&ground.asked, playback, verdict, None, ground.show))
    }
}

/// The errors of RFC 5861, ours on behalf of the upstream among them.
fn failed(answered: &Result<(Verdict, Reply), Fault>) -> bool {
    match answered {
        Ok((_, reply)) => matches!(reply.status.as_u16(), 500 | 502 | 503 | 504 | 529),
        Err(fault) => matches!(
            fault.kind,
            Kind::UpstreamUnreachable
                | Kind::UpstreamTimeout
                | Kind::UpstreamBroke
                | Kind::UpstreamClosed
                | Kind::Overloaded
        ),
    }
}
