//! A replica that serves nobody: for commands that work on the Redis of a config while no server runs.
//!
//! It is put together as a server is, so scopes, keys, routes and encryption are what they are there. But it listens
//! nowhere, asks no upstream, writes no file, and holds nobody to a rate or a budget.

use super::{StartError, fleet, open_accounts};
use crate::accounts::Accounts;
use crate::base::clock::Clock;
use crate::base::fault::Kind;
use crate::base::secret::Secret;
use crate::base::tasks::Tasks;
use crate::cache::Cache;
use crate::cache::shared::bulk::{PATIENCE, Stopped};
use crate::config::{Config, StorePath};
use crate::gateway::trust::{Trust, Watches};
use crate::gateway::warm::{Brought, Warmed};
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
    /// With a model, if there is one: for the purges by meaning.
    Export,
    /// With a model, if there is one: for those, and for what comes without a vector of it.
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
pub struct Headless {
    gateway: Arc<Gateway>,
    tasks: Tasks,
    without_model: Option<String>,
}

impl Headless {
    /// # Errors
    /// No Redis in the config or at its place, a model that cannot be had, or keys that cannot be read.
    pub async fn open(config: Config, work: Work) -> Result<Headless, Unready> {
        let config = fitted(config, work)?;
        let server = config.redis.as_ref().map(|redis| redis.server.shown()).unwrap_or_default();
        let (model, without_model) = match (work, model(&config, work).await) {
            (_, Ok(model)) => (model, None),
            (Work::Import | Work::Export, Err(why)) => (None, Some(why)),
            (_, Err(why)) => return Err(Unready::NoModel(why)),
        };
        let mut headless = Headless::assemble(config, model).await?;
        headless.without_model = without_model;
        if let Some(shared) = headless.cache().shared() {
            shared.reached().await.map_err(|why| Unready::Unreached { server, why })?;
        }
        Ok(headless)
    }

    async fn assemble(config: Config, model: Option<Semantic>) -> Result<Headless, StartError> {
        let (clock, tasks, metrics) = (Clock::start(), Tasks::new(), Arc::new(Metrics::new()));
        let upstream = Upstream::new(&config, &metrics)?;
        let cache = Arc::new(Cache::new(config.cache.memory, clock.clone(), metrics.clone()));
        // Before the fleet's purges are read: some of them are by meaning.
        if let Some(model) = model {
            cache.set_semantic(Arc::new(model));
        }
        let scope_key = fleet::scope_key(&config, rand::random());
        let accounts =
            open_accounts(Accounts::unbooked, &config, (&clock, &metrics, &tasks), &scope_key).await?;
        fleet::join(&config, &scope_key, &cache, (&metrics, &clock), &tasks)
            .await
            .map_err(StartError::RedisCa)?;
        let trust = Trust::new(&config);
        let settings = ArcSwap::from_pointee(Settings { config, upstream, watches: Watches::default() });
        let tasks_of = tasks.clone();
        let gateway = Gateway { settings, cache, accounts, metrics, clock, tasks: tasks_of, trust };
        Ok(Headless { gateway: Arc::new(gateway), tasks, without_model: None })
    }

    /// Makes an entry of an answer that somebody brings along, for who would get it from a server.
    ///
    /// # Errors
    /// A request that is not cached, an answer that is not kept, or a key that is none, and why.
    pub fn keep(&self, brought: Brought) -> Result<Warmed, String> {
        self.gateway.keep(brought).map_err(|fault| match fault.kind {
            Kind::KeyUnknown => self.no_such_key(),
            _ => fault.message,
        })
    }

    fn no_such_key(&self) -> String {
        let ledger = &self.gateway.settings.load().config.accounts.ledger;
        match (&ledger.url, &ledger.path) {
            (Some(_), _) => "no such key in the database of ledger.url, nor in the config".to_owned(),
            (None, Some(folder)) => format!(
                "no such key in {}, nor in the config; run it where the server's ledger lies, or set ledger.url",
                folder.display()
            ),
            (None, None) => {
                "no such key in the config; set ledger.path or ledger.url as for the server".to_owned()
            }
        }
    }

    pub fn cache(&self) -> &Arc<Cache> {
        &self.gateway.cache
    }

    /// Why nothing is compared by meaning, where it would have been.
    pub fn without_model(&self) -> Option<&str> {
        self.without_model.as_deref()
    }

    /// Whether the fleet had no secret yet, and has one of ours now.
    pub fn laid_the_secret(&self) -> bool {
        self.cache().shared().is_some_and(|shared| shared.laid_the_secret())
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

/// The model that the work takes, if it takes one.
async fn model(config: &Config, work: Work) -> Result<Option<Semantic>, String> {
    let wanted = match work {
        Work::Purge => false,
        Work::PurgeNear => true,
        Work::Export | Work::Import | Work::Warm => config.wants_semantic(),
    };
    if !wanted {
        return Ok(None);
    }
    let mut semantic = config.semantic.clone();
    if matches!(work, Work::PurgeNear | Work::Export) {
        semantic.threads = 1;
    }
    super::loaded(semantic).await.map(Some)
}

/// A server's config as the work takes it.
fn fitted(mut config: Config, work: Work) -> Result<Config, Unready> {
    if work == Work::Warm && config.upstreams.is_empty() {
        return Err(Unready::NoUpstream);
    }
    let Some(redis) = &mut config.redis else { return Err(Unready::NoRedis) };
    redis.timeout = redis.timeout.max(UNHURRIED);
    // One that is busy accepts a connection and says nothing on it for a while.
    redis.connect_timeout = redis.connect_timeout.max(PATIENCE);
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
