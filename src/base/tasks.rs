//! Background work that a drain waits for.

use std::future::Future;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Every task of the process is spawned here: `drain` waits for all of them, and `stopping` tells
/// the long-lived ones to end. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    pub fn new() -> Tasks {
        Tasks::default()
    }

    /// Runs `work` until it ends. A drain waits for it; it should watch `stopping` if it is endless.
    pub fn spawn<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(work);
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
