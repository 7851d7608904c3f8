//! What every embedding model promises.

use std::sync::Arc;

/// A unit-length embedding: `dim` finite floats whose squares sum to one, so that a dot product is a
/// cosine. Cheap to clone.
pub type Vector = Arc<[f32]>;

/// Why a text could not be embedded. Every variant is a miss for the request, never an error.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The queue is full or the wait was too long; the cache is behind.
    #[error("the embedder is behind; the request was let through")]
    Shed,
    /// Longer than the model's window. Never truncated.
    #[error("{tokens} tokens, and the model reads {max}")]
    TooLong { tokens: usize, max: usize },
    #[error("the embedding model failed: {0}")]
    Model(String),
}

/// One loaded model. Blocking; called from the pool's own threads only.
pub trait Embedder: Send + Sync {
    /// The model's name in `models/manifest.toml`, or its folder.
    fn name(&self) -> &str;
    /// Length of every vector.
    fn dim(&self) -> usize;
    /// One vector a text, in order. A text that is too long fails alone.
    fn embed(&self, texts: &[&str]) -> Vec<Result<Vector, EmbedError>>;
}
