//! One flight over all replicas: who asks the upstream holds a short lease in Redis.

use super::Shared;
use super::keeper::UNHURRIED;
use super::queue::Write;
use super::write::millis;
use crate::base::digest::ExactKey;
use redis::{RedisResult, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How long a lease outlives a holder that has died. Renewed three times as often.
const LAPSE: Duration = Duration::from_secs(2);
/// Between two looks of one who waits: short at first, for what is almost there.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// Keeps a lease that is still the caller's own.
const RENEW: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) else return 0 end";

/// Whose turn it is to ask the upstream.
pub enum Turn {
    /// Ours; no other replica asks the same as long as this is held.
    Ours(Lease),
    /// Another replica has asked meanwhile, and the answer lies in Redis.
    Answered,
    /// Nobody's: leases are switched off, Redis is away, or the wait was too long.
    Alone,
}

impl Turn {
    fn word(&self) -> &'static str {
        match self {
            Turn::Ours(_) => "ours",
            Turn::Answered => "answered",
            Turn::Alone => "alone",
        }
    }
}

/// Held while the upstream is asked, and renewed until it is dropped. It is given back behind everything that
/// was passed on before, so whoever waits for it to lapse finds the answer.
pub struct Lease {
    shared: Arc<Shared>,
    name: String,
    token: String,
    /// Ends the renewal.
    _held: oneshot::Sender<()>,
}

/// What one look found.
enum Look {
    Acquired,
    Taken,
    /// The entry is there.
    Answered {
        acquired: bool,
    },
    Trouble,
}

impl Shared {
    /// Waits for the turn to ask for an entry: `redis.flight_wait` at most while another replica asks, one
    /// round trip where none does, and not at all where leases are off or Redis is not asked.
    pub async fn turn(self: &Arc<Self>, key: &ExactKey) -> Turn {
        if self.flight_wait.is_zero() || self.breaker.lines().is_none() {
            return Turn::Alone;
        }
        let turn = self.wait_for_turn(key).await;
        self.metrics.shared_lease(turn.word());
        turn
    }

    async fn wait_for_turn(self: &Arc<Self>, key: &ExactKey) -> Turn {
        let (name, entry) = (self.names.lease(key), self.names.entry(key));
        let token = format!("{:016x}", rand::random::<u64>());
        let (until, mut pause) = (Instant::now() + self.flight_wait, FIRST_LOOK);
        loop {
            match self.look(&name, &token, &entry).await {
                Look::Acquired => return Turn::Ours(self.clone().hold(name, token)),
                Look::Answered { acquired } => {
                    if acquired {
                        self.enqueue(Write::Release { name, token });
                    }
                    return Turn::Answered;
                }
                Look::Taken if Instant::now() + pause < until => tokio::time::sleep(pause).await,
                Look::Taken | Look::Trouble => return Turn::Alone,
            }
            pause = (pause * 2).min(LAST_LOOK);
        }
    }

    /// Takes the lease if it is free, and sees whether the entry is there, in one round trip: an entry
    /// that came between our look-up and our lease is not asked for again.
    async fn look(&self, name: &str, token: &str, entry: &str) -> Look {
        let Some(lines) = self.breaker.lines() else { return Look::Trouble };
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(name).arg(token).arg("NX").arg("PX").arg(millis(LAPSE));
        pipe.cmd("EXISTS").arg(entry).ignore_errors();
        let mut line = lines.read.clone();
        let asked = pipe.query_async::<Vec<RedisResult<Value>>>(&mut line);
        let Ok(found) = self.timed(&lines, "lease", self.timeout, asked).await else { return Look::Trouble };
        match found.as_slice() {
            // A call that was late may have taken it all the same: then it lapses.
            [Ok(set), Ok(Value::Int(1))] => Look::Answered { acquired: *set == Value::Okay },
            [Ok(Value::Okay), _] => Look::Acquired,
            [Ok(Value::Nil), _] => Look::Taken,
            _ => Look::Trouble,
        }
    }

    fn hold(self: Arc<Self>, name: String, token: String) -> Lease {
        let (held, mut ended) = oneshot::channel::<()>();
        let (shared, renewed, mine) = (self.clone(), name.clone(), token.clone());
        self.tasks.spawn(async move {
            let renewing = async {
                loop {
                    tokio::time::sleep(LAPSE / 3).await;
                    shared.renew(&renewed, &mine).await;
                }
            };
            tokio::select! {
                _ = &mut ended => {}
                () = renewing => {}
            }
        });
        Lease { shared: self, name, token, _held: held }
    }

    async fn renew(&self, name: &str, token: &str) {
        let Some(lines) = self.breaker.lines() else { return };
        let mut call = redis::cmd("EVAL");
        call.arg(RENEW).arg(1).arg(name).arg(token).arg(millis(LAPSE));
        let mut line = lines.write.clone();
        let asked = call.query_async::<Value>(&mut line);
        // What is not renewed lapses, and somebody else may ask as well: one call too many, nothing lost.
        let _ = self.timed(&lines, "lease", UNHURRIED, asked).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (name, token) = (std::mem::take(&mut self.name), std::mem::take(&mut self.token));
        self.shared.enqueue(Write::Release { name, token });
    }
}
