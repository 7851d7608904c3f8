//! A request's keys: what must be equal for an answer to be shared.
//!
//! | file | has |
//! |---|---|
//! | `bypass` | why a request is not compared by meaning, or not cached at all |
//! | `canonical` | JSON written in one way only |
//! | `continuation` | whether a text has content words of its own |
//! | `key` | exact key, partition and question of a request |
//! | `outline` | what a partition is made of, as digests, to name what differs |
//! | `question` | which text is compared by meaning, and when it may be |

pub mod bypass;
mod canonical;
mod continuation;
pub mod key;
pub mod outline;
pub mod question;

pub use bypass::Bypass;
pub use key::{Canon, Circumstances, canon, embedding_keys, outline as outline_of};
pub use outline::{Difference, Outline};
pub use question::Question;
