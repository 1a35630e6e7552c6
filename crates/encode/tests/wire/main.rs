//! The bytes of both dialects, against fixed files and against their rules.

mod behind;
#[path = "../fixtures/context.rs"]
mod context;
mod ends;
#[path = "../fixtures/mod.rs"]
mod fixtures;
mod golden;
mod keys;
mod lookups;
mod rules;
mod telemetry;
mod udp;
mod world;
