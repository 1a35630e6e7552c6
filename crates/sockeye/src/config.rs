//! The configuration: what can be set, its defaults, and where values come from.
//!
//! One TOML file, overridden by the environment, overridden by flags. Layering and the words for bad input
//! are in `layers`.

mod behind;
mod collect;
mod filters;
mod layers;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use behind::Behind;
pub use collect::{Backend, Collect};
pub use filters::Filters;
pub use layers::ConfigError;

/// Everything that can be configured. `Default` is what runs without a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where requests come in.
    pub listen: Listen,
    /// What is logged.
    pub log: Log,
    /// What is read from the kernel.
    pub collect: Collect,
    /// Who is behind connections.
    pub context: Behind,
    /// Which connections are told.
    pub filters: Filters,
    /// Clients of the API.
    pub clients: ClientDefaults,
    /// Bounds on memory and work.
    pub limits: Limits,
}

/// Where requests come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Path of the unix socket. A stale socket there is replaced; anything else is refused. Change it to run
    /// a second tracer or to suit a client with a path of its own.
    pub socket: PathBuf,
    /// Permissions of the socket as an octal number, as text. Who may not write to it cannot connect. Without a
    /// `group`, who can may use the API.
    pub mode: String,
    /// User that owns the socket, by its name in `/etc/passwd` or by number. Empty: the user of the process. Set it
    /// for an agent that runs as a user of its own. Only root may give the socket to another user.
    pub owner: String,
    /// Group that owns the socket, by its name in `/etc/group` or by number. Set it to let several users in: its
    /// members, the owner and root may use the API, and nobody else, whatever `mode` says. Empty: the group of the
    /// process, and `mode` alone decides.
    pub group: String,
    /// Address and port for TCP, such as `127.0.0.1:8125`; with port 0 the kernel chooses one, which is logged. Empty:
    /// no TCP. Set it for clients that cannot reach the socket. It needs a `token_file`. Nothing is encrypted: for
    /// other hosts put a proxy with TLS before it.
    pub tcp: String,
    /// File with the token that requests over TCP must have: 16 to 512 visible ASCII characters, blanks around them do
    /// not count. Others than its owner and group may have no access to it. Read at start. Whoever has the token is
    /// one user of the API, other than all users of the host. Empty: none. Without `tcp` it is not read.
    pub token_file: PathBuf,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            socket: "/run/sockeye/sockeye.sock".into(),
            mode: "0660".into(),
            owner: String::new(),
            group: String::new(),
            tcp: String::new(),
            token_file: PathBuf::new(),
        }
    }
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into() }
    }
}

/// Clients of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientDefaults {
    /// A client expires when nothing was heard from it for this many seconds, 10 to 3600. Raise it for
    /// clients that poll rarely: what closes meanwhile is kept for them, within `limits.closed_records`.
    pub ttl_s: u32,
    /// A poll may be answered from a pass over the kernel's table that began so many milliseconds ago, 0 to 60000; 0 makes a
    /// pass for every poll, or for all that wait at that moment. Raise it where many clients poll a host with very many
    /// connections.
    pub freshness_ms: u32,
}

impl Default for ClientDefaults {
    fn default() -> Self {
        Self { ttl_s: 120, freshness_ms: 0 }
    }
}

/// Bounds on memory and work; ARCHITECTURE.md has the memory behind each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Live connections that are followed.
    pub live_connections: u32,
    /// Sockets, listeners included, that the kernel side has room for. Rounded up to a power of two.
    pub tcp_slots: u32,
    /// Bytes of the ring buffer for closed connections. Rounded up to a power of two.
    pub ring_bytes: u32,
    /// Reset connections that can wait for their owner at once.
    pub deferred_records: u32,
    /// Closed connections kept in the kernel beside a full ring buffer.
    pub overflow_records: u32,
    /// Sockets beyond `tcp_slots`, told when they close and not before.
    pub spilled_slots: u32,
    /// Kinds of closed connections (process, namespace, direction, port) that are added up at once beside full
    /// `overflow_records`; the rest is added up without distinction.
    pub kernel_rollups: u32,
    /// Sockets still open whose last call of `connect` failed before anything was sent, if that is followed.
    pub connect_attempts: u32,
    /// UDP sockets with a place for one peer each. Rounded up to a power of two.
    pub udp_slots: u32,
    /// Further peers of UDP sockets. Raise it for servers of many clients; beyond, datagrams are added up by process and
    /// port.
    pub udp_peers: u32,
    /// Bytes of the ring buffer for what processes do. Rounded up to a power of two. Raise it where `kernel_process_records_lost`
    /// grows: many processes begin and end in a moment.
    pub process_ring_bytes: u32,
    /// Bytes of the ring buffer for DNS messages; when it is full, they are not read. Rounded up to a power of two.
    pub payload_ring_bytes: u32,
    /// Closed connections kept one by one until every client has been told. Beyond, the oldest are added up, for the
    /// clients that were not told of them.
    pub closed_records: u32,
    /// Kinds of closed connections (all but the ephemeral port) that are added up at once beside full `closed_records`;
    /// beyond, they are lost to those clients.
    pub rollups: u32,
    /// What came of lookups of names, added up by connection, name and type of query, kept until every client has been told.
    /// Beyond, the oldest are lost to the clients that were not told of them.
    pub lookups: u32,
    /// Processes that are remembered, and 9 MiB of them at most.
    pub processes: u32,
    /// Translations of addresses that are remembered. Beyond, those that ended first are forgotten, then the oldest.
    pub nat_entries: u32,
    /// Addresses whose names are remembered. Beyond, the ones that were longest not used are forgotten.
    pub names: u32,
    /// Routes that are remembered, one for each pair of addresses. Beyond, the ones that were longest not used are forgotten.
    pub routes: u32,
    /// Bytes of answers that are being encoded and sent; beyond, polls are refused. One answer is always possible.
    pub answer_bytes: u32,
    /// Clients in all.
    pub clients: u32,
    /// Clients of one user other than root.
    pub clients_per_user: u32,
    /// Polls in flight in all.
    pub polls: u32,
    /// HTTP connections at once.
    pub http_connections: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            live_connections: 262_144,
            tcp_slots: 262_144,
            ring_bytes: 8 << 20,
            deferred_records: 16_384,
            overflow_records: 65_536,
            spilled_slots: 65_536,
            kernel_rollups: 4096,
            connect_attempts: 16_384,
            udp_slots: 16_384,
            udp_peers: 65_536,
            process_ring_bytes: 1 << 20,
            payload_ring_bytes: 2 << 20,
            closed_records: 131_072,
            rollups: 65_536,
            lookups: 32_768,
            processes: 16_384,
            nat_entries: 114_688,
            names: 49_152,
            routes: 8192,
            answer_bytes: 256 << 20,
            clients: 64,
            clients_per_user: 16,
            polls: 32,
            http_connections: 256,
        }
    }
}
