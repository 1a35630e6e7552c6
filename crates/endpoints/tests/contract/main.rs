//! The API as clients meet it: the real accept loop and router over a unix socket, in front of a state that
//! is real in what it tells (`deltas::Clients` over a small table) and obeys the test in when it does.

mod admission;
mod after;
mod clients;
mod coding;
mod debug;
mod delivery;
mod document;
mod errors;
mod forms;
mod http;
mod listing;
mod metrics;
#[path = "../openapi/mod.rs"]
mod openapi;
mod routes;
mod serving;
mod slow_readers;
mod socket;
mod state;
mod superseding;
mod world;
