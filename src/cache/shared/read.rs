//! Look-ups: by exact key, and by vector.

use super::breaker::Trouble;
use super::line::Lines;
use super::queue::Write;
use super::{Shared, Wait};
use crate::base::digest::{ExactKey, Partition};
use crate::cache::codec::{self, Stored};
use crate::semantic::embedder::Vector;
use redis::{FromRedisValue, Value};
use std::sync::Arc;

/// A neighbour as Redis sees it: its vectors are rounded to eight bits, so the cosine is too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Near {
    pub key: ExactKey,
    pub cosine: f32,
}

impl Shared {
    /// The entry of an exact key, if it lies there and may be read. Waits `redis.timeout` at most.
    pub(super) async fn get(
        &self,
        lines: &Arc<Lines>,
        partition: &Partition,
        key: &ExactKey,
    ) -> Option<Stored> {
        let mut call = redis::cmd("GET");
        call.arg(self.names.entry(key));
        let mut line = lines.read.clone();
        let asked = call.query_async::<Option<Vec<u8>>>(&mut line);
        let found = self.timed(lines, "get", self.timeout, asked).await;
        let stored = found.ok()?.and_then(|bytes| self.readable(partition, key, &bytes));
        self.metrics.shared_read("get", if stored.is_some() { "hit" } else { "miss" });
        stored
    }

    /// Those of `names` that lie there and may be read, in one call; `None` in the place of the others.
    pub(super) async fn get_all(
        &self,
        lines: &Arc<Lines>,
        names: &[(Partition, ExactKey)],
        wait: Wait,
    ) -> Result<Vec<Option<Stored>>, Trouble> {
        let mut call = redis::cmd("MGET");
        for (_, key) in names {
            call.arg(self.names.entry(key));
        }
        let (mut line, limit) = self.line(lines, wait);
        let asked = call.query_async::<Vec<Option<Vec<u8>>>>(&mut line);
        let found = self.timed(lines, "mget", limit, asked).await?;
        let read = names.iter().zip(found).map(|((partition, key), bytes)| {
            let stored = bytes.and_then(|bytes| self.readable(partition, key, &bytes));
            self.metrics.shared_read("mget", if stored.is_some() { "hit" } else { "miss" });
            stored
        });
        Ok(read.collect())
    }

    /// The members of a partition's vector set that are nearest to `vector`, best first.
    pub(super) async fn nearest(
        &self,
        lines: &Arc<Lines>,
        partition: &Partition,
        model: &str,
        vector: &Vector,
        most: usize,
    ) -> Result<Vec<Near>, Trouble> {
        let mut call = redis::cmd("VSIM");
        call.arg(self.names.vectors(partition, model)).arg("FP32").arg(bytes_of(vector));
        call.arg("WITHSCORES").arg("COUNT").arg(most);
        let mut line = lines.read.clone();
        let found = self.timed(lines, "vsim", self.timeout, call.query_async::<Value>(&mut line)).await?;
        let mut near = members(&found);
        near.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
        Ok(near)
    }

    /// Has the vectors of entries that are gone taken out, behind us.
    pub(super) fn forget(&self, partition: &Partition, model: &str, gone: impl Iterator<Item = ExactKey>) {
        for key in gone {
            self.enqueue(Write::Forget { set: self.names.vectors(partition, model), key });
        }
    }

    /// Bytes that are this key's and this partition's fresh entry, and that no purge has met. All else is a
    /// miss; what is not ours to read is counted by its reason.
    fn readable(&self, partition: &Partition, key: &ExactKey, bytes: &[u8]) -> Option<Stored> {
        let stored = match codec::decode_for(key, bytes, &self.keys) {
            Ok(stored) if stored.entry.partition == *partition => stored,
            Ok(_) => {
                self.metrics.shared_unreadable("misplaced");
                return None;
            }
            Err(undecodable) => {
                self.metrics.shared_unreadable(undecodable.word());
                return None;
            }
        };
        if self.rules.refuses(&stored.entry, stored.embedding.as_ref()) {
            self.enqueue(Write::Delete { keys: vec![*key] });
            return None;
        }
        stored.entry.is_fresh(self.clock.now()).then_some(stored)
    }
}

/// As `VADD` and `VSIM` take it: little-endian single precision.
pub(super) fn bytes_of(vector: &Vector) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// `VSIM` scores from 0, opposite, to 1, the same; a cosine goes from -1 to 1.
fn members(found: &Value) -> Vec<Near> {
    let pair = |(member, score): (&Value, &Value)| {
        let member = Vec::<u8>::from_redis_value_ref(member).ok()?;
        let score = f64::from_redis_value_ref(score).ok()?;
        Some(Near { key: ExactKey(member.try_into().ok()?), cosine: (2.0 * score - 1.0) as f32 })
    };
    match found {
        Value::Map(pairs) => pairs.iter().filter_map(|(member, score)| pair((member, score))).collect(),
        Value::Array(flat) => flat.chunks_exact(2).filter_map(|both| pair((&both[0], &both[1]))).collect(),
        _ => Vec::new(),
    }
}
