//! Who asks. Without virtual keys (transparent mode) a caller is the keyed digest of its own
//! credential: the credential itself is never kept.

use crate::base::clock::{Clock, Millis};
use crate::base::digest::{Credential, Parts, Scope};
use crate::base::secret::ScopeKey;
use crate::config::ScopeBy;
use http::HeaderMap;
use std::time::Duration;

/// Request headers that carry a credential, for a provider or for the gateways that stand before one.
const CREDENTIAL_HEADERS: [&str; 9] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-litellm-api-key",
    "x-portkey-api-key",
    "x-bf-vk",
    "cf-aig-authorization",
    "helicone-auth",
];

/// Callers whose last success is remembered; the least used are forgotten first and asked upstream again.
const REMEMBERED: u64 = 100_000;

/// The callers of a process in transparent mode. Which credentials the upstream accepted lately is
/// kept in memory only: after a restart every caller proves itself once more.
#[derive(Debug)]
pub struct Callers {
    /// What digests of credentials are keyed with.
    who: ScopeKey,
    /// What scopes are keyed with.
    scopes: ScopeKey,
    clock: Clock,
    proven: moka::sync::Cache<Credential, Millis, ahash::RandomState>,
}

impl Callers {
    /// Who has not got the keys cannot test a guess.
    pub fn new(who: ScopeKey, scopes: ScopeKey, clock: Clock) -> Callers {
        let proven =
            moka::sync::Cache::builder().max_capacity(REMEMBERED).build_with_hasher(Default::default());
        Callers { who, scopes, clock, proven }
    }

    /// The digest of every credential header there is; all callers without one are the same caller.
    pub fn identify(&self, headers: &HeaderMap) -> Credential {
        let mut parts = Parts::keyed(&self.who.get(), "reprise-credential-1");
        for name in CREDENTIAL_HEADERS {
            for value in headers.get_all(name) {
                parts.part(name, value.as_bytes());
            }
        }
        parts.finish()
    }

    /// Who may share answers with this caller. The namespace, chosen by the client, divides further.
    /// A caller without a team shares with nobody where teams share.
    pub fn scope(
        &self,
        caller: Credential,
        team: Option<&str>,
        by: ScopeBy,
        namespace: Option<&str>,
    ) -> Scope {
        let mut parts = Parts::keyed(&self.scopes.get(), "reprise-scope-1");
        match (by, team) {
            (ScopeBy::Team, Some(team)) => parts.part("team", team.as_bytes()),
            (ScopeBy::Key | ScopeBy::Team, _) => parts.part("key", &caller.0),
            (ScopeBy::Global, _) => parts.part("global", b""),
        };
        if let Some(namespace) = namespace {
            parts.part("namespace", namespace.as_bytes());
        }
        parts.finish()
    }

    /// The upstream accepted this caller just now.
    pub fn prove(&self, caller: Credential) {
        // Writing costs ten times what reading does, and a second makes no difference.
        if !self.is_proven(caller, Duration::from_secs(1)) {
            self.proven.insert(caller, self.clock.now());
        }
    }

    /// The upstream accepted this caller at `at`, by another replica's word.
    pub fn prove_at(&self, caller: Credential, at: Millis) {
        self.proven.insert(caller, at.min(self.clock.now()));
    }

    /// Whether the upstream accepted this caller within `ttl`. Without that a revoked credential could
    /// go on being answered from the cache.
    pub fn is_proven(&self, caller: Credential, ttl: Duration) -> bool {
        self.proven.get(&caller).is_some_and(|at| self.clock.now().since(at) < ttl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Callers {
        Callers::new([7; 32].into(), [7; 32].into(), Clock::start())
    }

    fn bearer(token: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::header::AUTHORIZATION, token.parse().unwrap())])
    }

    #[tokio::test]
    async fn scopes_part_by_credential_and_by_namespace() {
        let accounts = accounts();
        let (a, b) = (accounts.identify(&bearer("Bearer a")), accounts.identify(&bearer("Bearer b")));
        assert_ne!(a, b);
        let scope = |caller, by, namespace| accounts.scope(caller, None, by, namespace);
        assert_ne!(scope(a, ScopeBy::Key, None), scope(b, ScopeBy::Key, None));
        assert_eq!(scope(a, ScopeBy::Global, None), scope(b, ScopeBy::Global, None));
        assert_ne!(scope(a, ScopeBy::Key, None), scope(a, ScopeBy::Key, Some("x")));
        let team = |caller, team| accounts.scope(caller, team, ScopeBy::Team, None);
        assert_eq!(team(a, Some("t")), team(b, Some("t")));
        assert_ne!(team(a, None), team(b, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_proof_wears_off() {
        let accounts = accounts();
        let caller = accounts.identify(&bearer("Bearer a"));
        let ttl = Duration::from_secs(60);
        assert!(!accounts.is_proven(caller, ttl));
        accounts.prove(caller);
        assert!(accounts.is_proven(caller, ttl));
        tokio::time::advance(ttl).await;
        assert!(!accounts.is_proven(caller, ttl));
    }
}
