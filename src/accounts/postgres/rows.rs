//! Rows as they leave a replica's own ledger, and as they come to the database.

use super::outbox::Stuck;
use super::{Session, Trouble, begin};
use crate::accounts::keys::period;
use crate::accounts::ledger;
use crate::base::clock::Millis;
use rusqlite::{Connection, Row};
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use tokio_postgres::Transaction;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

/// Rows that one step deletes.
const PIECE: i64 = 20_000;

const TEXTS: [&str; 10] =
    ["kind", "key", "team", "tags", "dialect", "model", "deployment", "verdict", "tier", "ended"];
const NUMBERS: [&str; 14] = [
    "at",
    "spent_prompt",
    "spent_cached",
    "spent_cache_write",
    "spent_completion",
    "spent_reasoning",
    "saved_prompt",
    "saved_cached",
    "saved_cache_write",
    "saved_completion",
    "saved_reasoning",
    "spent",
    "saved",
    "latency",
];

/// The replica's own ledger, read.
pub(super) struct File {
    ledger: Connection,
    /// What the database calls it, and the number of the last row that is not its own.
    pub name: String,
    pub since: i64,
}

/// Some rows on their way.
pub(super) struct Batch {
    pub rows: Vec<Sent>,
    /// What keys were charged in them, by day.
    charged: BTreeMap<(String, i64), i64>,
    /// The number of the last of them.
    pub last: i64,
}

/// One: its texts and its numbers, in the order of `TEXTS` and `NUMBERS`.
type Sent = ([Option<String>; 10], [Option<i64>; 14]);

/// How a batch fared.
pub(super) enum Placed {
    Yes,
    /// It was of other rows than those that are missing there: from this one on.
    After(i64),
}

impl File {
    /// `None` where nothing was written yet, or nothing by this version.
    pub fn open(folder: &Path) -> Result<Option<File>, Stuck> {
        let Some(ledger) = ledger::to_read(folder)? else { return Ok(None) };
        let named = "SELECT count(*) FROM sqlite_master WHERE name = 'origin'";
        if ledger.query_row(named, [], |row| row.get::<_, i64>(0))? == 0 {
            return Ok(None);
        }
        let (name, since) =
            ledger.query_row("SELECT name, since FROM origin", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Some(File { ledger, name, since }))
    }

    pub fn newest(&self) -> Result<i64, Stuck> {
        let newest = "SELECT COALESCE(max(id), 0) FROM entry";
        Ok(self.ledger.query_row(newest, [], |row| row.get(0))?)
    }

    /// Under a new name, for what was written after the row `since`.
    pub fn begin_anew(&mut self, folder: &Path, since: i64) -> Result<(), Stuck> {
        (self.name, self.since) = (ledger::rename(folder, since)?, since);
        Ok(())
    }

    /// Up to `most` rows.
    pub fn after(&self, gone: i64, most: i64) -> Result<Batch, Stuck> {
        let (texts, numbers) = (TEXTS.join(", "), NUMBERS.join(", "));
        let asked =
            format!("SELECT {texts}, {numbers}, charged, id FROM entry WHERE id > ?1 ORDER BY id LIMIT ?2");
        let mut asked = self.ledger.prepare_cached(&asked)?;
        let mut found = asked.query((gone, most))?;
        let mut batch = Batch { rows: Vec::new(), charged: BTreeMap::new(), last: gone };
        while let Some(row) = found.next()? {
            let session = read(row)?;
            let (charged, key, at): (i64, _, _) = (row.get(24)?, &session.0[1], session.1[0]);
            if let Some((key, at)) = key.clone().zip(at).filter(|_| charged > 0) {
                let day = period::day(Millis(u64::try_from(at).unwrap_or(0)));
                let sum = batch.charged.entry((key, i64::try_from(day).unwrap_or(0))).or_insert(0);
                *sum = sum.saturating_add(charged);
            }
            batch.last = row.get(25)?;
            batch.rows.push(session);
        }
        Ok(batch)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Sent> {
    let (mut texts, mut numbers) = ([const { None }; 10], [None; 14]);
    for (at, text) in texts.iter_mut().enumerate() {
        // Postgres has no NUL in a text; one that a client put into a name must not hold up all the others.
        *text = row.get::<_, Option<String>>(at)?.map(|text| text.replace('\0', "\u{fffd}"));
    }
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = row.get(TEXTS.len() + at)?;
    }
    Ok((texts, numbers))
}

impl Session {
    /// The number of the last row that came from the ledger `name`; `since` where none has.
    pub(super) fn gone(&mut self, name: &str, since: i64) -> Result<i64, Trouble> {
        let first = "INSERT INTO reprise_outbox (name, shipped) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.step(async |client| {
            client.execute(first, &[&name, &since]).await?;
            client.query_one("SELECT shipped FROM reprise_outbox WHERE name = $1", &[&name]).await?.try_get(0)
        })
    }

    pub(super) fn place(&mut self, name: &str, gone: i64, batch: &Batch) -> Result<Placed, Trouble> {
        self.step(async |client| {
            let step = begin(client).await?;
            let asked = "SELECT shipped FROM reprise_outbox WHERE name = $1 FOR UPDATE";
            let there: i64 = step.query_one(asked, &[&name]).await?.try_get(0)?;
            if there != gone {
                step.rollback().await?;
                return Ok(Placed::After(there));
            }
            copy(&step, name, &batch.rows).await?;
            if !batch.charged.is_empty() {
                let charge = "INSERT INTO reprise_charge (key, day, usd)
                    SELECT * FROM unnest($1::TEXT[], $2::BIGINT[], $3::BIGINT[])
                    ON CONFLICT (key, day) DO UPDATE SET usd = reprise_charge.usd + excluded.usd";
                // In the order of the map, so that two replicas never wait for each other.
                let (keys, days): (Vec<&str>, Vec<i64>) =
                    batch.charged.keys().map(|(key, day)| (&**key, *day)).unzip();
                let sums: Vec<i64> = batch.charged.values().copied().collect();
                step.execute(charge, &[&keys, &days, &sums]).await?;
            }
            let mark = "UPDATE reprise_outbox SET shipped = $2 WHERE name = $1";
            step.execute(mark, &[&name, &batch.last]).await?;
            step.commit().await?;
            Ok(Placed::Yes)
        })
    }

    /// Deletes some of the rows from before `before`, and says how many.
    pub(super) fn forget(&mut self, before: u64) -> Result<u64, Trouble> {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let piece = "DELETE FROM reprise_entry WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM reprise_entry WHERE at < $1 LIMIT $2))";
        self.step(async |client| client.execute(piece, &[&before, &PIECE]).await)
    }
}

async fn copy(step: &Transaction<'_>, name: &str, rows: &[Sent]) -> Result<(), tokio_postgres::Error> {
    let (texts, numbers) = (TEXTS.join(", "), NUMBERS.join(", "));
    let into = format!("COPY reprise_entry (replica, {texts}, {numbers}) FROM STDIN (FORMAT BINARY)");
    let mut types = vec![Type::TEXT; 1 + TEXTS.len()];
    types.resize(1 + TEXTS.len() + NUMBERS.len(), Type::INT8);
    let mut writer = pin!(BinaryCopyInWriter::new(step.copy_in(&into).await?, &types));
    for (texts, numbers) in rows {
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&name];
        values.extend(texts.iter().map(|text| text as &(dyn ToSql + Sync)));
        values.extend(numbers.iter().map(|number| number as &(dyn ToSql + Sync)));
        writer.as_mut().write(&values).await?;
    }
    writer.finish().await?;
    Ok(())
}
