//! All fresh entries of Redis, in the form of a server's export.

use super::{Bulk, Stopped, Walk};
use crate::base::digest::ExactKey;
use crate::cache::Cache;
use crate::cache::carry::{MARK, put_frame};
use crate::cache::codec::{self, Sealed};
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;

/// Bytes of a piece, about.
const PIECE: usize = 1 << 18;

/// What an export came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    pub entries: usize,
    pub expired: usize,
    /// Met by a purge, and about to be deleted.
    pub purged: usize,
    /// By the reason's word.
    pub unreadable: BTreeMap<&'static str, usize>,
}

/// An export in progress: each piece is fetched when it is asked for.
pub struct Export {
    bulk: Bulk,
    walk: Walk,
    piece: BytesMut,
    exported: Exported,
}

impl Cache {
    /// Every fresh entry that lies in Redis, with its vector, encrypted with the current key where there is one. What
    /// cannot be read is left out and counted.
    ///
    /// # Errors
    /// There is no Redis, or it is not reached.
    pub async fn export_shared(&self) -> Result<Export, Stopped> {
        let bulk = self.bulk().await?;
        let walk = Walk::over(&bulk.shared, None);
        Ok(Export { bulk, walk, piece: BytesMut::from(MARK), exported: Exported::default() })
    }
}

impl Export {
    /// The next piece of the file; `None` when it is whole.
    ///
    /// # Errors
    /// Redis went away, and the rest is not to be had.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Stopped> {
        while self.piece.len() < PIECE {
            let Some(found) = self.bulk.step(&mut self.walk).await? else { break };
            found.iter().for_each(|(key, bytes)| self.put(key, bytes));
        }
        Ok((!self.piece.is_empty()).then(|| self.piece.split().freeze()))
    }

    /// What it has come to so far.
    pub fn so_far(&self) -> &Exported {
        &self.exported
    }

    fn put(&mut self, key: &ExactKey, bytes: &[u8]) {
        let (shared, told) = (&self.bulk.shared, &mut self.exported);
        let stored = match codec::decode_for(key, bytes, &shared.keys) {
            Ok(stored) => stored,
            Err(why) => {
                *told.unreadable.entry(why.word()).or_default() += 1;
                return;
            }
        };
        if shared.rules.refuses(&stored.entry, stored.embedding.as_ref()) {
            told.purged += 1;
        } else if !stored.entry.is_fresh(shared.clock.now()) {
            told.expired += 1;
        } else {
            told.entries += 1;
            match stored.sealed {
                Sealed::Old => {
                    let anew = codec::encode(&stored.entry, stored.embedding.as_ref(), &shared.keys);
                    put_frame(&mut self.piece, &anew);
                }
                Sealed::Plain | Sealed::Current => put_frame(&mut self.piece, bytes),
            }
        }
    }
}
