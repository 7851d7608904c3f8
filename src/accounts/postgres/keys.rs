//! The virtual keys of a fleet.

use super::{Session, Trouble, begin};
use crate::accounts::keys::store::{Added, Place, Stored, Unkept, signed, unsigned};
use crate::accounts::ledger::Charge;
use crate::base::money::NanoUsd;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Row, Transaction};

const COLUMNS: &str = "id, hash, old_hash, old_until, created, expires, disabled, settings";

impl Session {
    /// What the keys' hashes are keyed with.
    pub fn secret(&mut self) -> Result<[u8; 32], Unkept> {
        let asked = "SELECT secret FROM reprise_fleet";
        let secret: Vec<u8> = self.step(async |client| client.query_one(asked, &[]).await?.try_get(0))?;
        secret.try_into().map_err(|_| Unkept::Hash)
    }
}

impl Place for Session {
    fn version(&mut self) -> Result<i64, Unkept> {
        let asked = "SELECT key_changes FROM reprise_fleet";
        Ok(self.step(async |client| client.query_one(asked, &[]).await?.try_get(0))?)
    }

    fn all(&mut self) -> Result<Vec<Stored>, Unkept> {
        let asked = format!("SELECT {COLUMNS} FROM reprise_key ORDER BY created, id");
        let rows = self.step(async |client| client.query(&asked, &[]).await)?;
        rows.iter().map(|row| read(row, &self.shown)).collect()
    }

    fn add(&mut self, key: &Stored) -> Result<Added, Unkept> {
        let settings = key.settings()?;
        let added = self.step(async |client| {
            let step = begin(client).await?;
            if let Err(wrong) = insert(&step, key, &settings).await {
                if wrong.code() != Some(&SqlState::UNIQUE_VIOLATION) {
                    return Err(wrong);
                }
                step.rollback().await?;
                return Ok(Added::NameTaken);
            }
            changed(&step).await?;
            step.commit().await?;
            Ok(Added::Yes)
        });
        Ok(added?)
    }

    fn change(&mut self, word: &str, change: &mut dyn FnMut(&mut Stored)) -> Result<(), Unkept> {
        let asked = format!(
            "SELECT {COLUMNS} FROM reprise_key WHERE id = $1 OR name = $1 ORDER BY id = $1 DESC LIMIT 1 FOR UPDATE"
        );
        let update =
            "UPDATE reprise_key SET hash = $2, old_hash = $3, old_until = $4, expires = $5, disabled = $6
            WHERE id = $1";
        let shown = self.shown.clone();
        self.step(async |client| {
            let step = begin(client).await?;
            let Some(row) = step.query_opt(&asked, &[&word]).await? else {
                step.rollback().await?;
                return Ok(Err(Unkept::Unknown(word.to_owned())));
            };
            let mut key = match read(&row, &shown) {
                Ok(key) => key,
                Err(wrong) => {
                    step.rollback().await?;
                    return Ok(Err(wrong));
                }
            };
            change(&mut key);
            let (old, until) = key.old.unzip();
            let (hash, old) = (key.hash.as_bytes().as_slice(), old.map(|old| old.as_bytes().to_vec()));
            let (until, expires) = (until.map(signed), key.expires.map(signed));
            step.execute(update, &[&key.id, &hash, &old, &until, &expires, &key.disabled]).await?;
            changed(&step).await?;
            step.commit().await?;
            Ok(Ok(()))
        })?
    }

    /// Of all replicas.
    fn charges(&mut self, ids: &[String]) -> Result<Vec<Charge>, Unkept> {
        let asked = "SELECT key, day, usd FROM reprise_charge WHERE key = ANY($1)";
        let rows = self.step(async |client| {
            let rows = client.query(asked, &[&ids]).await?;
            let charge = |row: &Row| {
                let (day, usd) = (unsigned(row.try_get(1)?), NanoUsd(unsigned(row.try_get(2)?)));
                Ok(Charge { key: row.try_get(0)?, day, usd })
            };
            rows.iter().map(charge).collect()
        });
        Ok(rows?)
    }
}

/// Has every replica look again.
async fn changed(step: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
    step.execute("UPDATE reprise_fleet SET key_changes = key_changes + 1", &[]).await?;
    Ok(())
}

pub(super) async fn insert(
    step: &Transaction<'_>,
    key: &Stored,
    settings: &str,
) -> Result<(), tokio_postgres::Error> {
    let text =
        format!("INSERT INTO reprise_key (name, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    let (old, until) = key.old.unzip();
    let (hash, old) = (key.hash.as_bytes().as_slice(), old.map(|old| old.as_bytes().to_vec()));
    let (until, created, expires) = (until.map(signed), signed(key.created), key.expires.map(signed));
    let name = &key.grant.name;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
        [name, &key.id, &hash, &old, &until, &created, &expires, &key.disabled, &settings];
    step.execute(&text, &values).await?;
    Ok(())
}

fn read(row: &Row, shown: &str) -> Result<Stored, Unkept> {
    let wrong = |wrong| Trouble::Refused(shown.to_owned(), super::told(&wrong));
    let get = |at: usize| row.try_get::<_, Option<i64>>(at).map_err(wrong);
    let hash = |bytes: Vec<u8>| match bytes.try_into() {
        Ok(bytes) => Ok(blake3::Hash::from_bytes(bytes)),
        Err(_) => Err(Unkept::Hash),
    };
    let id: String = row.try_get(0).map_err(wrong)?;
    let old: Option<Vec<u8>> = row.try_get(2).map_err(wrong)?;
    let settings: String = row.try_get(7).map_err(wrong)?;
    Ok(Stored {
        hash: hash(row.try_get(1).map_err(wrong)?)?,
        old: old.map(hash).transpose()?.zip(get(3)?.map(unsigned)),
        created: get(4)?.map(unsigned).unwrap_or_default(),
        expires: get(5)?.map(unsigned),
        disabled: row.try_get(6).map_err(wrong)?,
        grant: Stored::grant(&id, &settings)?,
        id,
    })
}
