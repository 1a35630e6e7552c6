//! Deltas to bytes: the wire types and their JSON.
//!
//! Owns every type that is serialized, the names in it and the rules of each dialect: [`native`] is our own
//! form, [`reference`] the JSON form of the reference system's `Connections` message. Does not decide what a
//! client is told (`deltas` does) and knows no HTTP (`endpoints` does).
//!
//! Domain types are never serializable. Each has a counterpart here that is built by destructuring it without
//! `..`, so that a new field does not compile until someone decides about it. Answers are written as a
//! stream: one connection at a time is turned into its wire form, never all of them.
//!
//! Nothing here does IO beyond the writer that is handed in, reads a clock or waits.

mod answer;
mod client_view;
pub mod native;
pub mod reference;
mod status;
mod wall_time;

pub use answer::Answer;
pub use client_view::ClientView;
pub use status::{Capability, DegradationView, Program, Status};
pub use wall_time::WallTime;
