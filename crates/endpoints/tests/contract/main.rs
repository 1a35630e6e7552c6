//! The API as clients meet it: the real accept loop and router over a unix socket, in front of a state that
//! is real in what it tells (`deltas::Clients` over a small table) and obeys the test in when it does.

mod admission;
mod after;
mod clients;
mod delivery;
mod errors;
mod http;
mod metrics;
mod routes;
mod serving;
mod socket;
mod state;
mod superseding;
mod world;
