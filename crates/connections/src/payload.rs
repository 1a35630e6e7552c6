//! Messages of the domain name system that passed a socket of the host, as bytes, and what became of queries.
//!
//! The words only: nothing here looks into the bytes.

use std::sync::Arc;

use crate::connection::ConnectionId;
use crate::time::KernelTime;
use crate::tuple::Tuple;

/// The payload of one packet from or to a port of name servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The connection that it is of, where the kernel side could say so.
    pub connection: Option<ConnectionId>,
    /// Both ends, seen from the socket.
    pub tuple: Tuple,
    /// The process that sent it; 0 for what was received, or where it is not known. Of TCP the process that connected.
    pub sender_pid: u32,
    /// True when the socket sent it, false when it came.
    pub sent: bool,
    /// When it passed.
    pub at: KernelTime,
    /// Its bytes, from the first of the payload: as many as the kernel side copies at most. Of TCP the bytes of one segment.
    pub bytes: Vec<u8>,
    /// How many there were. Of TCP a segment may come in several: then this many belong to this one, and the next begins behind
    /// them.
    pub whole_bytes: u32,
    /// Of TCP, the sequence number of the first byte.
    pub tcp_sequence: Option<u32>,
}

/// What became of one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The connection through which it was asked, where that is known.
    pub connection: Option<ConnectionId>,
    /// Its ends, seen from the one that asked.
    pub tuple: Tuple,
    /// The process that asked; 0 where it is not known.
    pub pid: u32,
    /// The name that was asked for, in lower case and without the dot at its end.
    pub domain: Arc<str>,
    /// The type of record that was asked for, by its number.
    pub query_type: u16,
    /// How it ended.
    pub outcome: LookupOutcome,
}

/// How a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupOutcome {
    /// An answer came in time.
    Answered {
        /// Its response code, the extended bits included; 0 for success.
        rcode: u16,
        /// From the query to the answer, in nanoseconds.
        latency_ns: u64,
    },
    /// None came in time.
    TimedOut,
}
