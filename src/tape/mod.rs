//! Recorded answers.
//!
//! ```text
//! upstream bytes ─┬─────────────────────────────> the client, unchanged
//!                 └ decode ─ recorder ─┬─ live ──> followers, as it comes
//!                                      └ finish ─> Tape ─> play(form): stream or plain body
//! ```
//!
//! | file | has |
//! |---|---|
//! | `decode` | gzip, br and zstd undone while they flow, with a cap |
//! | `recorder` | one answer read along, and whether it came in whole |
//! | `reel` | `Tape`: what is kept, and how it is played in either form |
//! | `live` | an answer in progress that others join |

pub mod decode;
pub mod live;
pub mod recorder;
pub mod reel;

pub use recorder::{Ended, Recorder, Recording};
pub use reel::{CannotPlay, Playback, Reeled, Tape};
