//! Answers that a command has kept, written into Redis.

use super::{Bulk, Stopped};
use crate::cache::Cache;
use crate::cache::codec::Embedding;
use crate::cache::entry::Entry;
use crate::cache::restore::embedding_of;
use crate::cache::shared::write::Put;
use std::sync::Arc;

/// What became of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is there, with a vector.
    ByMeaning,
    /// It is there, without one.
    ExactOnly,
    /// Not written: it was not fresh any more.
    Expired,
    /// Not written: no replica would serve it, as a purge meets it that was ordered later by its clock.
    Purged,
}

/// Writing answers, over one connection for all of them.
pub struct Warm {
    cache: Arc<Cache>,
    bulk: Bulk,
}

impl Cache {
    /// # Errors
    /// There is no Redis, or it is not reached.
    pub async fn warm_shared(self: &Arc<Self>) -> Result<Warm, Stopped> {
        Ok(Warm { cache: self.clone(), bulk: self.bulk().await? })
    }

    /// A new vector for an entry's question; `None` where it has none, or cannot have one.
    pub(super) async fn embedding_for(&self, entry: &Entry) -> Option<Embedding> {
        let (semantic, question) = (self.semantic()?, entry.question.clone()?);
        semantic.suits(&question).ok()?;
        let vector = semantic.embed_patiently(question).await.ok()?;
        Some(embedding_of(semantic.model_name(), vector))
    }
}

impl Warm {
    /// Embeds the questions of kept entries, where there are any to compare by, and writes the entries. When this
    /// returns it is done; says of each what became of it.
    ///
    /// # Errors
    /// Redis did not take them; some may be there.
    pub async fn write(&mut self, entries: &[Arc<Entry>]) -> Result<Vec<Written>, Stopped> {
        let mut together = Vec::with_capacity(entries.len());
        for entry in entries {
            together.push((entry.clone(), self.cache.embedding_for(entry).await));
        }
        let put = self.bulk.write(&together).await?;
        let written = together.iter().zip(put).map(|((_, embedding), put)| match (put, embedding) {
            (Put::Sent, Some(_)) => Written::ByMeaning,
            (Put::Sent, None) => Written::ExactOnly,
            (Put::Expired, _) => Written::Expired,
            (Put::Purged, _) => Written::Purged,
        });
        Ok(written.collect())
    }
}
