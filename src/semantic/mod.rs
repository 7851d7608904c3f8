//! Comparison by meaning.
//!
//! ```text
//! question ─ cover ─> embed (pool: own threads, bounded queue, micro-batches) ─> vector
//!            │                                                                     │
//!            └ Bypass                    index of the partition: flat, or HNSW ────┘ neighbours
//!                                                                                  │
//!                                        verify(question, neighbour, cosine) ──────┘ Judgement
//! ```
//!
//! | file | has |
//! |---|---|
//! | `engine` | all of it in one piece: [`Semantic`] |
//! | `manifest` | `models/manifest.toml`: what each model is, and its calibrated thresholds |
//! | `runtime` | finds and loads ONNX Runtime once |
//! | `embedder` | the trait, and what every model promises |
//! | `open` | from the value of `semantic.model` to a loaded model |
//! | `minilm` | transformers with a tokenizer: MiniLM, any folder, fastembed's catalogue |
//! | `multilingual`, `sentencepiece` | a graph from strings to vectors, and its tokenizer |
//! | `protobuf` | looks into an ONNX file |
//! | `trim` | gives memory back once a model is loaded |
//! | `cover` | which languages a model covers, and whether a text is in one |
//! | `pool` | threads, queue, batches, shedding |
//! | `index`, `partition` | the map of partitions, and the entries of one |
//! | `codes` | vectors in bytes to be searched, in full to be scored |
//! | `flat`, `hnsw` | search row by row, and in a graph |
//! | `choose` | the decision: which neighbour, if any, serves |
//! | `second`, `cross` | a second opinion on pairs in doubt, and the cross-encoder that gives it |
//! | `wordings` | in which other words a stored question was surely asked |
//! | `verify` | whether one answer serves both questions |
//! | `budget` | holds a wrong-hit budget: which hits are audited, and the threshold that follows |

pub mod budget;
pub mod choose;
pub mod codes;
pub mod cover;
pub mod cross;
pub mod embedder;
pub mod engine;
pub mod flat;
pub mod hnsw;
pub mod index;
pub mod manifest;
mod minilm;
mod multilingual;
mod open;
mod partition;
pub mod pool;
mod protobuf;
pub mod runtime;
pub mod second;
mod sentencepiece;
mod trim;
pub mod verify;
pub mod wordings;

pub use embedder::{EmbedError, Vector};
pub use engine::{LoadError, Semantic};
pub use index::Neighbour;
