//! Work on Redis itself, for a command that no server runs for: all entries read, written or deleted.
//!
//! Unlike a request, a command wants the whole of it and can wait. So nothing here goes over the queue: every call has
//! ten seconds on a connection of its own, what was written has been acknowledged, and the first trouble ends the
//! work with an error. Memory is bounded by a step: some entries at a time.
//!
//! | file | has |
//! |---|---|
//! | `mod` | the connection, going through all entries, writing some of them |
//! | `export` | all fresh entries, as an export |
//! | `import` | an export's entries |
//! | `wipe` | what an order names, deleted here and on every replica |

mod export;
mod import;
mod wipe;

pub use export::{Export, Exported};
pub use import::Import;
pub use wipe::{Unwiped, Wiped};

use super::breaker::Trouble;
use super::line::{Meaning, meaning_of, within};
use super::write::Answer;
use super::{Shared, State};
use crate::base::digest::{ExactKey, Partition};
use crate::cache::Cache;
use crate::cache::codec::Embedding;
use crate::cache::entry::Entry;
use crate::cache::restore::embedding_of;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// For one call: a server that is busy, or saving, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
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
                write!(f, "Redis does not answer within {PATIENCE:?}; see what keeps it, and run it again")
            }
            Trouble::Broken(why) => write!(f, "Redis is not reached: {why}"),
            Trouble::Refused(code) => write!(f, "Redis answers with {code}{}", remedy(code)),
        }
    }
}

fn remedy(code: &str) -> &'static str {
    match code {
        "OOM" => "; raise its maxmemory, or purge something",
        "READONLY" => "; name its master in redis.url",
        "NOPERM" => "; give redis.username the right to it",
        "MISCONF" => "; it cannot save to its disk, see its log",
        "LOADING" => "; wait until it has read its data",
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
    ended: bool,
    /// Found, and not fetched yet.
    names: Vec<String>,
}

impl Shared {
    /// Completes when Redis is asked, or says why it is not at the first attempt.
    ///
    /// # Errors
    /// It cannot be reached, or not be used.
    pub async fn reached(&self) -> Result<(), Stopped> {
        self.tried().await;
        match self.state() {
            State::Flowing => Ok(()),
            State::Shut | State::Probing => Err(Stopped(self.breaker.why().unwrap_or(Trouble::Shut))),
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

impl Walk {
    /// All entries, or the one that an id names.
    fn over(shared: &Shared, id: Option<&str>) -> Walk {
        Walk { pattern: shared.names.entries(id), cursor: 0, ended: false, names: Vec::new() }
    }
}

impl Bulk {
    /// The next few entries, as they lie there; `None` at the end. What is there from beginning to end is met once at
    /// least, and twice only while Redis rearranges its table.
    async fn step(&mut self, walk: &mut Walk) -> Result<Option<Vec<(ExactKey, Vec<u8>)>>, Stopped> {
        while walk.names.is_empty() && !walk.ended {
            let mut scan = redis::cmd("SCAN");
            scan.arg(walk.cursor).arg("MATCH").arg(&walk.pattern).arg("COUNT").arg(STEP);
            let asked = scan.query_async::<(u64, Vec<String>)>(&mut self.line);
            (walk.cursor, walk.names) = within(PATIENCE, asked).await.map_err(Stopped)?;
            walk.ended = walk.cursor == 0;
        }
        if walk.names.is_empty() {
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

    /// What lies under each name.
    async fn held(&mut self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, Stopped> {
        let mut call = redis::cmd("MGET");
        call.arg(names);
        within(PATIENCE, call.query_async(&mut self.line)).await.map_err(Stopped)
    }

    async fn run(&mut self, pipe: &redis::Pipeline) -> Result<Vec<RedisResult<Value>>, Stopped> {
        within(PATIENCE, pipe.query_async(&mut self.line)).await.map_err(Stopped)
    }

    /// Writes entries as an admission does, their vectors and the stream among it; all of it is there when this
    /// returns. Of what ended in an error, some may be.
    async fn write(&mut self, entries: &[(Arc<Entry>, Option<Embedding>)]) -> Result<(), Stopped> {
        let (mut pipe, mut answers) = (redis::pipe(), Vec::new());
        pipe.ignore_errors();
        for (entry, embedding) in entries {
            self.shared.put_entry(&mut pipe, &mut answers, entry, embedding.as_ref(), self.meaning);
        }
        if pipe.is_empty() {
            return Ok(());
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
        Ok(())
    }
}

/// How entries came to be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// With a vector.
    pub by_meaning: usize,
    /// Without one.
    pub exact_only: usize,
}

impl Cache {
    /// Embeds the questions of kept entries, where there are any to compare by, and writes the entries into Redis.
    /// All of them are there when this returns.
    ///
    /// # Errors
    /// Redis did not take them; some may be there.
    pub async fn write_through(&self, entries: &[Arc<Entry>]) -> Result<Written, Stopped> {
        let shared = self.shared().ok_or(Stopped(Trouble::Shut))?;
        let (mut written, mut together) = (Written::default(), Vec::new());
        for entry in entries {
            let embedding = self.embedding_for(entry).await;
            written.by_meaning += usize::from(embedding.is_some());
            written.exact_only += usize::from(embedding.is_none());
            together.push((entry.clone(), embedding));
        }
        shared.bulk().await?.write(&together).await.map(|()| written)
    }

    /// A new vector for an entry's question; `None` where it has none, or cannot have one.
    async fn embedding_for(&self, entry: &Entry) -> Option<Embedding> {
        let (semantic, question) = (self.semantic()?, entry.question.clone()?);
        semantic.suits(&question).ok()?;
        let vector = semantic.embed_patiently(question).await.ok()?;
        Some(embedding_of(semantic.model_name(), vector))
    }
}
