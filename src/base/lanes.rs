//! Threads with a runtime each, for work that comes in many small pieces: connections.
//!
//! A runtime that many threads share passes the wait for events from thread to thread: who has got one wakes
//! another to wait, then works, and the next event of the same connection finds the other one. With pieces
//! of a few microseconds that costs more than they do themselves. Here a task stays where it began, as
//! in nginx and Envoy; the price is that a long piece holds up the others of its lane: what it has
//! not begun, and, as writes wait for the end of a turn ([`corked`]), what it had just finished.

use super::corked;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The threads; they end with this, and what still runs on them is dropped.
pub struct Lanes {
    lanes: Arc<[Lane]>,
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

/// One of them. To have it does not keep its thread.
#[derive(Debug)]
pub(super) struct Lane {
    handle: Handle,
    /// Whoever runs here holds one.
    seat: Arc<()>,
}

impl Lane {
    /// Runs `work` where least runs already; here, where there are no lanes.
    pub fn spread<F>(lanes: &[Lane], tracker: &TaskTracker, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(emptiest) = lanes.iter().min_by_key(|lane| Arc::strong_count(&lane.seat)) else {
            tracker.spawn(work);
            return;
        };
        let seat = emptiest.seat.clone();
        let seated = async move {
            work.await;
            drop(seat);
        };
        tracker.spawn_on(seated, &emptiest.handle);
    }
}

impl Lanes {
    /// # Errors
    /// Where the system gives no thread, or nothing to wait for events with.
    pub fn start(count: usize) -> io::Result<Lanes> {
        let stop = CancellationToken::new();
        let (mut lanes, mut threads) = (Vec::new(), Vec::new());
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            corked::take_turns(runtime.handle());
            lanes.push(Lane { handle: runtime.handle().clone(), seat: Arc::new(()) });
            let stopped = stop.clone().cancelled_owned();
            let work = move || {
                runtime.block_on(stopped);
                // Nobody waits for what blocks.
                runtime.shutdown_background();
            };
            threads.push(thread::Builder::new().name(format!("lane-{number}")).spawn(work)?);
        }
        Ok(Lanes { lanes: lanes.into(), threads, stop })
    }

    pub(super) fn all(&self) -> Arc<[Lane]> {
        self.lanes.clone()
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.stop.cancel();
        for thread in self.threads.drain(..) {
            // A panic of the runtime has been told by its hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lanes;
    use crate::base::tasks::Tasks;
    use std::collections::BTreeMap;
    use std::thread;
    use tokio::sync::{mpsc, watch};

    fn name() -> String {
        thread::current().name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn work_goes_where_least_runs_and_ends_with_its_lane() {
        let lanes = Lanes::start(2).unwrap();
        let tasks = Tasks::over(&lanes);
        let (go, wait) = watch::channel(0);
        let (tell, mut told) = mpsc::unbounded_channel();
        // Of four, the two on one lane end; the next two take their places.
        for number in [1, 2, 1, 2] {
            let (mut wait, tell) = (wait.clone(), tell.clone());
            tasks.spread(async move {
                tell.send(name()).unwrap();
                wait.wait_for(|ended| *ended >= number).await.unwrap();
                tell.send("over".to_owned()).unwrap();
            });
        }
        let mut seats = BTreeMap::new();
        for _ in 0..4 {
            *seats.entry(told.recv().await.unwrap()).or_insert(0) += 1;
        }
        assert_eq!(seats, [("lane-0".to_owned(), 2), ("lane-1".to_owned(), 2)].into());
        go.send_replace(1);
        assert_eq!((told.recv().await.unwrap(), told.recv().await.unwrap()), ("over".into(), "over".into()));
        for _ in 0..2 {
            let tell = tell.clone();
            tasks.spread(async move {
                tell.send(name()).unwrap();
                std::future::pending::<()>().await;
            });
        }
        assert_eq!(
            (told.recv().await.unwrap(), told.recv().await.unwrap()),
            ("lane-0".into(), "lane-0".into())
        );
        drop((lanes, tell));
        assert_eq!(told.recv().await, None, "all of it was dropped");
        tasks.drained().await;
    }

    #[tokio::test]
    async fn without_lanes_work_runs_where_it_is_spread() {
        let tasks = Tasks::new();
        let (tell, mut told) = mpsc::unbounded_channel();
        tasks.spread(async move { tell.send(name()).unwrap() });
        assert_eq!(told.recv().await, Some(name()));
    }
}
