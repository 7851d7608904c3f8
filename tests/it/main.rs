//! Scenes against the real thing, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a scene that cannot go on shall fail; clippy allows this by itself in test functions only"
)]

mod audit;
mod batches;
mod budget;
mod canon;
mod config;
mod cross;
mod eval;
mod exact;
mod front;
mod keys;
mod kinds;
mod lanes;
mod ledger;
mod meaning;
mod observe;
mod router;
mod savings;
mod semantic;
mod serving;
mod shared;
mod stand_in;
mod store;
mod streams;
mod verify;
mod why;
mod wire;
mod wordings;
mod world;
