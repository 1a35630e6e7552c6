//! Names of addresses, and what became of queries, from the messages to and from name servers that pass the sockets of
//! this host.
//!
//! Does no IO: `collect` copies the payloads, and whoever owns the thread hands them in.
//!
//! - What is taken: standard queries with one question of the class IN, and their answers. Everything else is counted.
//! - Who asks: the socket whose other end has the port of a name server, where queries leave and answers come. A name
//!   server on this host is seen from its own socket too; that side is left out, so that each exchange counts once. Whoever
//!   asked it from another host has no connections here. What it asks itself, it asks as anybody does.
//! - Names come only from answers to queries that were seen, through the same port, for the same name and type, with the same
//!   number, and in time: nobody else can name an address. An address gets the name that was asked for, and what that is an
//!   alias of in the end.
//! - What is not seen: names found in files (`/etc/hosts`) or in caches of processes; mDNS and LLMNR, whose answers belong
//!   to no query; DNS over TLS, HTTPS and QUIC, which nobody can read.
//! - Of a message that is there only in part what is there serves, except for the extended bits of its code, which are at
//!   its end. An answer without a question belongs to no query; that one gets none in time.
//!
//! At the limits: names take 12.2 MiB (see [`Names`]), pending queries 2 MiB, and segments that wait for others 4 MiB
//! where somebody on this host means to fill all of them; some kilobytes of those are usual.

mod addresses;
mod interned;
mod lookups;
mod message;
mod moment;
mod pending;
mod streams;
mod text;

use std::time::Duration;

pub use addresses::{KnownName, Names, NamesCounts};
pub use lookups::Lookups;

/// What bounds names and queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsLimits {
    /// Ports of name servers. A packet whose other end has none of them is left out.
    pub ports: Vec<u16>,
    /// Addresses that have names, at most; at least 1.
    pub addresses: usize,
    /// Names of all addresses together, at most; at least 2. The addresses that were longest not used make room.
    pub names: usize,
    /// Names of one address, at most; at least 2, one that was asked for and what it is an alias of.
    pub names_of_address: usize,
    /// Queries that wait for their answer, at most; at least 1. The oldest makes room.
    pub pending: usize,
    /// How long they wait.
    pub timeout: Duration,
    /// TCP connections to name servers of which segments are put together, at most; at least 1. The longest unused makes
    /// room. Each takes at most 136 KiB, and only while something is missing.
    pub tcp_connections: usize,
}

impl Default for DnsLimits {
    fn default() -> Self {
        Self {
            ports: vec![53],
            addresses: 49_152,
            names: 49_153,
            names_of_address: 32,
            pending: 8192,
            timeout: Duration::from_secs(15),
            tcp_connections: 32,
        }
    }
}

/// What was counted of messages. All but `pending` only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DnsCounts {
    /// Messages of the end that asks, all that follow included.
    pub messages: u64,
    /// Those that cannot be read, or whose records cannot.
    pub malformed: u64,
    /// Those of which a part was missing.
    pub cut: u64,
    /// Those that are no standard query with one question of the class IN and a name of at most 253 characters, nor the
    /// answer to one.
    pub other: u64,
    /// Messages and packets seen from a name server on this host. Only messages between two ports of name servers are
    /// counted in `messages`.
    pub served: u64,
    /// Queries, each once.
    pub queries: u64,
    /// Queries that were asked again before they had an answer.
    pub repeated: u64,
    /// Answers to queries that were seen.
    pub answers: u64,
    /// Answers to queries that were not seen, or that waited no longer.
    pub unmatched: u64,
    /// Queries that got no answer in time.
    pub timed_out: u64,
    /// Queries that made room for others.
    pub pending_full: u64,
    /// Queries over TCP of which nobody knows whether they had an answer: parts of what was received were missing.
    pub unknown: u64,
    /// How often one direction of a TCP connection began anew: bytes were missing, it held something else than messages, or
    /// another connection had the same ends.
    pub tcp_lost: u64,
    /// TCP connections that made room for others.
    pub tcp_dropped: u64,
    /// Queries that wait for their answer.
    pub pending: usize,
}
