//! One recorded answer.

use crate::base::clock::Millis;
use crate::base::digest::{ExactKey, Partition, Scope};
use crate::tape::Tape;
use crate::wire::embeddings::{Frame, Item};
use crate::wire::usage::Usage;
use std::sync::Arc;
use std::time::Duration;

/// A name and its value, as clients tag what they ask.
pub type Tag = (Box<str>, Box<str>);

/// What is kept for one exact key. Immutable; shared by `Arc`.
#[derive(Debug, PartialEq)]
pub struct Entry {
    pub key: ExactKey,
    /// Compared again on every hit, beside the key. An embedding has no question: its own key stands here.
    pub partition: Partition,
    /// Who may share it; a part of the key and of the partition, kept so that a scope can be purged.
    pub scope: Scope,
    /// From `x-reprise-namespace`; already a part of the scope.
    pub namespace: Option<Box<str>>,
    /// The model that was asked for.
    pub model: Box<str>,
    /// What is compared by meaning; `None` for an exact-only request.
    pub question: Option<Arc<str>>,
    /// From `x-reprise-tags`.
    pub tags: Vec<Tag>,
    pub stored: Millis,
    pub expires: Millis,
    pub content: Content,
}

#[derive(Debug, PartialEq)]
pub enum Content {
    Answer(Tape),
    Embedding(Embedded),
}

/// One input's embedding, with its share of what the batch cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    pub item: Item,
    pub usage: Option<Usage>,
    /// What the answer said besides; shared by the inputs of one batch.
    pub frame: Arc<Frame>,
}

/// An entry's name for clients: the first 128 bits of its exact key, 32 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryId([u8; 16]);

impl EntryId {
    /// `None`: not 32 hex digits.
    pub fn parse(text: &str) -> Option<EntryId> {
        let mut id = [0; 16];
        if text.len() != 32 || !text.is_ascii() {
            return None;
        }
        for (at, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
        }
        text.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(EntryId(id))
    }

    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn names(&self, key: &ExactKey) -> bool {
        key.0[..16] == self.0
    }
}

/// Bytes that the maps, the `Arc` and the struct itself take beside the content. Measured with a
/// counting allocator on 100,000 one-byte entries, rounded up.
const OVERHEAD: usize = 512;

impl Entry {
    /// The id that clients see in `x-reprise-entry`: 128 bits of the exact key.
    pub fn id(&self) -> String {
        Entry::id_of(&self.key)
    }

    pub fn id_of(key: &ExactKey) -> String {
        let mut id = key.hex();
        id.truncate(32);
        id
    }

    pub fn is_fresh(&self, now: Millis) -> bool {
        now < self.expires
    }

    pub fn age(&self, now: Millis) -> Duration {
        now.since(self.stored)
    }

    /// Tokens that a hit saves, where the upstream reported them.
    pub fn usage(&self) -> Option<Usage> {
        match &self.content {
            Content::Answer(tape) => tape.outline.usage,
            Content::Embedding(embedded) => embedded.usage,
        }
    }

    /// How long it stays fresh.
    pub fn ttl(&self, now: Millis) -> Duration {
        self.expires.since(now)
    }

    /// Bytes in memory, less the vector.
    pub fn size(&self) -> usize {
        let content = match &self.content {
            Content::Answer(tape) => tape.size(),
            Content::Embedding(embedded) => embedded.item.0.len(),
        };
        let tags: usize = self.tags.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        let question = self.question.as_ref().map_or(0, |text| text.len());
        let namespace = self.namespace.as_ref().map_or(0, |name| name.len());
        content + question + self.model.len() + namespace + tags + OVERHEAD
    }
}
