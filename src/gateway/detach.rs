//! Work that the one who waits for it does himself, until he leaves or others come to depend on it.
//!
//! An errand polled by its client's own task costs no wake-up across threads. But it must outlive the
//! client, and it must not go at the client's pace once others follow it: either way it is detached,
//! and goes on as a task of its own.

use crate::base::tasks::Tasks;
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::Handle;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A handle on the work; clones mean the same work. It ends, whoever polls it or drops what.
#[derive(Clone)]
pub struct Errands {
    slot: Arc<Mutex<Option<Work>>>,
    tasks: Tasks,
    /// Where the work began: its timers and connections stay there, whoever detaches it.
    runtime: Handle,
}

impl Errands {
    /// Within the runtime that will poll it.
    pub fn new(tasks: Tasks) -> Errands {
        Errands { slot: Arc::default(), tasks, runtime: Handle::current() }
    }

    /// The work itself, once; nothing happens until it is polled or detached.
    pub fn set(&self, work: impl Future<Output = ()> + Send + 'static) {
        *self.slot.lock() = Some(Box::pin(work));
    }

    /// Does a piece of it here, if it has not been detached.
    pub fn poll(&self, cx: &mut Context<'_>) {
        let mut slot = self.slot.lock();
        if let Some(work) = slot.as_mut()
            && work.as_mut().poll(cx) == Poll::Ready(())
        {
            *slot = None;
        }
    }

    /// From now on it is a task of its own. Waits for a piece that is being done, microseconds.
    pub fn detach(&self) {
        let work = self.slot.lock().take();
        if let Some(work) = work {
            self.tasks.spawn_in(&self.runtime, work);
        }
    }
}

/// The one who waits for it: when he leaves, the work goes on without him.
pub struct Waiting(pub Errands);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.detach();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn work_outlives_the_one_who_waits() {
        let tasks = Tasks::new();
        let errands = Errands::new(tasks);
        let ((go, wait), (done, ended)) = (oneshot::channel::<()>(), oneshot::channel::<()>());
        errands.set(async move {
            let _ = wait.await;
            let _ = done.send(());
        });
        let waiting = Waiting(errands.clone());
        std::future::poll_fn(|cx| {
            waiting.0.poll(cx);
            Poll::Ready(())
        })
        .await;
        drop(waiting);
        let _ = go.send(());
        ended.await.expect("it went on");
    }

    #[tokio::test]
    async fn detached_work_is_not_done_twice() {
        let errands = Errands::new(Tasks::new());
        let (done, ended) = oneshot::channel();
        errands.set(async move {
            let _ = done.send(());
        });
        errands.detach();
        errands.detach();
        ended.await.expect("once");
    }
}
