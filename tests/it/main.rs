//! Scenes against the real thing, in one binary.

mod canon;
mod config;
mod front;
mod semantic;
mod stand_in;
mod tape;
mod verify;
mod wire;
mod world;
