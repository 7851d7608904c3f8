//! Bytes in and out: the only module that knows connections and status codes. It decides nothing.
//!
//! ```text
//! listener ─> listen: accept, cap, drain ─┬─> front ─> body (read) ─> service(Ask)
//!                                         │     └──── body (write) <── Reply, or face(Fault)
//!                                         └─> admin: /healthz /readyz /metrics, api
//! ```
//!
//! | file | has |
//! |---|---|
//! | `listen` | the accept loop, the limits of a connection, the drain |
//! | `front` | one API request: into an `Ask`, and its `Reply` back |
//! | `body` | request bodies read whole or flowing, reply bodies written |
//! | `face` | fault -> status and the dialect's error body |
//! | `admin` | health, readiness, metrics, behind a token |
//! | `api` | explain and feedback, on the admin side |
//! | `books` | the ledger, likewise |
//! | `keys` | virtual keys, likewise |
//! | `stored` | entries listed, purged, exported, imported and warmed, on the admin side |
//! | `warming` | what the last of them takes |

pub mod admin;
pub mod api;
mod body;
pub mod books;
mod face;
mod front;
pub mod keys;
mod listen;
mod stored;
pub mod warming;

pub use front::Front;
pub use listen::{Accept, Drained};
