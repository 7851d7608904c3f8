//! The router: which deployment is asked, what happens when one fails, and what the client is told.
//! Scenes on `stage` run in memory under a paused clock; those in `whole` through the real server.

mod bound;
mod cascade;
mod chaos;
mod choice;
mod failing;
mod limits;
mod settings;
mod stage;
mod whole;
