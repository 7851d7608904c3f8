//! Work on Redis itself, for a command that no server runs for: all entries read, written or deleted.
//!
//! Unlike a request, a command wants the whole of it and can wait. So nothing here goes over the queue: every call has
//! ten seconds on a connection of its own, what was written has been acknowledged, and the first trouble ends the
//! work with an error. Memory is bounded by a step: some entries at a time.
//!
//! | file | has |
//! |---|---|
//! | `mod` | the connection, going through all entries, writing some of them |
//! | `warm` | answers that a command has kept |
//! | `export` | all fresh entries, as an export |
//! | `import` | an export's entries |
//! | `purge` | what an order names, deleted here and on every replica |

mod export;
mod import;
mod purge;
mod warm;

pub use export::{Export, Exported};
pub use import::Import;
pub use purge::{Purged, Unpurged};
pub use warm::{Warm, Written};

use super::breaker::Trouble;
use super::line::{Meaning, meaning_of, within};
use super::write::{Answer, Put};
use super::{Shared, State};
use crate::base::digest::{ExactKey, Partition};
use crate::cache::Cache;
use crate::cache::codec::Embedding;
use crate::cache::entry::Entry;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// For one call: a server that is busy, or saving, is waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Names asked for in one step.
const STEP: usize = 1_000;
/// Entries fetched at once: a few dozen MiB, were each as large as `cache.max_entry`.
const FETCHED: usize = 16;

/// Why the work ended before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped(Trouble);

impl std::error::Error for Stopped {}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Trouble::Shut => f.write_str("Redis is not connected; is it there?"),
            Trouble::Late => {
                f.write_str("Redis does not answer in time; see what keeps it, and run it again")
            }
            Trouble::Broken(why) => write!(f, "Redis is not reached: {why}"),
            Trouble::Refused(code) => write!(f, "Redis answers with {code}{}", remedy(code)),
        }
    }
}

/// Whether it is likely to end by itself.
fn passes(why: &Trouble) -> bool {
    match why {
        Trouble::Late => true,
        Trouble::Refused(code) => matches!(code.as_str(), "LOADING" | "BUSY"),
        Trouble::Shut | Trouble::Broken(_) => false,
    }
}

fn remedy(code: &str) -> &'static str {
    match code {
        "OOM" => "; raise its maxmemory, or purge something",
        "READONLY" => "; name its master in redis.url",
        "NOPERM" => "; give redis.username the right to it",
        "MISCONF" => "; it cannot save to its disk, see its log",
        "LOADING" => "; wait until it has read its data",
        "ASK" | "MOVED" | "TRYAGAIN" => {
            "; its slot is moving to another node: run it again when it has, for some may be there already"
        }
        "NOAUTH" => "; set redis.username and redis.password",
        _ => "; see its log",
    }
}

/// The connection that the work goes over.
pub(super) struct Bulk {
    shared: Arc<Shared>,
    line: MultiplexedConnection,
    meaning: Meaning,
}

/// How far all entries have been gone through.
struct Walk {
    pattern: String,
    cursor: u64,
    begun: bool,
    ended: bool,
    /// Found, and not fetched yet.
    names: Vec<String>,
}

impl Shared {
    /// Completes when Redis is asked. One that is there and busy is waited for.
    ///
    /// # Errors
    /// It cannot be reached, or not be used.
    pub async fn reached(&self) -> Result<(), Stopped> {
        let begun = Instant::now();
        loop {
            self.tried().await;
            if self.state() == State::Flowing {
                return Ok(());
            }
            let why = self.breaker.why().unwrap_or(Trouble::Shut);
            if !passes(&why) || begun.elapsed() >= PATIENCE {
                return Err(Stopped(why));
            }
            self.breaker.until(|now| *now != State::Shut).await;
        }
    }

    pub(super) async fn bulk(self: &Arc<Self>) -> Result<Bulk, Stopped> {
        let mut line = self.dialler.dial().await.map_err(Stopped)?;
        self.dialler.examine(&mut line, PATIENCE).await.map_err(Stopped)?;
        let set = self.names.vectors(&Partition([0; 32]), "");
        let meaning = meaning_of(&mut line, &set, PATIENCE).await.map_err(Stopped)?;
        Ok(Bulk { shared: self.clone(), line, meaning })
    }
}

impl Cache {
    async fn bulk(&self) -> Result<Bulk, Stopped> {
        self.shared().ok_or(Stopped(Trouble::Shut))?.bulk().await
    }
}

impl Walk {
    /// All entries, or the one that an id names.
    fn over(shared: &Shared, id: Option<&str>) -> Walk {
        Walk { pattern: shared.names.entries(id), cursor: 0, begun: false, ended: false, names: Vec::new() }
    }
}

impl Bulk {
    /// The next few entries, as they lie there; `None` at the end. What is there from beginning to end is met once at
    /// least, and twice only while Redis rearranges its table.
    async fn step(&mut self, walk: &mut Walk) -> Result<Option<Vec<(ExactKey, Vec<u8>)>>, Stopped> {
        if !std::mem::replace(&mut walk.begun, true) {
            self.is_here().await?;
        }
        while walk.names.is_empty() && !walk.ended {
            (walk.cursor, walk.names) = self.scan(walk.cursor, &walk.pattern).await?;
            walk.ended = walk.cursor == 0;
        }
        if walk.names.is_empty() {
            self.is_here().await?;
            return Ok(None);
        }
        let rest = walk.names.split_off(walk.names.len().min(FETCHED));
        let names = std::mem::replace(&mut walk.names, rest);
        let held = self.held(&names).await?;
        let found = names.iter().zip(held).filter_map(|(name, bytes)| {
            let key = self.shared.names.key_of(name)?;
            Some((key, bytes?))
        });
        Ok(Some(found.collect()))
    }

    /// Some of the names that match, and where to go on; zero at the end.
    async fn scan(&mut self, cursor: u64, pattern: &str) -> Result<(u64, Vec<String>), Stopped> {
        let mut call = redis::cmd("SCAN");
        call.arg(cursor).arg("MATCH").arg(pattern).arg("COUNT").arg(STEP);
        within(PATIENCE, call.query_async(&mut self.line)).await.map_err(Stopped)
    }

    /// Asks for a name, which a node that is giving its slot away answers with `ASK` or `MOVED`; `SCAN` finds less there
    /// and says nothing.
    async fn is_here(&mut self) -> Result<(), Stopped> {
        let (mut call, name) = (redis::cmd("GET"), self.shared.names.entry(&ExactKey([0; 32])));
        let call = call.arg(name).query_async::<Option<Vec<u8>>>(&mut self.line);
        within(PATIENCE, call).await.map(drop).map_err(Stopped)
    }

    /// What lies under each name.
    async fn held(&mut self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, Stopped> {
        let mut call = redis::cmd("MGET");
        call.arg(names);
        within(PATIENCE, call.query_async(&mut self.line)).await.map_err(Stopped)
    }

    async fn run(&mut self, pipe: &redis::Pipeline) -> Result<Vec<RedisResult<Value>>, Stopped> {
        within(PATIENCE, pipe.query_async(&mut self.line)).await.map_err(Stopped)
    }

    /// Writes entries as an admission does, their vectors and the stream among it, and says of each whether it was
    /// to be written; all that was is there when this returns. Of what ended in an error, some may be.
    async fn write(&mut self, entries: &[(Arc<Entry>, Option<Embedding>)]) -> Result<Vec<Put>, Stopped> {
        let (mut pipe, mut answers) = (redis::pipe(), Vec::new());
        pipe.ignore_errors();
        let mut put = Vec::with_capacity(entries.len());
        for (entry, embedding) in entries {
            let embedding = embedding.as_ref();
            put.push(self.shared.put_entry(&mut pipe, &mut answers, entry, embedding, self.meaning));
        }
        if pipe.is_empty() {
            return Ok(put);
        }
        let mut samples = Vec::new();
        for (answer, result) in answers.into_iter().zip(self.run(&pipe).await?) {
            match (answer, result) {
                (Answer::Sample { set }, Ok(sample)) => samples.push((set, sample)),
                (Answer::Sample { .. }, Err(_)) | (_, Ok(_)) => {}
                (_, Err(error)) => return Err(Stopped(super::line::trouble(&error))),
            }
        }
        if let Some(lines) = self.shared.lines() {
            self.shared.sweep(&lines, samples).await;
        }
        Ok(put)
    }
}
