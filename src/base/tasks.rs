//! Background work that a drain waits for.

use super::lanes::{Lane, Lanes};
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Every task of the process is spawned here: `drain` waits for all of them, and `stopping` tells
/// the long-lived ones to end. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    lanes: Arc<[Lane]>,
}

impl Tasks {
    /// All in the runtime that spawns them.
    pub fn new() -> Tasks {
        Tasks::default()
    }

    /// What is spread goes over `lanes`.
    pub fn over(lanes: &Lanes) -> Tasks {
        Tasks { lanes: lanes.all(), ..Tasks::default() }
    }

    /// Runs `work` until it ends, in the caller's runtime. A drain waits for it; it should watch `stopping` if it is
    /// endless.
    pub fn spawn<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(work);
    }

    /// Like `spawn`, in another runtime: the one whose thread waits for what the work was begun with.
    pub fn spawn_in<F>(&self, runtime: &Handle, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn_on(work, runtime);
    }

    /// The same tasks to drain and to stop, spread over no lanes.
    pub fn off_lanes(&self) -> Tasks {
        Tasks { lanes: Arc::default(), ..self.clone() }
    }

    /// Like `spawn`, for one of many alike that each do little at a time: it runs on the lane that has the
    /// fewest of them. What waits for events must be opened within `work`, or another thread gets them.
    pub fn spread<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Lane::spread(&self.lanes, &self.tracker, work);
    }

    /// Completes once the process is going down.
    pub fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Says that the process is going down; running tasks go on.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for every task. The caller sets the time limit.
    pub async fn drained(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
