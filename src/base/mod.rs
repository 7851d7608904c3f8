//! What every other module may use and that knows none of them.
//!
//! | file | has |
//! |---|---|
//! | `clock` | the one source of time; follows tokio's clock, so tests can pause it |
//! | `corked` | writes that wait for the end of a turn |
//! | `digest` | BLAKE3 newtypes: scope, partition, exact key, credential |
//! | `fault` | what went wrong, on whose side, and what to do about it |
//! | `lanes` | threads with a runtime each, for connections |
//! | `money` | nano-dollars |
//! | `secret` | text that is never printed |
//! | `tasks` | background work that a drain waits for |

pub mod clock;
pub mod corked;
pub mod digest;
pub mod fault;
pub mod lanes;
pub mod money;
pub mod secret;
pub mod tasks;
