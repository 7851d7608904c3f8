//! The embedder's own threads, behind a bounded queue.
//!
//! ```text
//! embed ─ memo? ─> queue (full: Shed) ─> thread: drop the dead and the late, one pass for the rest
//! embed_idly ────> idle queue ─────────────┘ only when the queue is empty
//! ```

use super::embedder::{EmbedError, Embedder, Vector};
use moka::sync::Cache;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Vectors of recent texts, so that a text asked again skips its pass. About 2 MiB at 512 numbers.
const MEMO: u64 = 1_024;

/// Counters since the start; read with `Ordering::Relaxed`.
#[derive(Debug, Default)]
pub struct PoolMetrics {
    /// Questions waiting now.
    pub queued: AtomicUsize,
    /// Questions turned away: queue full, or waited too long.
    pub shed: AtomicU64,
    /// Questions embedded by a pass.
    pub embedded: AtomicU64,
    /// Questions answered from the memo.
    pub remembered: AtomicU64,
    /// Questions that failed: too long, or a failing model.
    pub failed: AtomicU64,
    /// Passes through the model.
    pub passes: AtomicU64,
    /// Time spent in passes, in microseconds.
    pub busy_micros: AtomicU64,
}

/// Threads that embed. A full queue or a wait beyond `patience` is `Shed` at once; a caller that goes
/// away costs no pass; a panic in the model fails the texts of that pass and nothing else.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

struct Shared {
    waiting: Mutex<Waiting>,
    some: Condvar,
    capacity: usize,
    patience: Duration,
    stop: AtomicBool,
    memo: Cache<[u8; 32], Vector, ahash::RandomState>,
    metrics: PoolMetrics,
}

#[derive(Default)]
struct Waiting {
    /// Somebody waits for these.
    asked: VecDeque<Job>,
    /// Work that may as well be done later: no thread takes one while a question waits.
    idle: VecDeque<Job>,
}

/// Which queue a text goes into.
#[derive(Clone, Copy)]
enum Lane {
    Asked,
    Idle,
}

struct Job {
    text: Arc<str>,
    until: Instant,
    reply: oneshot::Sender<Result<Vector, EmbedError>>,
}

impl Pool {
    /// One thread an embedder. Fails when the system gives no thread.
    pub fn start(
        embedders: Vec<Arc<dyn Embedder>>,
        queue: usize,
        patience: Duration,
    ) -> Result<Pool, std::io::Error> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            some: Condvar::new(),
            capacity: queue,
            patience,
            stop: AtomicBool::new(false),
            memo: Cache::builder().max_capacity(MEMO).build_with_hasher(ahash::RandomState::new()),
            metrics: PoolMetrics::default(),
        });
        let mut pool = Pool { shared, threads: Vec::new() };
        for (at, embedder) in embedders.into_iter().enumerate() {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name(format!("reprise-embed-{at}"));
            // On an error `pool` is dropped and ends the threads already started.
            pool.threads.push(thread.spawn(move || work(&shared, embedder.as_ref()))?);
        }
        Ok(pool)
    }

    /// The vector of `text`, from the memo or by a pass. Waits at most `patience`.
    pub async fn embed(&self, text: impl Into<Arc<str>>) -> Result<Vector, EmbedError> {
        self.embed_within(text, self.shared.patience).await
    }

    /// As `embed`, with another patience.
    pub async fn embed_within(
        &self,
        text: impl Into<Arc<str>>,
        patience: Duration,
    ) -> Result<Vector, EmbedError> {
        self.embed_in(Lane::Asked, text.into(), patience).await
    }

    /// As `embed_within`, for what nobody waits for: whatever else is asked goes first, so that under load it is `Shed` once
    /// `patience` is over, without having cost a pass.
    pub async fn embed_idly(
        &self,
        text: impl Into<Arc<str>>,
        patience: Duration,
    ) -> Result<Vector, EmbedError> {
        self.embed_in(Lane::Idle, text.into(), patience).await
    }

    async fn embed_in(&self, lane: Lane, text: Arc<str>, patience: Duration) -> Result<Vector, EmbedError> {
        let metrics = &self.shared.metrics;
        if let Some(vector) = self.shared.memo.get(blake3::hash(text.as_bytes()).as_bytes()) {
            metrics.remembered.fetch_add(1, Ordering::Relaxed);
            return Ok(vector);
        }
        let (reply, answer) = oneshot::channel();
        if !self.shared.enqueue(lane, Job { text, until: Instant::now() + patience, reply }) {
            metrics.shed.fetch_add(1, Ordering::Relaxed);
            return Err(EmbedError::Shed);
        }
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(EmbedError::Model("the embedder has stopped".to_owned())),
            Err(_) => {
                metrics.shed.fetch_add(1, Ordering::Relaxed);
                Err(EmbedError::Shed)
            }
        }
    }

    pub fn metrics(&self) -> &PoolMetrics {
        &self.shared.metrics
    }
}

impl Drop for Pool {
    /// Lets the passes in progress end, and turns away what waits.
    fn drop(&mut self) {
        {
            let mut waiting = self.shared.waiting.lock();
            self.shared.stop.store(true, Ordering::Relaxed);
            *waiting = Waiting::default();
        }
        self.shared.some.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to hand over.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// False when the queue is full. Those who left are swept out before anyone is turned away.
    fn enqueue(&self, lane: Lane, job: Job) -> bool {
        let mut waiting = self.waiting.lock();
        let queue = match lane {
            Lane::Asked => &mut waiting.asked,
            Lane::Idle => &mut waiting.idle,
        };
        if queue.len() >= self.capacity {
            queue.retain(|job| !job.reply.is_closed());
        }
        if queue.len() >= self.capacity {
            return false;
        }
        queue.push_back(job);
        self.metrics.queued.store(waiting.len(), Ordering::Relaxed);
        drop(waiting);
        self.some.notify_one();
        true
    }

    /// Up to `most` texts whose callers still wait, oldest first; none when the pool stops. Idle work comes one text
    /// at a time, so that a question that arrives meanwhile waits for one pass of one.
    fn take(&self, most: usize) -> Vec<Job> {
        let mut batch = Vec::new();
        let mut waiting = self.waiting.lock();
        loop {
            while batch.len() < most.max(1)
                && let Some(job) = next(&mut waiting.asked)
            {
                batch.push(job);
            }
            if batch.is_empty() {
                batch.extend(next(&mut waiting.idle));
            }
            self.metrics.queued.store(waiting.len(), Ordering::Relaxed);
            if !batch.is_empty() || self.stop.load(Ordering::Relaxed) {
                return batch;
            }
            self.some.wait(&mut waiting);
        }
    }
}

impl Waiting {
    fn len(&self) -> usize {
        self.asked.len() + self.idle.len()
    }
}

/// The oldest whose caller still waits; those that came too late are told so.
fn next(queue: &mut VecDeque<Job>) -> Option<Job> {
    while let Some(job) = queue.pop_front() {
        if job.reply.is_closed() {
            continue;
        }
        if Instant::now() <= job.until {
            return Some(job);
        }
        // The caller's own timer counts it.
        let _ = job.reply.send(Err(EmbedError::Shed));
    }
    None
}

fn work(shared: &Shared, embedder: &dyn Embedder) {
    loop {
        let batch = shared.take(embedder.batch());
        if batch.is_empty() {
            return;
        }
        let began = Instant::now();
        let answers = pass(embedder, &batch);
        let metrics = &shared.metrics;
        let spent = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        metrics.busy_micros.fetch_add(spent, Ordering::Relaxed);
        metrics.passes.fetch_add(1, Ordering::Relaxed);
        for (job, answer) in batch.into_iter().zip(answers) {
            match &answer {
                Ok(vector) => {
                    metrics.embedded.fetch_add(1, Ordering::Relaxed);
                    shared.memo.insert(*blake3::hash(job.text.as_bytes()).as_bytes(), Arc::clone(vector));
                }
                Err(_) => {
                    metrics.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            // A caller that left meanwhile finds the vector in the memo next time.
            let _ = job.reply.send(answer);
        }
    }
}

fn pass(embedder: &dyn Embedder, batch: &[Job]) -> Vec<Result<Vector, EmbedError>> {
    let texts: Vec<&str> = batch.iter().map(|job| job.text.as_ref()).collect();
    let failed = |why: &str| vec![Err(EmbedError::Model(why.to_owned())); texts.len()];
    match catch_unwind(AssertUnwindSafe(|| embedder.embed(&texts))) {
        Ok(answers) if answers.len() == texts.len() => answers,
        Ok(_) => failed("another number of vectors than of texts"),
        Err(_) => failed("it panicked"),
    }
}
