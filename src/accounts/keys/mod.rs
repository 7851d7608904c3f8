//! Virtual keys: who is let in, as whom, and how far.
//!
//! ```text
//! credential ─ keyed hash ─> ring ─ Key ─┬─ grant: models, scope, cache, limits, budgets
//!                             ^          └─ meter: what it has used, and what is held for it
//!    store (SQLite or Postgres; CLI, API) ┴ [[key]]
//! ```
//! | file | has |
//! |---|---|
//! | `ring` | every key that is known, and who is let in |
//! | `meter` | rates, concurrency and budgets of one key, in memory |
//! | `fleet` | the seam to what replicas share |
//! | `part` | what a meter keeps for the sake of other replicas |
//! | `joint` | limits over all replicas: what is asked, and told behind the requests |
//! | `period` | days, weeks and months of UTC |
//! | `estimate` | tokens of a request before it is sent |
//! | `store` | the keys that are kept, and changes to them |
//! | `file` | those of one process, in SQLite |
//! | `webhook` | posts that a soft limit was passed |

pub mod estimate;
mod file;
pub mod fleet;
pub(super) mod joint;
pub mod meter;
mod part;
pub mod period;
pub mod ring;
pub mod store;
pub(super) mod webhook;

pub use part::LAPSE;
pub use ring::{Admitted, Key, Ring, Strangers};
