//! What other replicas admit, purge and report, followed on a connection of its own.

use super::breaker::Trouble;
use super::line::{Meaning, within};
use super::purge::PURGES;
use super::write::millis;
use super::{Shared, State, Wait};
use crate::base::digest::{ExactKey, Partition};
use crate::cache::Cache;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Value};
use std::sync::Arc;
use std::time::Duration;

/// How long one reading waits for something new. Short enough that a server that has fallen silent is
/// noticed.
const BLOCK: Duration = Duration::from_secs(2);
/// The same while the model is loading: what there is to follow is followed soon after.
const MODELLESS: Duration = Duration::from_millis(100);
/// What an answer may take beyond that.
const SLACK: Duration = Duration::from_secs(2);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(250);
/// Entries that one partition may hold for more to be followed: beyond it only what is asked for here
/// comes in, so that one busy partition does not fill every replica's memory.
const MOST_OF_ONE: usize = 10_000;
/// Lines read, and entries fetched, at once.
const BATCH: usize = 64;

/// One line of a stream.
struct Line {
    id: String,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Line {
    fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_slice())
    }
}

impl Shared {
    pub(super) fn follow(self: Arc<Self>, cache: Arc<Cache>) {
        let shared = self.clone();
        self.behind(async move {
            // Kept over a reconnection, so that nothing in between is missed.
            let mut admitted = None;
            loop {
                shared.until(State::Flowing).await;
                if let Err(trouble) = shared.follow_once(&cache, &mut admitted).await {
                    tracing::debug!("not following the fleet: {trouble}");
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    /// Catches up, and then follows until the connection breaks.
    async fn follow_once(&self, cache: &Arc<Cache>, admitted: &mut Option<String>) -> Result<(), Trouble> {
        let mut line = self.dialler.dial().await?;
        loop {
            // Without a model nothing is found by meaning, and by its exact key all is found anyway.
            let modelled = cache.semantic().is_some();
            let filling = modelled && self.meaning() == Some(Meaning::Stream);
            let block = if modelled { BLOCK } else { MODELLESS };
            if modelled {
                self.take_unjudged(cache).await;
            }
            if filling && admitted.is_none() {
                *admitted = Some(self.fill(cache, &mut line).await?);
            }
            let place = admitted.as_deref().filter(|_| filling);
            let call = self.reading(place, block);
            let read = within(block + SLACK, call.query_async::<Value>(&mut line)).await?;
            for (name, lines) in streams(&read) {
                let last = lines.last().map(|line| line.id.clone());
                if name == self.names.purged().as_bytes() {
                    self.take_purge_lines(cache, &lines).await;
                } else {
                    self.take_admissions(cache, &lines).await?;
                    *admitted = last.or(admitted.take());
                }
            }
        }
    }

    fn reading(&self, admitted: Option<&str>, block: Duration) -> Cmd {
        let mut call = redis::cmd("XREAD");
        call.arg("COUNT").arg(BATCH).arg("BLOCK").arg(millis(block)).arg("STREAMS").arg(self.names.purged());
        if admitted.is_some() {
            call.arg(self.names.admitted());
        }
        call.arg(self.purges_read.lock().as_deref().unwrap_or("0-0"));
        if let Some(place) = admitted {
            call.arg(place);
        }
        call
    }

    /// The newest admissions, up to `redis.backlog`, oldest first, so that of too many the newest stay. Gives
    /// the place to go on from.
    async fn fill(&self, cache: &Cache, line: &mut MultiplexedConnection) -> Result<String, Trouble> {
        let mut call = redis::cmd("XREVRANGE");
        call.arg(self.names.admitted()).arg("+").arg("-").arg("COUNT").arg(self.backlog.max(1));
        let read = within(SLACK, call.query_async::<Value>(line)).await?;
        let mut lines = lines(&read);
        lines.reverse();
        let place = lines.last().map_or_else(|| "0-0".to_owned(), |line| line.id.clone());
        if self.backlog > 0 {
            for batch in lines.chunks(BATCH) {
                self.take_admissions(cache, batch).await?;
            }
        }
        Ok(place)
    }

    /// Fetches what others have admitted and we do not hold, and keeps it where there is room for it.
    async fn take_admissions(&self, cache: &Cache, lines: &[Line]) -> Result<(), Trouble> {
        let named = lines.iter().filter(|line| line.field(b"r") != Some(&self.replica)).filter_map(|line| {
            let partition = Partition(line.field(b"p")?.try_into().ok()?);
            Some((partition, ExactKey(line.field(b"k")?.try_into().ok()?)))
        });
        let wanted: Vec<_> = named.filter(|(partition, key)| cache.wants(partition, key)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let lines = self.breaker.lines().ok_or(Trouble::Shut)?;
        for stored in self.get_all(&lines, &wanted, Wait::Nobody).await?.into_iter().flatten() {
            cache.warm(stored);
            self.metrics.shared_followed("entry");
        }
        Ok(())
    }

    /// Every purge that is remembered and that we have not read, before anything is asked: what was purged
    /// while we were away must not come back.
    pub(super) async fn learn_purges(
        &self,
        cache: &Arc<Cache>,
        line: &mut MultiplexedConnection,
    ) -> Result<(), Trouble> {
        let after =
            self.purges_read.lock().as_ref().map_or_else(|| "-".to_owned(), |place| format!("({place}"));
        let mut call = redis::cmd("XRANGE");
        call.arg(self.names.purged()).arg(after).arg("+").arg("COUNT").arg(2 * PURGES);
        let read = within(SLACK, call.query_async::<Value>(line)).await?;
        self.take_purge_lines(cache, &lines(&read)).await;
        Ok(())
    }

    async fn take_purge_lines(&self, cache: &Arc<Cache>, lines: &[Line]) {
        // Our own were done when they were made.
        let others = lines.iter().filter(|line| line.field(b"r") != Some(&self.replica));
        let mut written: Vec<Vec<u8>> = Vec::new();
        for line in others {
            match (line.field(b"w"), line.field(b"t"), line.field(b"v")) {
                (Some(purge), ..) => written.push(purge.to_vec()),
                (None, Some(meta), Some(vector)) => self.take_report(cache, meta, vector),
                _ => {}
            }
        }
        self.take_purges(cache, written).await;
        if let Some(last) = lines.last() {
            *self.purges_read.lock() = Some(last.id.clone());
        }
    }
}

impl Cache {
    /// Whether an admission of another replica is worth fetching: while there is room, and after that where
    /// its partition is one that is asked for here; of one partition no more than its share.
    fn wants(&self, partition: &Partition, key: &ExactKey) -> bool {
        let Some(semantic) = self.semantic() else { return false };
        let held = semantic.index().held(partition);
        !self.store.has(key) && held < MOST_OF_ONE && (held > 0 || self.store.has_room())
    }
}

/// The answer to `XREAD`: streams by name, each with its lines. Nothing new is nil.
fn streams(read: &Value) -> Vec<(Vec<u8>, Vec<Line>)> {
    let name = |value: &Value| Vec::<u8>::from_redis_value_ref(value).ok();
    match read {
        Value::Map(streams) => {
            streams.iter().filter_map(|(stream, held)| Some((name(stream)?, lines(held)))).collect()
        }
        Value::Array(streams) => streams
            .iter()
            .filter_map(|stream| match stream {
                Value::Array(both) => Some((name(both.first()?)?, lines(both.get(1)?))),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn lines(value: &Value) -> Vec<Line> {
    let Value::Array(items) = value else { return Vec::new() };
    let line = |item: &Value| {
        let Value::Array(both) = item else { return None };
        let id = String::from_redis_value_ref(both.first()?).ok()?;
        let flat = Vec::<Vec<u8>>::from_redis_value_ref(both.get(1)?).ok()?;
        let fields = flat.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        Some(Line { id, fields })
    };
    items.iter().filter_map(line).collect()
}
