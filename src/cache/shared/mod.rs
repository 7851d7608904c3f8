//! L3: what replicas share through one Redis.
//!
//! ```text
//! look-up: L1 ─ miss ─┬ GET, by exact key ─────────────┬─ hit ─> warms L1 and L2
//!                     └ embedding ─> L2 ─ miss ─> VSIM ┘  (Redis 8; else a stream fills L2 beforehand)
//! admit:   L1, L2 ─> queue (bounded) ─> writer: SET, and VADD or XADD
//! miss:    lease (SET NX) ─ ours ─> upstream
//!                         └ another replica's ─> wait for its entry, or for the lease to lapse
//! purge:   DEL, and a stream that every replica follows
//! ```
//!
//! Promises: a request waits `redis.timeout` at most for each look-up, and not at all while the breaker
//! is shut; connecting, writing and following happen behind it. Any fault is a miss with a metric, and one
//! line in the log for each change of state. An entry is served only to the partition and key that it was
//! written for. What other replicas learn is eventual; a purge that could not be delivered is
//! delivered before Redis is asked again. `docs/CACHING.md` has the whole.
//!
//! | file | has |
//! |---|---|
//! | `names` | the names of everything that lies in Redis |
//! | `line` | connections, and what the server can do |
//! | `breaker` | whether Redis is asked: flowing, probing, shut |
//! | `keeper` | the task that connects, probes and connects again |
//! | `read` | look-ups: by exact key, by vector |
//! | `cascade` | the cascade of a look-up with this tier in it |
//! | `queue`, `write` | what waits to be written, and writing it |
//! | `follow` | what other replicas admit and purge |
//! | `purge` | purges that hold for what is read from now on |
//! | `report` | reports that hold on every replica |
//! | `lease` | one flight over all replicas |
//! | `counters` | numbers that others keep beside the entries |
//! | `bulk` | work on all that lies in Redis, for commands |

pub mod breaker;
pub mod bulk;
mod cascade;
mod counters;
mod follow;
mod keeper;
pub mod lease;
mod line;
pub mod names;
mod purge;
mod queue;
mod read;
mod report;
mod write;

pub use breaker::State;
pub use line::Meaning;

use super::Cache;
use super::codec::{Embedding, Keys};
use super::entry::Entry;
use crate::base::clock::{Clock, Millis};
use crate::base::digest::Credential;
use crate::base::tasks::Tasks;
use crate::config::{Redis, RedisServer};
use crate::telemetry::metrics::Metrics;
use breaker::{Breaker, Trouble};
use keeper::UNHURRIED;
use line::{Dialler, Lines, within};
use names::Names;
use parking_lot::Mutex;
use purge::{Rules, Waiting};
use queue::{Queue, Write};
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How the secret that scopes are keyed with is agreed on.
pub enum FleetSecret {
    /// Every replica has it from its config.
    Given,
    /// Whoever comes first puts `ours` into Redis, and all others take it from there; a Redis that has lost it is
    /// given it back. `adopt` is called with what holds each time Redis is reached, before anything is asked
    /// of it.
    InRedis { ours: Mutex<[u8; 32]>, adopt: Box<dyn Fn([u8; 32]) + Send + Sync> },
}

/// Who waits for an answer of Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A request: `redis.timeout`, on the connection of look-ups.
    Request,
    /// Nobody: a second, on the writer's connection, so that no request stands behind it.
    Nobody,
}

/// The shared tier of one process. Every method may be called from any number of tasks.
pub struct Shared {
    names: Names,
    breaker: Breaker,
    dialler: Dialler,
    secret: FleetSecret,
    /// The secret in Redis is one of ours: there was none.
    laid: AtomicBool,
    keys: Keys,
    timeout: Duration,
    flight_wait: Duration,
    backlog: usize,
    queue: Queue,
    rules: Rules,
    waiting: Waiting,
    /// What is shared; it owns this.
    cache: Weak<Cache>,
    /// How far the stream of purges has been read.
    purges_read: Mutex<Option<String>>,
    /// When each caller's proof was last passed on; empty after a reconnection, for Redis may be too.
    proofs: moka::sync::Cache<Credential, Millis, ahash::RandomState>,
    /// Tells our own admissions on the stream from those of others.
    replica: [u8; 8],
    metrics: Arc<Metrics>,
    clock: Clock,
    tasks: Tasks,
}

/// Between two looks at a queue that is filling up.
const PAUSE: Duration = Duration::from_millis(5);
/// Callers whose proof is known to be passed on.
const PROOFS: u64 = 10_000;

/// What is needed beside the settings.
pub struct Around {
    pub secret: FleetSecret,
    /// What entries are encrypted with.
    pub keys: Keys,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
}

impl Shared {
    /// Begins to connect, to write and to follow, each as a task of its own; none holds up the start.
    ///
    /// # Errors
    /// `redis.ca` cannot be read.
    pub fn start(
        config: &Redis,
        around: Around,
        cache: &Arc<Cache>,
        tasks: &Tasks,
    ) -> io::Result<Arc<Shared>> {
        let (queue, writes) = Queue::new();
        let shared = Arc::new(Shared {
            names: match config.server {
                RedisServer::Cluster { .. } => Names::tagged(&config.prefix),
                _ => Names::new(&config.prefix),
            },
            breaker: Breaker::default(),
            dialler: Dialler::new(config)?,
            secret: around.secret,
            laid: AtomicBool::new(false),
            keys: around.keys,
            timeout: config.timeout,
            flight_wait: config.flight_wait,
            backlog: config.backlog,
            queue,
            rules: Rules::default(),
            waiting: Waiting::default(),
            cache: Arc::downgrade(cache),
            purges_read: Mutex::default(),
            proofs: moka::sync::Cache::builder().max_capacity(PROOFS).build_with_hasher(Default::default()),
            replica: rand::random(),
            metrics: around.metrics,
            clock: around.clock,
            tasks: tasks.clone(),
        });
        cache.share_through(shared.clone());
        cache.set_fleet(shared.clone());
        shared.clone().keep(cache.clone());
        shared.clone().write_behind(writes);
        shared.clone().follow(cache.clone());
        Ok(shared)
    }

    fn line(&self, lines: &Lines, wait: Wait) -> (MultiplexedConnection, Duration) {
        match wait {
            Wait::Request => (lines.read.clone(), self.timeout),
            Wait::Nobody => (lines.write.clone(), UNHURRIED),
        }
    }

    pub fn state(&self) -> State {
        self.breaker.state()
    }

    /// What this server offers; `None` while it is not asked.
    pub fn meaning(&self) -> Option<Meaning> {
        self.breaker.lines().map(|lines| lines.meaning)
    }

    /// Completes when the breaker is in `state`.
    pub async fn until(&self, state: State) {
        self.breaker.until(|now| *now == state).await;
    }

    /// Completes when the first attempt to connect has come to something.
    pub async fn tried(&self) {
        self.breaker.until(|now| *now != State::Probing).await;
    }

    /// Whether Redis held no secret when it was reached, and holds one of ours since.
    pub fn laid_the_secret(&self) -> bool {
        self.laid.load(Ordering::Relaxed)
    }

    /// The connections, while Redis is asked.
    pub(super) fn lines(&self) -> Option<Arc<Lines>> {
        self.breaker.lines()
    }

    /// Completes when at most half of the queue is taken, or Redis is not asked: for who brings many entries and
    /// can wait.
    pub async fn room(&self) {
        while self.queue.is_half_full() && self.breaker.lines().is_some() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes that wait.
    pub fn queued(&self) -> u64 {
        self.queue.waiting()
    }

    /// Passes an entry on to the other replicas, behind the request. Without an embedding it is found by
    /// its exact key only.
    pub fn put(&self, entry: Arc<Entry>, embedding: Option<Embedding>) {
        self.enqueue(Write::Entry { entry, embedding });
    }

    /// Tells the other replicas that the upstream has accepted a caller just now; again only after an eighth
    /// of the proof's life. Costs one hash look-up.
    pub fn prove(&self, caller: Credential, ttl: Duration) {
        let now = self.clock.now();
        if self.proofs.get(&caller).is_some_and(|told| now.since(told) < ttl / 8) {
            return;
        }
        if self.enqueue(Write::Proof { name: self.names.proof(&caller), at: now, ttl }) {
            self.proofs.insert(caller, now);
        }
    }

    /// When another replica last saw a caller accepted, if that is known in time.
    pub async fn proven(&self, caller: &Credential) -> Option<Millis> {
        let lines = self.breaker.lines()?;
        let mut call = redis::cmd("GET");
        call.arg(self.names.proof(caller));
        let mut line = lines.read.clone();
        let asked = call.query_async::<Option<u64>>(&mut line);
        self.timed(&lines, "proof", self.timeout, asked).await.ok().flatten().map(Millis)
    }

    /// False where it was dropped, which is counted.
    fn enqueue(&self, write: Write) -> bool {
        if self.breaker.lines().is_none() {
            self.metrics.shared_write(Trouble::Shut.word());
            return false;
        }
        let queued = self.queue.push(write);
        if !queued {
            self.metrics.shared_write("full");
        }
        queued
    }

    /// One call: time-boxed, counted, and shutting the breaker where it must.
    async fn timed<T>(
        &self,
        lines: &Arc<Lines>,
        call: &'static str,
        limit: Duration,
        work: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Trouble> {
        let done = within(limit, work).await;
        match &done {
            Ok(_) => self.breaker.good(),
            Err(trouble) => self.met(lines, call, trouble),
        }
        done
    }

    /// Counts what a call met, and shuts the breaker where it must.
    fn met(&self, lines: &Arc<Lines>, call: &'static str, trouble: &Trouble) {
        self.metrics.shared_trouble(call, trouble.word());
        if self.breaker.met(lines, trouble) {
            tracing::warn!("the shared tier is shut: {trouble}; requests go on without it");
        }
    }

    /// Runs `work` until the process goes down.
    fn behind(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.tasks.stopping();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stopping => {}
                () = work => {}
            }
        });
    }
}
