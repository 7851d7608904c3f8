//! A model's own threads, behind a bounded queue.
//!
//! ```text
//! ask ─ memo? ─> queue (full: Shed) ─> thread: drop the dead and the late, one pass for the rest
//! ask_idly ────> idle queue ─────────────┘ only when the queue is empty
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

/// Answers to recent inputs, so that what is asked again skips its pass. About 2 MiB for vectors of 512 numbers.
const MEMO: u64 = 1_024;

/// A loaded model as a pool runs it. Blocking; called from the pool's own threads only.
pub trait Pass: Send + Sync {
    type Input: Send + Sync + 'static;
    type Output: Clone + Send + Sync + 'static;
    /// How many inputs one pass should take when many wait.
    fn batch(&self) -> usize;
    /// One answer an input, in order.
    fn run(&self, inputs: &[&Self::Input]) -> Vec<Result<Self::Output, EmbedError>>;
    /// What tells one input from another.
    fn digest(input: &Self::Input) -> [u8; 32];
}

/// An embedding model in a pool.
pub struct Embeds(pub Arc<dyn Embedder>);

impl Pass for Embeds {
    type Input = Arc<str>;
    type Output = Vector;

    fn batch(&self) -> usize {
        self.0.batch()
    }

    fn run(&self, texts: &[&Arc<str>]) -> Vec<Result<Vector, EmbedError>> {
        self.0.embed(&texts.iter().map(|text| text.as_ref()).collect::<Vec<_>>())
    }

    fn digest(text: &Arc<str>) -> [u8; 32] {
        *blake3::hash(text.as_bytes()).as_bytes()
    }
}

/// Counters since the start; read with `Ordering::Relaxed`.
#[derive(Debug, Default)]
pub struct PoolMetrics {
    /// Inputs waiting now.
    pub queued: AtomicUsize,
    /// Inputs turned away: queue full, or waited too long.
    pub shed: AtomicU64,
    /// Inputs answered by a pass.
    pub answered: AtomicU64,
    /// Inputs answered from the memo.
    pub remembered: AtomicU64,
    /// Inputs that failed: too long, or a failing model.
    pub failed: AtomicU64,
    /// Passes through the model.
    pub passes: AtomicU64,
    /// Time spent in passes, in microseconds.
    pub busy_micros: AtomicU64,
}

/// Threads that run a model. A full queue or a wait beyond `patience` is `Shed` at once; a caller that goes
/// away costs no pass; a panic in the model fails the inputs of that pass and nothing else.
pub struct Pool<P: Pass> {
    shared: Arc<Shared<P>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

struct Shared<P: Pass> {
    waiting: Mutex<Waiting<P>>,
    some: Condvar,
    capacity: usize,
    patience: Duration,
    stop: AtomicBool,
    memo: Cache<[u8; 32], P::Output, ahash::RandomState>,
    metrics: PoolMetrics,
}

struct Waiting<P: Pass> {
    /// Somebody waits for these.
    asked: VecDeque<Job<P>>,
    /// Work that may as well be done later: no thread takes one while a question waits.
    idle: VecDeque<Job<P>>,
}

/// Which queue an input goes into.
#[derive(Clone, Copy)]
enum Lane {
    Asked,
    Idle,
}

struct Job<P: Pass> {
    input: P::Input,
    until: Instant,
    reply: oneshot::Sender<Result<P::Output, EmbedError>>,
}

impl<P: Pass + 'static> Pool<P> {
    /// One thread a model; `name` is the threads'. Fails when the system gives no thread.
    pub fn start(
        name: &str,
        models: Vec<Arc<P>>,
        queue: usize,
        patience: Duration,
    ) -> Result<Pool<P>, std::io::Error> {
        let shared = Arc::new(Shared {
            waiting: Mutex::new(Waiting { asked: VecDeque::new(), idle: VecDeque::new() }),
            some: Condvar::new(),
            capacity: queue,
            patience,
            stop: AtomicBool::new(false),
            memo: Cache::builder().max_capacity(MEMO).build_with_hasher(ahash::RandomState::new()),
            metrics: PoolMetrics::default(),
        });
        let mut pool = Pool { shared, threads: Vec::new() };
        for (at, model) in models.into_iter().enumerate() {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name(format!("reprise-{name}-{at}"));
            // On an error `pool` is dropped and ends the threads already started.
            pool.threads.push(thread.spawn(move || work(&shared, model.as_ref()))?);
        }
        Ok(pool)
    }

    /// The answer to `input`, from the memo or by a pass. Waits at most `patience`.
    pub async fn ask(&self, input: impl Into<P::Input>) -> Result<P::Output, EmbedError> {
        self.ask_within(input, self.shared.patience).await
    }

    /// As `ask`, with another patience.
    pub async fn ask_within(
        &self,
        input: impl Into<P::Input>,
        patience: Duration,
    ) -> Result<P::Output, EmbedError> {
        self.ask_in(Lane::Asked, input.into(), patience).await
    }

    /// As `ask_within`, for what nobody waits for: whatever else is asked goes first, so that under load it is `Shed` once
    /// `patience` is over, without having cost a pass.
    pub async fn ask_idly(
        &self,
        input: impl Into<P::Input>,
        patience: Duration,
    ) -> Result<P::Output, EmbedError> {
        self.ask_in(Lane::Idle, input.into(), patience).await
    }

    async fn ask_in(&self, lane: Lane, input: P::Input, patience: Duration) -> Result<P::Output, EmbedError> {
        let metrics = &self.shared.metrics;
        if let Some(known) = self.shared.memo.get(&P::digest(&input)) {
            metrics.remembered.fetch_add(1, Ordering::Relaxed);
            return Ok(known);
        }
        let (reply, answer) = oneshot::channel();
        if !self.shared.enqueue(lane, Job { input, until: Instant::now() + patience, reply }) {
            metrics.shed.fetch_add(1, Ordering::Relaxed);
            return Err(EmbedError::Shed);
        }
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(EmbedError::Model("its threads have stopped".to_owned())),
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

impl<P: Pass> Drop for Pool<P> {
    /// Lets the passes in progress end, and turns away what waits.
    fn drop(&mut self) {
        {
            let mut waiting = self.shared.waiting.lock();
            self.shared.stop.store(true, Ordering::Relaxed);
            waiting.asked.clear();
            waiting.idle.clear();
        }
        self.shared.some.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to hand over.
            let _ = thread.join();
        }
    }
}

impl<P: Pass> Shared<P> {
    /// False when the queue is full. Those who left are swept out before anyone is turned away.
    fn enqueue(&self, lane: Lane, job: Job<P>) -> bool {
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

    /// Up to `most` inputs whose callers still wait, oldest first; none when the pool stops. Idle work comes one input
    /// at a time, so that a question that arrives meanwhile waits for one pass of one.
    fn take(&self, most: usize) -> Vec<Job<P>> {
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

impl<P: Pass> Waiting<P> {
    fn len(&self) -> usize {
        self.asked.len() + self.idle.len()
    }
}

/// The oldest whose caller still waits; those that came too late are told so.
fn next<P: Pass>(queue: &mut VecDeque<Job<P>>) -> Option<Job<P>> {
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

fn work<P: Pass>(shared: &Shared<P>, model: &P) {
    loop {
        let batch = shared.take(model.batch());
        if batch.is_empty() {
            return;
        }
        let began = Instant::now();
        let answers = pass(model, &batch);
        let metrics = &shared.metrics;
        let spent = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        metrics.busy_micros.fetch_add(spent, Ordering::Relaxed);
        metrics.passes.fetch_add(1, Ordering::Relaxed);
        for (job, answer) in batch.into_iter().zip(answers) {
            match &answer {
                Ok(answer) => {
                    metrics.answered.fetch_add(1, Ordering::Relaxed);
                    shared.memo.insert(P::digest(&job.input), answer.clone());
                }
                Err(_) => {
                    metrics.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            // A caller that left meanwhile finds the answer in the memo next time.
            let _ = job.reply.send(answer);
        }
    }
}

fn pass<P: Pass>(model: &P, batch: &[Job<P>]) -> Vec<Result<P::Output, EmbedError>> {
    let inputs: Vec<&P::Input> = batch.iter().map(|job| &job.input).collect();
    let failed = |why: &str| vec![Err(EmbedError::Model(why.to_owned())); inputs.len()];
    match catch_unwind(AssertUnwindSafe(|| model.run(&inputs))) {
        Ok(answers) if answers.len() == inputs.len() => answers,
        Ok(_) => failed("another number of answers than of inputs"),
        Err(_) => failed("it panicked"),
    }
}
