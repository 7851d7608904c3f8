//! What makes one replica of a fleet out of a process: the key of its scopes, and the tier that it shares.

use super::store::keyed_by_upstream;
use crate::base::clock::Clock;
use crate::base::secret::{Replaced, ScopeKey};
use crate::base::tasks::Tasks;
use crate::cache::Cache;
use crate::cache::codec::Keys;
use crate::cache::shared::{Around, FleetSecret, Shared};
use crate::config::Config;
use crate::telemetry::metrics::Metrics;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// The one place that decides what scopes are keyed with: `redis.secret` where it is set, so that all
/// replicas agree without asking anybody; else `own`, which the store keeps over a restart, and in place of which a
/// fleet takes what lies in Redis (`join`).
pub(super) fn scope_key(config: &Config, own: [u8; 32]) -> ScopeKey {
    let given = config.redis.as_ref().and_then(|redis| redis.secret.as_ref());
    match given {
        Some(secret) => {
            let secret = blake3::derive_key("reprise 2026-11 scopes: fleet", secret.expose().as_bytes());
            keyed_by_upstream(&secret, &config.upstreams).into()
        }
        None => own.into(),
    }
}

/// Starts the shared tier, if the config has one. Where the fleet's secret lies in Redis, waits for the first
/// attempt to reach it, `redis.connect_timeout` and some at most: what is admitted before it is known
/// would be found no more.
///
/// # Errors
/// `redis.ca` cannot be read.
pub(super) async fn join(
    config: &Config,
    key: &ScopeKey,
    cache: &Arc<Cache>,
    (metrics, clock): (&Arc<Metrics>, &Clock),
    tasks: &Tasks,
) -> io::Result<()> {
    let Some(redis) = &config.redis else { return Ok(()) };
    let secret = match &redis.secret {
        Some(_) => FleetSecret::Given,
        None => {
            let (adopted, upstreams) = (key.clone(), config.upstreams.clone());
            let adopt = move |held: [u8; 32]| {
                if adopted.replace(keyed_by_upstream(&held, &upstreams)) == Replaced::Yes {
                    tracing::info!("scopes are keyed with the fleet's secret, from Redis");
                }
            };
            FleetSecret::InRedis { ours: Mutex::new(rand::random()), adopt: Box::new(adopt) }
        }
    };
    let in_redis = matches!(secret, FleetSecret::InRedis { .. });
    let store = &config.store;
    let around = Around {
        secret,
        keys: Keys::of(store.encryption_key.as_ref(), store.encryption_key_old.as_ref()),
        metrics: metrics.clone(),
        clock: clock.clone(),
    };
    let shared = Shared::start(redis, around, cache, tasks)?;
    if in_redis {
        // Past the limit the start goes on; the secret is adopted when Redis is there.
        let _ = tokio::time::timeout(redis.connect_timeout, shared.tried()).await;
    }
    Ok(())
}
