//! The clients of the API, one rule at a time.

mod answers;
mod closed_log;
mod expiry;
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod receipts;
mod registration;
mod world;
