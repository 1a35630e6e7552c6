//! The clients of the API, one rule at a time.

mod answers;
mod closed_log;
mod everything;
mod expiry;
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod polls;
mod registration;
mod rolled_up;
mod tickets;
mod world;
