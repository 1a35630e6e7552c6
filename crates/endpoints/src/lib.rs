//! The HTTP API.
//!
//! Owns the sockets, the accept loop, the routes, who may ask at all and what at once, and the knowledge whether
//! an answer arrived. Does not own the state (it asks a [`Backend`]), what a client is told (`deltas`) or the
//! form of it (`encode`).
//!
//! One request, through the files: `serve` takes what `listeners` accept, `access` decides who may ask, by the `credentials` that the
//! kernel knows or by the `token`, `link` is the socket as both directions and the delivery see it, `routes` finds the endpoint, `polls`, `registrations`, `listings`
//! and `probes` answer, `admission` bounds the polls, `body` streams the encoding, `delivery` finds out what
//! became of it, `problem` is every other ending; `openapi` is the contract of them all. `counts` counts all of it. Which poll of a client is answered
//! when is the rule of `turns`, which the state applies.

mod accept;
mod access;
mod admission;
mod api;
mod body;
mod coding;
mod counts;
mod credentials;
mod debug;
mod delivery;
mod dialect;
mod error;
mod forms;
mod limits;
mod link;
mod link_io;
mod listeners;
mod listings;
mod openapi;
mod polls;
mod probes;
mod problem;
mod query;
mod readers;
mod registrations;
mod request;
mod response;
mod routes;
mod serve;
mod socket;
mod tasks;
mod tcp;
mod token;
mod turns;

pub use access::SocketAccess;
pub use error::EndpointError;
pub use limits::HttpLimits;
pub use openapi::OPENAPI;
pub use query::{
    Backend, ClientAnswer, ClientsAnswer, Everything, Identity, ListenersAnswer, Page, Poll, PollAnswer,
    Query, Registered, Reply, Unavailable,
};
pub use serve::{Drained, serve};
pub use socket::BoundSocket;
pub use tcp::BoundTcp;
pub use token::{InvalidToken, Token};
pub use turns::{Pass, TurnCounts, Turns};
