//! Reprise: a cache-first proxy for LLM APIs whose hits can be trusted.
//!
//! Modules stand in the order below and import only those above them; `tests/arch.rs` holds the
//! order. `docs/ARCHITECTURE.md` walks one request through them.

pub mod base;
pub mod config;
pub mod telemetry;
pub mod wire;
pub mod canon;
pub mod semantic;
pub mod tape;
pub mod cache;
pub mod upstream;
pub mod accounts;
pub mod gateway;
pub mod http;
pub mod app;
pub mod cli;
