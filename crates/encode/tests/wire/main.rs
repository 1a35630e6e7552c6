//! The bytes of both dialects, against fixed files and against their rules.

mod golden;
mod rules;
mod udp;
mod world;
