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
//! | `manifest` | `models/manifest.toml`: what each model is, and its calibrated thresholds |
//! | `runtime` | finds and loads ONNX Runtime once |
//! | `embedder` | the trait, and what every model promises |
//! | `minilm`, `multilingual`, `folder` | the models |
//! | `cover` | which languages a model covers, and whether a text is in one |
//! | `pool` | threads, queue, batches, shedding |
//! | `flat`, `hnsw`, `index` | search inside one partition, and the map of partitions |
//! | `verify` | whether one answer serves both questions |
//! | `budget` | holds a wrong-hit budget: which hits are audited, and the threshold that follows |

pub mod budget;
pub mod cover;
pub mod embedder;
pub mod index;
pub mod manifest;
pub mod pool;
pub mod runtime;
pub mod verify;
