//! The thread that writes: batches, the bound on disk, expiry, and what to do when the disk fails.

use super::database::{self, Database, FILE, Row, Trouble, hash};
use super::queue::{Change, Changes, Turn};
use super::{Reader, Shared};
use crate::cache::codec;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of one transaction at most, about: the log grows by as much.
const BATCH: usize = 8 << 20;
/// How long to wait before a disk that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often to look for what has expired when nothing is written.
const IDLE: Duration = Duration::from_secs(5);
/// Rows that expire, or are dropped for their age, in one go.
const SWEEP: usize = 2_048;
/// Of the bound, what is kept free for the log: twice its usual size.
const LOG_ROOM: u64 = 32 << 20;
/// An entry larger than this share of the bound is not written.
const LARGEST_SHARE: u64 = 8;

pub fn run(shared: &Arc<Shared>, mut database: Option<Database>) {
    // Whoever could not open it has said so.
    let mut away = database.is_none();
    loop {
        let Turn { changes, ticket, awaited, last } = shared.queue.next(IDLE);
        let some = !changes.is_empty();
        let mut written = write_all(shared, &mut database, changes);
        if let (Ok(()), Some(open)) = (&written, &database) {
            if awaited {
                written = open.settle().map_err(|trouble| (trouble, Changes::default()));
            } else if some {
                shared.settling.due();
            }
        }
        let failed = written.err();
        match failed {
            None => {
                if std::mem::take(&mut away) {
                    tracing::info!("the store can be written again");
                }
                shared.metrics.store.up(true);
                shared.queue.settle(ticket);
            }
            Some((trouble, left)) => {
                shared.metrics.store.faulted(trouble.word());
                shared.metrics.store.up(false);
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(
                        "the store cannot be written: {trouble}; entries are kept in memory only until it can, \
                         tried again every second"
                    );
                }
                if matches!(trouble, Trouble::Broken(_)) {
                    database = begin_anew(shared, database.take());
                }
                let dropped = shared.queue.put_back(left, RETRY);
                shared.metrics.store.dropped("queue_full", dropped);
            }
        }
        if last {
            return;
        }
    }
}

/// Writes the changes batch by batch. `Err`: what is not written.
fn write_all(
    shared: &Arc<Shared>,
    database: &mut Option<Database>,
    changes: Changes,
) -> Result<(), (Trouble, Changes)> {
    let open = match database {
        Some(open) => open,
        None => match shared.open_late() {
            Ok(opened) => database.insert(opened),
            Err(trouble) => return Err((trouble, changes)),
        },
    };
    let mut left: Vec<_> = changes.into_iter().collect();
    while !left.is_empty() {
        let (mut rows, mut gone, mut bytes, mut taken) = (Vec::new(), Vec::new(), 0, Vec::new());
        while bytes < BATCH
            && let Some((key, change)) = left.pop()
        {
            match &change {
                Change::Remove => gone.push(hash(&key)),
                Change::Put { entry, embedding } => {
                    let body = codec::encode(entry, embedding.as_ref(), &shared.keys);
                    bytes += body.len();
                    if body.len() as u64 > shared.max_bytes / LARGEST_SHARE {
                        shared.metrics.store.dropped("too_big", 1);
                        // Nor is what was there before it.
                        gone.push(hash(&key));
                        continue;
                    }
                    rows.push(Row { hash: hash(&key), expires: entry.expires, body });
                }
            }
            taken.push((key, change));
        }
        // In the order of their index: neighbours share its pages.
        rows.sort_unstable_by_key(|row| row.hash);
        if let Err(trouble) = open.write(&rows, &gone) {
            return Err((trouble, left.into_iter().chain(taken).collect()));
        }
        shared.metrics.store.written(rows.len());
        for (key, change) in &taken {
            match change {
                // Unless it has been purged since: then its removal is in the queue.
                Change::Put { .. } => {}
                Change::Remove => shared.directory.remove(hash(key)),
            }
        }
        keep_bound(shared, open)
            .map_err(|trouble| (trouble, std::mem::take(&mut left).into_iter().collect()))?;
    }
    sweep(shared, open).map_err(|trouble| (trouble, Changes::default()))
}

/// Drops the oldest rows while the file is over its bound.
fn keep_bound(shared: &Shared, database: &mut Database) -> Result<(), Trouble> {
    let bound = shared.max_bytes.saturating_sub(LOG_ROOM);
    while database.bytes()? > bound {
        let dropped = database.drop_oldest(SWEEP / 8)?;
        if dropped.is_empty() {
            break;
        }
        dropped.iter().for_each(|hash| shared.directory.remove(*hash));
        shared.metrics.store.evicted("size", dropped.len());
    }
    Ok(())
}

fn sweep(shared: &Shared, database: &mut Database) -> Result<(), Trouble> {
    let expired = database.expire(shared.clock.now(), SWEEP)?;
    expired.iter().for_each(|hash| shared.directory.remove(*hash));
    shared.metrics.store.evicted("expired", expired.len());
    database.shrink()?;
    shared.metrics.store.holds(shared.directory.len() as u64, database.bytes()?);
    Ok(())
}

/// Puts a damaged file aside; what memory holds is written again only as it is asked for again.
fn begin_anew(shared: &Shared, broken: Option<Database>) -> Option<Database> {
    let mut reader = shared.reader.lock();
    *reader = Reader::Shut;
    drop(broken);
    if let Err(wrong) = database::put_aside(shared.folder.path()) {
        tracing::warn!("the damaged store cannot be put aside: {wrong}; remove {FILE} by hand");
        return None;
    }
    shared.directory.clear();
    let opened = Database::open(&shared.file()).ok();
    tracing::warn!("the store was damaged; it is now {FILE}.broken, and a new one has begun");
    opened
}
