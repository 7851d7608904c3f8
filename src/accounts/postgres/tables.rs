//! The tables. Whoever comes first makes them, and gives the fleet its secret.

use super::{LONG, Session, Trouble, VERSION, begin, copy};
use crate::accounts::keys::store::{self, Store, Stored, Unkept};
use std::path::Path;

/// Held while the tables are made, so that replicas that start together do it once.
const LOCK: i64 = 0x5265_7072_6973_6531;

/// Units are the ledger's: milliseconds since the epoch, nano-dollars, microseconds; NULL is not known.
/// `key_changes` begins at the moment, so that tables made anew never show a number that a replica has seen before.
/// `reprise_outbox.shipped` is the number of the last row of a replica's own ledger that is here.
const TABLES: &str = "
CREATE TABLE reprise_fleet (
  single BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (single),
  version BIGINT NOT NULL,
  secret BYTEA NOT NULL,
  key_changes BIGINT NOT NULL DEFAULT extract(epoch FROM clock_timestamp()) * 1000
);
CREATE TABLE reprise_key (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  hash BYTEA NOT NULL,
  old_hash BYTEA,
  old_until BIGINT,
  created BIGINT NOT NULL,
  expires BIGINT,
  disabled BOOLEAN NOT NULL,
  settings TEXT NOT NULL
);
CREATE TABLE reprise_entry (
  replica TEXT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  team TEXT,
  tags TEXT NOT NULL,
  dialect TEXT NOT NULL,
  model TEXT NOT NULL,
  deployment TEXT,
  verdict TEXT NOT NULL,
  tier TEXT NOT NULL,
  ended TEXT NOT NULL,
  spent_prompt BIGINT, spent_cached BIGINT, spent_cache_write BIGINT,
  spent_completion BIGINT, spent_reasoning BIGINT,
  saved_prompt BIGINT, saved_cached BIGINT, saved_cache_write BIGINT,
  saved_completion BIGINT, saved_reasoning BIGINT,
  spent BIGINT,
  saved BIGINT,
  latency BIGINT NOT NULL
);
CREATE INDEX reprise_entry_at ON reprise_entry (at);
CREATE TABLE reprise_charge (
  key TEXT NOT NULL,
  day BIGINT NOT NULL,
  usd BIGINT NOT NULL,
  PRIMARY KEY (key, day)
);
CREATE TABLE reprise_outbox (
  name TEXT PRIMARY KEY,
  shipped BIGINT NOT NULL
);
";

/// What the first replica gives to the fleet: a secret, and the keys that are hashed with it.
struct Founder {
    secret: [u8; 32],
    keys: Vec<Stored>,
}

impl Founder {
    /// What the folder of a replica has to give: what it last saw of a fleet, whose database must have been lost,
    /// else its own.
    ///
    /// # Errors
    /// It is there, and cannot be read.
    fn of(folder: &Path) -> Result<Founder, Unkept> {
        if let Some((secret, keys)) = copy::read(folder)? {
            return Ok(Founder { secret, keys });
        }
        Ok(Founder { secret: store::own_secret(folder)?, keys: Store::left_in(folder)? })
    }
}

impl Session {
    /// Makes the tables where they are absent, with what `folder` has to give.
    pub(super) fn found(&mut self, folder: &Path) -> Result<(), Unkept> {
        let asked = "SELECT to_regclass('reprise_fleet') IS NOT NULL";
        if !self.step(async |client| client.query_one(asked, &[]).await?.try_get(0))? {
            let Founder { secret, keys } = Founder::of(folder)?;
            let settings: Vec<String> = keys.iter().map(Stored::settings).collect::<Result<_, _>>()?;
            self.step_within(LONG, async |client| {
                let making = begin(client).await?;
                making.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
                // Another replica may have been here while we waited.
                if !making.query_one(asked, &[]).await?.try_get::<_, bool>(0)? {
                    making.batch_execute(TABLES).await?;
                    let first = "INSERT INTO reprise_fleet (version, secret) VALUES ($1, $2)";
                    making.execute(first, &[&VERSION, &secret.as_slice()]).await?;
                    for (key, settings) in keys.iter().zip(&settings) {
                        super::keys::insert(&making, key, settings).await?;
                    }
                }
                making.commit().await
            })?;
        }
        Ok(self.check()?)
    }

    /// Whether the tables are of this version.
    pub(super) fn check(&mut self) -> Result<(), Trouble> {
        let asked = "SELECT version FROM reprise_fleet";
        match self.step(async |client| client.query_one(asked, &[]).await?.try_get(0))? {
            VERSION => Ok(()),
            other => Err(Trouble::Version(self.shown.clone(), other)),
        }
    }
}
