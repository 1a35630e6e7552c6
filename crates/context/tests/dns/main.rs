//! What is made of messages to and from name servers: lookups, names, and messages out of segments.

#[path = "../fixtures/mod.rs"]
mod fixtures;

mod addresses;
mod exchanges;
mod messages;
mod segments;
