//! The API as clients meet it: the real accept loop and router over a unix socket and TCP, in front of a state that
//! is real in what it tells (`deltas::Clients` over a small table) and obeys the test in when it does.

mod access;
mod admission;
mod after;
mod clients;
mod coding;
mod debug;
mod delivery;
mod delivery_tcp;
mod document;
mod errors;
mod forms;
mod http;
mod listing;
mod metrics;
#[path = "../../../sockeye/tests/fixtures/not_run.rs"]
#[allow(unreachable_pub, reason = "other tests share it")]
mod not_run;
#[path = "../openapi/mod.rs"]
mod openapi;
mod routes;
mod serving;
mod slow;
mod slow_readers;
mod socket;
mod state;
mod superseding;
mod token;
mod world;
