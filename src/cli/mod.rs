//! (being written)

pub mod demo;
pub mod stand_in;
