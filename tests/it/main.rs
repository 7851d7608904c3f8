//! Scenes against the real thing, in one binary.

mod budget;
mod canon;
mod config;
mod front;
mod semantic;
mod stand_in;
mod tape;
mod wire;
mod world;
