//! What a request asks of, and tells, the other replicas. Without `[redis]` each costs one branch.

use super::Gateway;
use super::visit::Visit;
use crate::base::digest::Credential;
use crate::cache::shared::lease::Turn;
use std::time::Duration;

impl Gateway {
    /// A hit needs a caller whom the upstream has accepted lately, here or on another replica.
    pub(super) async fn is_proven(&self, caller: Credential, ttl: Duration) -> bool {
        self.accounts.is_proven(caller, ttl) || self.is_proven_elsewhere(caller, ttl).await
    }

    async fn is_proven_elsewhere(&self, caller: Credential, ttl: Duration) -> bool {
        let Some(shared) = self.cache.shared() else { return false };
        let Some(at) = shared.proven(&caller).await else { return false };
        self.accounts.prove_at(caller, at);
        self.accounts.is_proven(caller, ttl)
    }

    /// The upstream has just accepted this caller.
    pub(super) fn prove(&self, caller: Credential, ttl: Duration) {
        self.accounts.prove(caller);
        if let Some(shared) = self.cache.shared() {
            shared.prove(caller, ttl);
        }
    }

    /// Whose turn it is to ask the upstream, over all replicas.
    pub(super) async fn turn(&self, visit: &Visit) -> Turn {
        match self.cache.shared() {
            Some(shared) => shared.turn(&visit.canon.exact).await,
            None => Turn::Alone,
        }
    }
}
