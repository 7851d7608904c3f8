//! The whole, put together: built from a config, reloaded, drained.
//!
//! | file | has |
//! |---|---|
//! | `mod` | start, reload, drain |
//! | `store` | the store at the start |
//! | `fleet` | what makes one replica of a fleet out of a process |
//! | `headless` | a replica that serves nobody, for commands on Redis itself |
//! | `limits`, `take.lua`, `tell.lua` | limits of virtual keys over all replicas, in Redis |

mod fleet;
pub mod headless;
mod limits;
mod store;

use crate::accounts::Accounts;
use crate::accounts::keys::store::Unkept;
use crate::base::clock::Clock;
use crate::base::secret::ScopeKey;
use crate::base::tasks::Tasks;
use crate::cache::disk;
use crate::config::{self, Config};
use crate::gateway::trust::{Trust, Unwatchable};
use crate::gateway::{Ask, Gateway, Settings};
use crate::http::admin::{Admin, Readiness};
use crate::http::{Drained, Front};
use crate::http::{api, books, keys};
use crate::semantic::Semantic;
use crate::semantic::pool::PoolMetrics;
use crate::telemetry::metrics::{Metrics, Snapshot};
use crate::telemetry::models::Work;
use crate::upstream::{Unusable, Upstream};
use arc_swap::ArcSwap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}; stop what listens there, or set server.{key}")]
    Listen { address: SocketAddr, key: &'static str, source: io::Error },
    #[error("cannot read redis.ca: {0}; check its path and who may read it")]
    RedisCa(io::Error),
    #[error(transparent)]
    Upstream(#[from] Unusable),
    #[error(transparent)]
    Trust(#[from] Unwatchable),
    #[error(transparent)]
    Store(#[from] disk::Unusable),
    #[error(transparent)]
    Keys(#[from] Unkept),
}

/// How far the embedding model is.
#[derive(Clone, Debug, PartialEq)]
enum Meaning {
    /// No route compares by meaning.
    Unwanted,
    Loading,
    Ready,
    /// Exact only until a restart, and why.
    Failed(String),
}

/// A server that runs. Dropped, it is told to stop; `drain` also waits.
pub struct Running {
    gateway: Arc<Gateway>,
    api: SocketAddr,
    admin: SocketAddr,
    meaning: watch::Receiver<Meaning>,
    restored: watch::Receiver<bool>,
    drained: watch::Receiver<Option<Drained>>,
    tasks: Tasks,
}

/// Starts the server: it listens when this returns, and answers by exact key at once; the embedding
/// model loads behind it (`/readyz` says when it is there). All of it runs in the caller's runtime.
pub async fn start(config: Config) -> Result<Running, StartError> {
    start_with(config, Tasks::new()).await
}

/// The same, with connections on the lanes of `tasks`.
pub async fn start_with(config: Config, tasks: Tasks) -> Result<Running, StartError> {
    let (clock, metrics) = (Clock::start(), Arc::new(Metrics::new()));
    let upstream = Upstream::new(&config, &metrics)?;
    let api = listen(config.server.listen, "listen").await?;
    let admin = listen(config.server.admin_listen, "admin_listen").await?;
    let (cache, secret) = store::open(&config, &clock, &metrics).await?;
    let cache = Arc::new(cache);
    let (memory, reembed_rate) = (config.cache.memory, config.store.reembed_rate);
    let scope_key = fleet::scope_key(&config, secret);
    cache.set_linger(config.longest_stale());
    let accounts = open_accounts(Accounts::open, &config, (&clock, &metrics, &tasks), &scope_key).await?;
    fleet::join(&config, &scope_key, &cache, (&metrics, &clock), &tasks)
        .await
        .map_err(StartError::RedisCa)?;
    if let Some(shared) = cache.shared() {
        accounts.join(Arc::new(limits::Limits::new(shared.clone())));
    }
    let trust = Trust::new(&config);
    let watches = trust.open(&config, None)?;
    let gateway = Arc::new(Gateway {
        settings: ArcSwap::from_pointee(Settings { config, upstream, watches }),
        cache,
        accounts,
        metrics,
        clock,
        tasks: tasks.clone(),
        trust,
    });
    tasks.spawn(gateway.clone().keep_evidence());
    let meaning = load_model(&gateway, &tasks);
    let restored = store::restore(&gateway.cache, memory, reembed_rate, settled(meaning.clone()), &tasks);
    let addresses = (address(&api.0, api.1), address(&admin.0, admin.1));
    serve_admin(&gateway, &meaning, admin, &tasks);
    let drained = serve_api(&gateway, api, &tasks);
    Ok(Running { gateway, api: addresses.0, admin: addresses.1, meaning, restored, drained, tasks })
}

/// How the accounts of a process begin.
type Opening = fn(&Config, Clock, Arc<Metrics>, Tasks, &ScopeKey) -> Result<Accounts, Unkept>;

/// Off the async threads: it reads files, and where replicas keep keys together a database.
async fn open_accounts(
    open: Opening,
    config: &Config,
    (clock, metrics, tasks): (&Clock, &Arc<Metrics>, &Tasks),
    scopes: &ScopeKey,
) -> Result<Accounts, Unkept> {
    let (config, clock, metrics) = (config.clone(), clock.clone(), metrics.clone());
    let (tasks, scopes) = (tasks.clone(), scopes.clone());
    let opening = move || open(&config, clock, metrics, tasks, &scopes);
    tokio::task::spawn_blocking(opening).await.unwrap_or(Err(Unkept::Nowhere))
}

async fn listen(at: SocketAddr, key: &'static str) -> Result<(TcpListener, SocketAddr), StartError> {
    match TcpListener::bind(at).await {
        Ok(listener) => Ok((listener, at)),
        Err(source) => Err(StartError::Listen { address: at, key, source }),
    }
}

/// The port that was really taken, where the config asked for port 0.
fn address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

fn serve_api(
    gateway: &Arc<Gateway>,
    (listener, _): (TcpListener, SocketAddr),
    tasks: &Tasks,
) -> watch::Receiver<Option<Drained>> {
    let (say, drained) = watch::channel(None);
    let config = &gateway.settings.load().config;
    let (limits, drain) = (config.limits.clone(), config.server.drain);
    let (gateway, all) = (gateway.clone(), tasks.clone());
    tasks.spawn(async move {
        let service = move |ask: Ask| {
            let gateway = gateway.clone();
            async move { gateway.serve(ask).await }
        };
        let end = Front::run(listener, service, limits, drain, &all, all.stopping()).await;
        say.send_replace(Some(end));
    });
    drained
}

fn serve_admin(
    gateway: &Arc<Gateway>,
    meaning: &watch::Receiver<Meaning>,
    (listener, asked): (TcpListener, SocketAddr),
    tasks: &Tasks,
) {
    let config = &gateway.settings.load().config;
    let (limits, drain, token) =
        (config.limits.clone(), config.server.drain, config.server.admin_token.clone());
    let (counted, meaning, stopping) = (gateway.clone(), meaning.clone(), tasks.clone());
    let readiness = move || readiness(&meaning.borrow(), stopping.is_stopping());
    let admin = Admin::new(token, readiness, move || counted.metrics.encode(snapshot(&counted)))
        .with(api::routes(gateway.clone()))
        .with(books::routes(gateway.clone()))
        .with(keys::routes(gateway.clone()));
    // Some of what it is asked takes long, and would hold up requests.
    let all = tasks.off_lanes();
    tasks.spawn(async move {
        if let Err(refused) = admin.run(listener, asked, &limits, drain, &all, all.stopping()).await {
            tracing::error!("{refused}");
        }
    });
}

/// Ready as soon as every request is answered as configured. A model that cannot be had leaves the
/// process serving, exact only, and not ready: whoever rolls it out should know.
fn readiness(meaning: &Meaning, stopping: bool) -> Readiness {
    let mut reasons = Vec::new();
    if stopping {
        reasons.push("draining".to_owned());
    }
    match meaning {
        Meaning::Unwanted | Meaning::Ready => {}
        Meaning::Loading => reasons.push("the embedding model is loading".to_owned()),
        Meaning::Failed(why) => reasons.push(why.clone()),
    }
    if reasons.is_empty() { Readiness::Ready } else { Readiness::NotReady(reasons) }
}

fn load_model(gateway: &Arc<Gateway>, tasks: &Tasks) -> watch::Receiver<Meaning> {
    let config = gateway.settings.load();
    if !config.config.wants_semantic() {
        return watch::channel(Meaning::Unwanted).1;
    }
    let (say, meaning) = watch::channel(Meaning::Loading);
    let semantic = config.config.semantic.clone();
    let cache = gateway.cache.clone();
    tasks.spawn(async move {
        let said = match loaded(semantic).await {
            Ok(loaded) => {
                let cross_encoder = loaded.has_cross_encoder();
                tracing::info!(model = loaded.model_name(), cross_encoder, "model loaded");
                cache.set_semantic(Arc::new(loaded));
                Meaning::Ready
            }
            Err(why) => failed(why),
        };
        say.send_replace(said);
    });
    meaning
}

/// The model, loaded off the async threads.
async fn loaded(semantic: config::Semantic) -> Result<Semantic, String> {
    let load = move || Semantic::load_with(&semantic, semantic.runtime.as_deref());
    match tokio::task::spawn_blocking(load).await {
        Ok(loaded) => loaded.map_err(|error| error.to_string()),
        Err(_) => Err("loading the embedding model failed inside its library".to_owned()),
    }
}

/// Completes once the model is loaded, or will not be.
async fn settled(mut meaning: watch::Receiver<Meaning>) {
    // The sender has gone: nothing loads.
    let _ = meaning.wait_for(|now| *now != Meaning::Loading).await;
}

fn failed(why: String) -> Meaning {
    tracing::error!("{why}; requests are answered by exact key only");
    Meaning::Failed(why)
}

fn snapshot(gateway: &Gateway) -> Snapshot {
    let (entries, entry_bytes) = gateway.cache.size();
    gateway.settings.load().upstream.show_states();
    let mut now = Snapshot {
        entries,
        entry_bytes,
        entry_bytes_limit: gateway.settings.load().config.cache.memory,
        flights: gateway.cache.flights.len() as u64,
        ..Snapshot::default()
    };
    if let Some(shared) = gateway.cache.shared() {
        now.shared_state = shared.state().number();
        now.shared_queue = shared.queued();
    }
    if let Some(semantic) = gateway.cache.semantic() {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let work = |pool: &PoolMetrics| Work {
            answered: count(&pool.answered),
            shed: count(&pool.shed),
            time: Duration::from_micros(count(&pool.busy_micros)),
        };
        now.indexed_entries = semantic.index().len() as u64;
        now.partitions = semantic.index().partitions() as u64;
        now.embedder = work(semantic.metrics());
        now.cross_encoder = semantic.cross_metrics().map(work).unwrap_or_default();
        now.embedding_queue = semantic.metrics().queued.load(Ordering::Relaxed) as u64;
    }
    now
}

impl Running {
    pub fn api_addr(&self) -> SocketAddr {
        self.api
    }

    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Background work of the same process; ends when the server stops.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Waits until questions are compared by meaning, or says why they will not be.
    pub async fn semantic_ready(&self) -> Result<(), String> {
        let mut meaning = self.meaning.clone();
        let settled = meaning.wait_for(|now| *now != Meaning::Loading).await;
        match settled.as_deref() {
            Ok(Meaning::Ready) => Ok(()),
            Ok(Meaning::Failed(why)) => Err(why.clone()),
            Ok(Meaning::Unwanted) => Err("no route compares by meaning".to_owned()),
            Ok(Meaning::Loading) | Err(_) => Err("the server stopped while the model was loading".to_owned()),
        }
    }

    /// Waits until memory is filled from the store, as far as it goes.
    pub async fn restored(&self) {
        // Stopped before that: there is nothing to wait for.
        let _ = self.restored.clone().wait_for(|done| *done).await;
    }

    /// Takes a new config. What needs a restart is named in a warning and stays as it is; everything
    /// else holds from the next request on, and no request in progress is touched.
    pub fn reload(&self, config: Config) -> Result<(), StartError> {
        let old = self.gateway.settings.load();
        for key in Config::needs_restart(&old.config, &config) {
            tracing::warn!(key, "changed, but takes a restart");
        }
        let upstream = if config.routes_like(&old.config) {
            old.upstream.clone()
        } else {
            Upstream::new(&config, &self.gateway.metrics)?
        };
        let watches = self.gateway.trust.open(&config, Some(&old.watches))?;
        self.gateway.accounts.reload(&config);
        self.gateway.cache.set_linger(config.longest_stale());
        self.gateway.settings.store(Arc::new(Settings { config, upstream, watches }));
        tracing::info!("config reloaded");
        Ok(())
    }

    /// Applies every change that `watched` brings, until the server stops.
    pub async fn follow(&self, mut watched: watch::Receiver<Arc<Config>>) {
        let mut stopping = std::pin::pin!(self.tasks.stopping());
        loop {
            tokio::select! {
                () = &mut stopping => return,
                changed = watched.changed() => if changed.is_err() { return },
            }
            let config = Config::clone(&watched.borrow_and_update());
            if let Err(error) = self.reload(config) {
                tracing::warn!("config not reloaded: {error}");
            }
        }
    }

    /// Stops taking requests, lets those in progress finish within `server.drain`, and waits for the
    /// background work that they left. Says how many connections had to be cut.
    pub async fn drain(&self) -> usize {
        self.tasks.stop();
        let limit = self.gateway.settings.load().config.server.drain;
        let mut drained = self.drained.clone();
        let cut = drained.wait_for(Option::is_some).await.ok().and_then(|end| end.map(|end| end.cut));
        // Recorders that read on for a client that has left, and embeddings, get the rest of the limit.
        if tokio::time::timeout(limit, self.tasks.drained()).await.is_err() {
            tracing::warn!("background work was still going on at the drain limit");
        }
        self.gateway.accounts.part().await;
        self.gateway.write_evidence().await;
        self.gateway.cache.close().await;
        let gateway = self.gateway.clone();
        // Fails only where the runtime ends at the same time; then dropping the ledger writes the rest.
        let _ = tokio::task::spawn_blocking(move || gateway.accounts.flush()).await;
        cut.unwrap_or(0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}
