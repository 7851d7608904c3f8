//! A replica that serves nobody: for commands that work on the Redis of a config while no server runs.
//!
//! It is put together as a server is, so scopes, keys, routes and encryption are what they are there. But it listens
//! nowhere, asks no upstream, writes no file, and holds nobody to a rate or a budget.

use super::{StartError, fleet};
use crate::accounts::Accounts;
use crate::accounts::keys::store::Unkept;
use crate::base::clock::Clock;
use crate::base::secret::{ScopeKey, Secret};
use crate::base::tasks::Tasks;
use crate::cache::Cache;
use crate::cache::shared::bulk::Stopped;
use crate::config::{Config, StorePath};
use crate::gateway::trust::{Trust, Watches};
use crate::gateway::{Gateway, Settings};
use crate::semantic::Semantic;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Upstream;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;

/// The least that one call to Redis may take: no request waits for it.
const UNHURRIED: Duration = Duration::from_secs(2);

/// Bytes of entries that are held at most.
const MEMORY: u64 = 32 << 20;

/// What is to be done, and so what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Export,
    /// With a model, if there is one: for what comes without a vector of it.
    Import,
    Purge,
    /// With a model.
    PurgeNear,
    /// With the fleet's secret, and a model where the config compares by meaning.
    Warm,
}

/// Why nothing can be done.
#[derive(Debug, thiserror::Error)]
pub enum Unready {
    #[error("the config names no Redis; set redis.url, or leave --redis out to reach a server that runs")]
    NoRedis,
    #[error(
        "the config names no upstream, and whose an answer is hangs on it; set [[upstream]], or give --upstream \
         as `reprise serve` gets it"
    )]
    NoUpstream,
    #[error("nothing can be done on {server}: {why}; start it, or correct [redis] of the config")]
    Unreached { server: String, why: Stopped },
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("nothing can be compared by meaning: {0}")]
    NoModel(String),
}

/// One that is ready: Redis is reached. Dropped, its tasks are told to stop.
pub struct Bench {
    gateway: Arc<Gateway>,
    tasks: Tasks,
    without_model: Option<String>,
}

impl Bench {
    /// # Errors
    /// No Redis in the config or at its place, a model that cannot be had, or keys that cannot be read.
    pub async fn open(config: Config, work: Work) -> Result<Bench, Unready> {
        let config = fitted(config, work)?;
        let server = config.redis.as_ref().map(|redis| redis.server.shown()).unwrap_or_default();
        let mut bench = Bench::assemble(config).await?;
        if let Some(shared) = bench.gateway.cache.shared() {
            shared.reached().await.map_err(|why| Unready::Unreached { server, why })?;
        }
        bench.without_model = match (work, bench.load_model(work).await) {
            (_, Ok(())) => None,
            (Work::Import, Err(why)) => Some(why),
            (_, Err(why)) => return Err(Unready::NoModel(why)),
        };
        Ok(bench)
    }

    async fn assemble(config: Config) -> Result<Bench, StartError> {
        let (clock, tasks, metrics) = (Clock::start(), Tasks::new(), Arc::new(Metrics::new()));
        let upstream = Upstream::new(&config, &metrics)?;
        let cache = Arc::new(Cache::new(config.cache.memory, clock.clone(), metrics.clone()));
        let scope_key = fleet::scope_key(&config, rand::random());
        let accounts = accounts(&config, &clock, &metrics, &tasks, &scope_key).await?;
        fleet::join(&config, &scope_key, &cache, (&metrics, &clock), &tasks)
            .await
            .map_err(StartError::RedisCa)?;
        let trust = Trust::new(&config);
        let settings = ArcSwap::from_pointee(Settings { config, upstream, watches: Watches::default() });
        let tasks_of = tasks.clone();
        let gateway = Gateway { settings, cache, accounts, metrics, clock, tasks: tasks_of, trust };
        Ok(Bench { gateway: Arc::new(gateway), tasks, without_model: None })
    }

    async fn load_model(&self, work: Work) -> Result<(), String> {
        let config = &self.gateway.settings.load().config;
        let wanted = match work {
            Work::Export | Work::Purge => false,
            Work::PurgeNear => true,
            Work::Import | Work::Warm => config.wants_semantic(),
        };
        if !wanted {
            return Ok(());
        }
        let mut semantic = config.semantic.clone();
        if work == Work::PurgeNear {
            semantic.threads = 1;
        }
        let loading =
            tokio::task::spawn_blocking(move || Semantic::load_with(&semantic, semantic.runtime.as_deref()));
        match loading.await {
            Ok(Ok(loaded)) => self.gateway.cache.set_semantic(Arc::new(loaded)),
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err("loading the embedding model failed inside its library".to_owned()),
        }
        Ok(())
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    pub fn cache(&self) -> &Arc<Cache> {
        &self.gateway.cache
    }

    /// Why nothing is embedded, where it would have been.
    pub fn without_model(&self) -> Option<&str> {
        self.without_model.as_deref()
    }

    /// Whether the fleet had no secret yet, and has one of ours now.
    pub fn laid_the_secret(&self) -> bool {
        self.cache().shared().is_some_and(|shared| shared.laid_the_secret())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// Keys may lie in a database, which is waited for.
async fn accounts(
    config: &Config,
    clock: &Clock,
    metrics: &Arc<Metrics>,
    tasks: &Tasks,
    scopes: &ScopeKey,
) -> Result<Accounts, Unkept> {
    let (config, clock, metrics) = (config.clone(), clock.clone(), metrics.clone());
    let (tasks, scopes) = (tasks.clone(), scopes.clone());
    let opening = move || Accounts::unbooked(&config, clock, metrics, tasks, &scopes);
    tokio::task::spawn_blocking(opening).await.unwrap_or(Err(Unkept::Nowhere))
}

/// A server's config as the work takes it.
fn fitted(mut config: Config, work: Work) -> Result<Config, Unready> {
    if work == Work::Warm && config.upstreams.is_empty() {
        return Err(Unready::NoUpstream);
    }
    let Some(redis) = &mut config.redis else { return Err(Unready::NoRedis) };
    redis.timeout = redis.timeout.max(UNHURRIED);
    // What others learn is not fetched.
    redis.backlog = 0;
    if work != Work::Warm {
        // Entries keep the scopes that they have: no fleet's secret is asked for, and none is put into Redis.
        redis.secret.get_or_insert_with(|| Secret::new(hex(&rand::random())));
        // Nor does anybody's key matter.
        config.accounts = Default::default();
    }
    // What has been written is not looked at again.
    config.cache.memory = config.cache.memory.min(MEMORY);
    config.store.path = StorePath::Off;
    config.semantic.state = None;
    config.semantic.judge = None;
    Ok(config)
}

fn hex(bytes: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*bytes).to_hex().to_string()
}
