//! Writing what waits, in batches, behind every request.

use super::Shared;
use super::breaker::Trouble;
use super::keeper::UNHURRIED;
use super::line::{Lines, Meaning};
use super::queue::{Write, Writes};
use super::read::bytes_of;
use crate::base::digest::ExactKey;
use crate::cache::codec::{self, Embedding};
use crate::cache::entry::Entry;
use redis::{FromRedisValue, Pipeline, RedisResult, Value};
use std::sync::Arc;
use std::time::Duration;

/// Members of a vector set that are looked at whenever one is added; those whose entry is gone leave it. With
/// four looked at for each one added, the dead are at most a third of the living in the long run:
/// adding and taking out balance where one in four members is dead.
const LOOKED_AT: usize = 4;
/// Admissions that the stream keeps, about. One is a hundred bytes.
const ADMISSIONS: usize = 100_000;

/// Deletes a lease that is still the caller's own.
const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";

/// A member of a set, and the entry that it stands for.
pub(super) struct Looked {
    set: String,
    member: ExactKey,
    entry: String,
}

/// What becomes of an entry that is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It goes out with the pipeline.
    Sent,
    /// It is not fresh any more.
    Expired,
    /// A purge meets it that holds for what was stored when it was.
    Purged,
}

/// What the answer to one command of a pipeline is for.
pub(super) enum Answer {
    Outcome,
    /// Of `VRANDMEMBER` on this set.
    Sample {
        set: String,
    },
    /// Nothing that matters.
    Aside,
}

impl Shared {
    pub(super) fn write_behind(self: Arc<Self>, mut writes: Writes) {
        let shared = self.clone();
        self.behind(async move {
            let mut refused = None;
            loop {
                let batch = writes.next().await;
                if batch.is_empty() {
                    return;
                }
                shared.write_batch(batch, &mut refused).await;
            }
        });
    }

    async fn write_batch(&self, batch: Vec<Write>, refused: &mut Option<String>) {
        let Some(lines) = self.breaker.lines() else {
            batch.iter().for_each(|_| self.metrics.shared_write(Trouble::Shut.word()));
            return;
        };
        if batch.iter().any(|write| matches!(write, Write::Purges)) {
            self.deliver_purges(&lines).await;
        }
        if batch.iter().any(|write| matches!(write, Write::Scrub)) {
            self.scrub(&lines).await;
        }
        let (pipeline, answers) = self.pipeline(batch, &lines);
        if pipeline.is_empty() {
            return;
        }
        let Ok(results) = self.run(&lines, &pipeline).await else {
            answers.iter().for_each(|_| self.metrics.shared_write("lost"));
            return;
        };
        self.note_refusals(&answers, &results, refused);
        let samples = answers.into_iter().zip(results).filter_map(|(answer, result)| match answer {
            Answer::Sample { set } => Some((set, result.ok()?)),
            _ => None,
        });
        self.sweep(&lines, samples.collect()).await;
    }

    async fn run(&self, lines: &Arc<Lines>, pipeline: &Pipeline) -> Result<Vec<RedisResult<Value>>, Trouble> {
        let mut line = lines.write.clone();
        self.timed(lines, "write", UNHURRIED, pipeline.query_async::<Vec<RedisResult<Value>>>(&mut line))
            .await
    }

    fn pipeline(&self, batch: Vec<Write>, lines: &Lines) -> (Pipeline, Vec<Answer>) {
        let (mut pipe, mut answers) = (redis::pipe(), Vec::new());
        pipe.ignore_errors();
        for write in batch {
            match write {
                Write::Entry { entry, embedding } => {
                    self.put_entry(&mut pipe, &mut answers, &entry, embedding.as_ref(), lines.meaning);
                }
                Write::Proof { name, at, ttl } => {
                    pipe.cmd("SET").arg(name).arg(at.0).arg("PX").arg(millis(ttl));
                    answers.push(Answer::Outcome);
                }
                Write::Release { name, token } => {
                    pipe.cmd("EVAL").arg(RELEASE).arg(1).arg(name).arg(token);
                    answers.push(Answer::Outcome);
                }
                Write::Forget { set, key } => {
                    pipe.cmd("VREM").arg(set).arg(&key.0);
                    answers.push(Answer::Aside);
                }
                Write::Delete { keys } => {
                    for key in keys {
                        pipe.cmd("UNLINK").arg(self.names.entry(&key));
                        answers.push(Answer::Aside);
                    }
                }
                Write::Purges | Write::Scrub => {}
            }
        }
        (pipe, answers)
    }

    pub(super) fn put_entry(
        &self,
        pipe: &mut Pipeline,
        answers: &mut Vec<Answer>,
        entry: &Entry,
        embedding: Option<&Embedding>,
        meaning: Meaning,
    ) -> Put {
        let ttl = entry.ttl(self.clock.now());
        if ttl.is_zero() {
            return Put::Expired;
        }
        if self.rules.refuses(entry, embedding) {
            return Put::Purged;
        }
        let bytes = codec::encode(entry, embedding, &self.keys);
        pipe.cmd("SET").arg(self.names.entry(&entry.key)).arg(bytes);
        pipe.arg("PX").arg(millis(ttl));
        answers.push(Answer::Outcome);
        let Some(embedding) = embedding else { return Put::Sent };
        if meaning == Meaning::Stream {
            pipe.cmd("XADD").arg(self.names.admitted()).arg("MAXLEN").arg("~").arg(ADMISSIONS).arg("*");
            pipe.arg("p").arg(&entry.partition.0).arg("k").arg(&entry.key.0).arg("r").arg(&self.replica);
            answers.push(Answer::Aside);
            return Put::Sent;
        }
        let set = self.names.vectors(&entry.partition, &embedding.model);
        pipe.cmd("VADD").arg(&set).arg("FP32").arg(bytes_of(&embedding.vector)).arg(&entry.key.0);
        // The set lives as long as its longest-lived entry: NX sets the first limit, GT only ever raises it.
        for condition in ["NX", "GT"] {
            pipe.cmd("PEXPIRE").arg(&set).arg(millis(ttl)).arg(condition);
        }
        pipe.cmd("VRANDMEMBER").arg(&set).arg(LOOKED_AT);
        answers.extend([Answer::Outcome, Answer::Aside, Answer::Aside]);
        answers.push(Answer::Sample { set });
        Put::Sent
    }

    /// Counts what was written; says once that Redis has begun, or ceased, to refuse.
    fn note_refusals(
        &self,
        answers: &[Answer],
        results: &[RedisResult<Value>],
        refused: &mut Option<String>,
    ) {
        let outcomes = answers.iter().zip(results).filter(|(answer, _)| matches!(answer, Answer::Outcome));
        for (_, result) in outcomes {
            let word = match result {
                Ok(_) => "done",
                Err(_) => "refused",
            };
            self.metrics.shared_write(word);
            match (result, refused.is_some()) {
                (Ok(_), true) => {
                    *refused = None;
                    tracing::info!("the shared tier takes writes again");
                }
                (Err(error), false) => {
                    let code = error.code().unwrap_or("an error").to_owned();
                    tracing::warn!("the shared tier refuses writes with {code}; look-ups go on");
                    *refused = Some(code);
                }
                _ => {}
            }
        }
    }

    /// Takes members out whose entry is gone.
    pub(super) async fn sweep(&self, lines: &Arc<Lines>, samples: Vec<(String, Value)>) {
        let looked: Vec<Looked> =
            samples.iter().flat_map(|(set, sample)| self.looked_at(set, sample)).collect();
        if looked.is_empty() {
            return;
        }
        let Ok(there) = self.run(lines, &are_there(&looked)).await else { return };
        let pipe = taking_out(&looked, &there);
        if !pipe.is_empty() {
            // What stays is met again.
            let _ = self.run(lines, &pipe).await;
        }
    }

    /// The members in an answer to `VRANDMEMBER` on a set.
    pub(super) fn looked_at(&self, set: &str, sample: &Value) -> Vec<Looked> {
        let members = Vec::<Vec<u8>>::from_redis_value_ref(sample).unwrap_or_default();
        let members = members.into_iter().filter_map(|member| member.try_into().ok()).map(ExactKey);
        let looked = |member| Looked { set: set.to_owned(), member, entry: self.names.entry(&member) };
        members.map(looked).collect()
    }
}

/// Asks for each whether its entry is there.
pub(super) fn are_there(looked: &[Looked]) -> Pipeline {
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    looked.iter().for_each(|looked| {
        pipe.cmd("EXISTS").arg(&looked.entry);
    });
    pipe
}

/// Takes those out of their sets whose entry is not; empty where all are there.
pub(super) fn taking_out(looked: &[Looked], there: &[RedisResult<Value>]) -> Pipeline {
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    for (looked, there) in looked.iter().zip(there) {
        if matches!(there, Ok(Value::Int(0))) {
            pipe.cmd("VREM").arg(&looked.set).arg(&looked.member.0);
        }
    }
    pipe
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1)
}
