//! End to end: the real binary, real clients, real servers. What one crate can show alone is not tested here.
//!
//! Each test owns its world: a daemon on a socket in a directory of its own, traffic in a network namespace of
//! its own. Other connections of the host are traced too, so a test looks at its own namespace only, or tries
//! again when the host was not quiet.

#![allow(unreachable_pub, reason = "a test binary has no users")]

mod access;
mod behind;
mod by_ports;
mod containers;
mod contract;
mod curl;
mod daemon;
mod datagrams;
mod doctor;
mod echo;
mod exchange;
mod exits;
#[path = "../fixtures/exposition.rs"]
mod exposition;
mod filters;
mod freshness;
mod full_log;
mod independent_decoder;
mod interrupted;
mod ledger;
mod limits;
mod listing;
mod lookups;
mod lookups_burst;
mod lookups_late;
mod lost_answers;
mod metrics;
mod missing;
mod names;
mod needs;
mod nginx;
#[path = "../fixtures/not_run.rs"]
mod not_run;
#[path = "../../../endpoints/tests/openapi/mod.rs"]
mod openapi;
mod place;
mod polling;
mod privileges;
mod process;
mod raw;
mod resolvers;
mod restart;
mod roll_ups;
#[path = "../fixtures/routed.rs"]
#[allow(dead_code, reason = "shared with the tests of translations, which use all of it")]
mod routed;
mod routes;
mod superseded;
mod told_lookups;
mod traffic;
mod translations;
mod users;
mod wait;
#[allow(dead_code, reason = "shared with the kernel tests, which use all of it")]
#[path = "../fixtures/world.rs"]
mod world;
