//! A request's keys: what must be equal for an answer to be shared.
//!
//! | file | has |
//! |---|---|
//! | `bypass` | why a request is not compared by meaning, or not cached at all |
//! | `canonical` | JSON written in one way only |
//! | `continuation` | whether a text has content words of its own |
//! | `key` | exact key, partition and question of a request |
//! | `question` | which text is compared by meaning, and when it may be |

pub mod bypass;
mod canonical;
mod continuation;
pub mod key;
pub mod question;

pub use bypass::Bypass;
pub use key::{Canon, Circumstances, canon, embedding_keys};
pub use question::Question;
