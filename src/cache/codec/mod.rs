//! Entries as bytes: what lies on disk, in Redis and in exports.
//!
//! ```text
//! encode: Entry + vector ─ fields ─ zstd, if it pays ─ encryption, if there is a key ─ envelope
//! decode: envelope (magic, version, checksum) ─ decryption ─ zstd, bounded ─ fields ─> Stored
//! ```
//!
//! ```
//! use reprise::cache::codec::{self, Keys};
//! # fn show(entry: &reprise::cache::Entry, embedding: &codec::Embedding) {
//! let keys = Keys::none(); // or Keys::of(config.store.encryption_key.as_ref(), config.store.encryption_key_old.as_ref())
//! let bytes = codec::encode(entry, Some(embedding), &keys);
//! match codec::decode_for(&entry.key, &bytes, &keys) {
//!     Ok(stored) => assert_eq!(stored.entry, *entry),
//!     Err(undecodable) => println!("a miss, counted as {}", undecodable.word()),
//! }
//! # }
//! ```
//!
//! Promises: what was encoded comes back equal in every field, the vector bit by bit. Any changed or missing
//! byte is an `Undecodable`, never a panic and never another entry; decoding allocates at most
//! `envelope::MOST_RATIO` times what it is given. Without a key that is a promise against accidents; against
//! somebody who writes into the store on purpose it takes a key, because a checksum can be computed by
//! anyone. `decode_for` also refuses an entry that lies under another entry's key.
//!
//! With `store.encryption_key` set only what is encrypted is read, so that nobody can slip in what is not.
//! With `store.encryption_key_old` beside it, what the old key encrypted is read too, and
//! `Stored::sealed` says so: write it again to have it under the new one. The old key alone reads
//! encrypted entries and writes plain ones: the way back.
//!
//! Cost of an answer of 2 KiB with a vector of 512 numbers: see `benches/results`; some ten microseconds
//! either way. Nothing here waits.
//!
//! | file | has |
//! |---|---|
//! | `envelope` | magic, version, checksum, compression, encryption |
//! | `fields` | an entry's fields, one after the other |
//! | `cursor` | numbers, texts and lists as bytes, read with every length checked |
//! | `keys` | what entries are encrypted with |

mod cursor;
pub mod envelope;
mod fields;
pub mod keys;

pub use envelope::Sealed;
pub use keys::Keys;

use super::entry::Entry;
use crate::base::digest::ExactKey;
use crate::semantic::embedder::Vector;
use cursor::Cursor;
use envelope::Opened;
use std::sync::Arc;

/// A question's vector, and the model that it came from: vectors of two models are never compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// `Semantic::model_name`.
    pub model: Arc<str>,
    pub vector: Vector,
}

/// What came back.
#[derive(Debug, PartialEq)]
pub struct Stored {
    pub entry: Entry,
    pub embedding: Option<Embedding>,
    pub sealed: Sealed,
}

/// Why bytes are no entry. Each is a miss; `word` is the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Undecodable {
    #[error("the bytes are damaged")]
    Corrupt,
    #[error("the bytes were not written by reprise")]
    Foreign,
    #[error("the entry was written by a newer version; upgrade this one")]
    Newer,
    #[error("the entry is encrypted with another key; set store.encryption_key_old to that one")]
    WrongKey,
    #[error("the entry is not encrypted, and store.encryption_key is set")]
    Unsealed,
    #[error("the entry lies under another entry's key")]
    Misplaced,
}

impl Undecodable {
    pub fn word(self) -> &'static str {
        match self {
            Undecodable::Corrupt => "corrupt",
            Undecodable::Foreign => "foreign",
            Undecodable::Newer => "newer",
            Undecodable::WrongKey => "wrong_key",
            Undecodable::Unsealed => "unsealed",
            Undecodable::Misplaced => "misplaced",
        }
    }
}

/// The bytes of an entry, encrypted with the current key where there is one (then two calls give
/// different bytes).
pub fn encode(entry: &Entry, embedding: Option<&Embedding>, keys: &Keys) -> Vec<u8> {
    envelope::seal(fields::written(entry), written(embedding), keys)
}

/// What `encode` was given.
pub fn decode(bytes: &[u8], keys: &Keys) -> Result<Stored, Undecodable> {
    let Opened { fields, vector, sealed } = envelope::open(bytes, keys)?;
    let entry = fields::read(&fields).ok_or(Undecodable::Corrupt)?;
    let embedding = embedding(&vector).ok_or(Undecodable::Corrupt)?;
    Ok(Stored { entry, embedding, sealed })
}

/// As `decode`, for bytes that were found under `key`.
pub fn decode_for(key: &ExactKey, bytes: &[u8], keys: &Keys) -> Result<Stored, Undecodable> {
    let stored = decode(bytes, keys)?;
    if stored.entry.key == *key { Ok(stored) } else { Err(Undecodable::Misplaced) }
}

fn written(embedding: Option<&Embedding>) -> Vec<u8> {
    let Some(Embedding { model, vector }) = embedding else { return Vec::new() };
    let mut out = Vec::with_capacity(model.len() + 16 + size_of_val(&**vector));
    cursor::text(&mut out, model);
    cursor::number(&mut out, vector.len() as u64);
    for number in vector.iter() {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out
}

/// `None`: no vector of length one. `Some(None)`: there is none.
fn embedding(bytes: &[u8]) -> Option<Option<Embedding>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let mut cursor = Cursor::of(bytes);
    let model = Arc::from(cursor.text()?);
    let length = cursor.length()?;
    let raw = cursor.rest();
    if raw.len() != length.checked_mul(size_of::<f32>())? {
        return None;
    }
    let (numbers, _) = raw.as_chunks::<4>();
    let vector: Vector = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    let squares: f64 = vector.iter().map(|number| f64::from(*number).powi(2)).sum();
    ((squares - 1.0).abs() < 1e-2).then_some(Some(Embedding { model, vector }))
}

#[cfg(test)]
mod tests;
