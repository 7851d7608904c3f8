//! The task that connects, probes, and connects again.

use super::breaker::Trouble;
use super::line::{Lines, Meaning, meaning_of, within};
use super::{FleetSecret, Shared, State};
use crate::base::digest::{ExactKey, Partition};
use crate::cache::Cache;
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between two attempts: doubled from the first to the last.
const SOONEST: Duration = Duration::from_millis(100);
const LATEST: Duration = Duration::from_secs(1);
/// Between two words with a server that nobody asks anything.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// For what is asked once a connection, besides the probe itself.
pub(super) const UNHURRIED: Duration = Duration::from_secs(1);

impl Shared {
    pub(super) fn keep(self: Arc<Self>, cache: Arc<Cache>) {
        let shared = self.clone();
        self.behind(async move { shared.connect_for_ever(&cache).await });
    }

    async fn connect_for_ever(&self, cache: &Arc<Cache>) {
        let (mut wait, mut known) = (SOONEST, None);
        loop {
            match self.connect(cache).await {
                Ok(lines) => {
                    let meaning = match lines.meaning {
                        Meaning::VectorSets => "its vector sets are searched",
                        Meaning::Stream => "its stream is followed",
                    };
                    tracing::info!("the shared tier flows; {meaning}");
                    let lines = Arc::new(lines);
                    self.breaker.flow(lines.clone());
                    self.proofs.invalidate_all();
                    self.scrub_on();
                    (wait, known) = (SOONEST, Some(State::Flowing));
                    tokio::select! {
                        () = self.breaker.until(|now| *now != State::Flowing) => {}
                        () = self.listen(&lines) => {}
                    }
                }
                Err(trouble) => {
                    // A breaker that was tripped has said so itself.
                    if known.is_none() {
                        tracing::warn!("the shared tier is shut: {trouble}; requests go on without it");
                    }
                    tracing::debug!("no connection to Redis: {trouble}");
                    self.breaker.fail(&trouble);
                    known = Some(State::Shut);
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LATEST);
            self.breaker.probe();
        }
    }

    /// Hears whether the server is there while nobody asks it anything, until the breaker shuts.
    async fn listen(&self, lines: &Arc<Lines>) {
        while self.breaker.state() == State::Flowing {
            tokio::time::sleep(HEARTBEAT).await;
            let (mut line, call) = (lines.read.clone(), redis::cmd("PING"));
            // What it meets is counted there.
            let _ =
                self.timed(lines, "ping", self.timeout, call.query_async::<redis::Value>(&mut line)).await;
        }
    }

    /// Two connections to a server that answers within the time-box, knows the fleet's secret, and has
    /// taken every purge that waited.
    async fn connect(&self, cache: &Arc<Cache>) -> Result<Lines, Trouble> {
        let (read, write) = tokio::join!(self.dialler.dial(), self.dialler.dial());
        let (mut read, mut write) = (read?, write?);
        // The first call wakes both ends; the one that follows is what a look-up would take.
        self.dialler.examine(&mut read, UNHURRIED).await?;
        let name = self.names.entry(&ExactKey([0; 32]));
        within(self.timeout, redis::cmd("GET").arg(name).query_async::<Option<Vec<u8>>>(&mut read)).await?;
        let set = self.names.vectors(&Partition([0; 32]), "");
        let meaning = meaning_of(&mut read, &set, UNHURRIED).await?;
        if let FleetSecret::InRedis { ours, adopt } = &self.secret {
            let before = *ours.lock();
            let held = self.agree(&mut write, &before).await?;
            *ours.lock() = held;
            adopt(held);
        }
        self.deliver(&mut write).await?;
        self.learn_purges(cache, &mut write).await?;
        Ok(Lines { read, write, meaning })
    }

    /// The secret that lies in Redis, put there if there was none.
    async fn agree(&self, line: &mut MultiplexedConnection, ours: &[u8; 32]) -> Result<[u8; 32], Trouble> {
        let name = self.names.secret();
        let mut put = redis::cmd("SET");
        put.arg(&name).arg(ours.as_slice()).arg("NX");
        match within(UNHURRIED, put.query_async::<Option<String>>(line)).await {
            Ok(Some(_)) => self.laid.store(true, Ordering::Relaxed),
            // Where it cannot be put, it may be there all the same.
            Ok(None) | Err(Trouble::Refused(_)) => {}
            Err(trouble) => return Err(trouble),
        }
        let mut read = redis::cmd("GET");
        let held = read.arg(&name).query_async::<Option<Vec<u8>>>(line);
        let held = within(UNHURRIED, held).await?.ok_or_else(|| {
            Trouble::Broken(
                "it holds no secret and takes none; set redis.secret, or let it be written".to_owned(),
            )
        })?;
        held.try_into().map_err(|_| {
            Trouble::Broken(format!("{name} does not hold 32 bytes; delete it, or set redis.secret"))
        })
    }
}
