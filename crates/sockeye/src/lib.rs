//! The process: command line, configuration, wiring, life cycle.
//!
//! The only crate that sees all others. Holds no logic of theirs: `collect` reads the kernel, `connections`
//! and `deltas` decide, `encode` writes, `endpoints` speaks HTTP. A library only so that tests can start the
//! parts that the binary starts.

mod about;
pub mod access;
pub mod cli;
pub mod config;
mod containers;
pub mod context;
mod counts;
pub mod doctor;
pub mod exit;
mod loading;
pub mod logging;
mod memory;
mod own_cost;
mod pages;
mod privileges;
pub mod process;
mod screen;
pub mod state;
mod status;
mod wall;
