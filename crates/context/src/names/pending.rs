//! Queries that have no answer yet, in the order in which they were asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use connections::{ConnectionId, KernelTime, Lookup, LookupOutcome, Payload, Protocol, Tuple};
use foldhash::fast::RandomState;
use hashlink::LinkedHashMap;

/// What an answer must have in common with its query.
///
/// Of the socket's own end only the port: its address may not be chosen yet when a datagram is sent.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    protocol: Protocol,
    netns: u32,
    local_port: u16,
    remote: SocketAddr,
    id: u16,
    query_type: u16,
    name: Arc<str>,
}

impl Key {
    pub(super) fn new(tuple: &Tuple, id: u16, query_type: u16, name: Arc<str>) -> Self {
        let Tuple { protocol, netns, local, remote } = *tuple;
        Self { protocol, netns, local_port: local.port(), remote, id, query_type, name }
    }
}

/// What is known of a query beyond its key.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) connection: Option<ConnectionId>,
    pub(super) local: IpAddr,
    pub(super) pid: u32,
    pub(super) asked_at: KernelTime,
}

impl Query {
    pub(super) fn of(payload: &Payload) -> Self {
        let Payload { connection, tuple, sender_pid, at, .. } = *payload;
        Self { connection, local: tuple.local.ip(), pid: sender_pid, asked_at: at }
    }

    /// The query with how it ended.
    pub(super) fn ended(self, key: Key, outcome: LookupOutcome) -> Lookup {
        let tuple = self.tuple(&key);
        let Key { name: domain, query_type, .. } = key;
        Lookup { connection: self.connection, tuple, pid: self.pid, domain, query_type, outcome }
    }

    pub(super) fn tuple(&self, key: &Key) -> Tuple {
        let Key { protocol, netns, local_port, remote, .. } = *key;
        Tuple { protocol, netns, local: SocketAddr::new(self.local, local_port), remote }
    }

    /// Takes from another message of the same exchange what is not known yet.
    pub(super) fn complete(&mut self, other: &Query) {
        self.connection = self.connection.or(other.connection);
        if self.local.is_unspecified() {
            self.local = other.local;
        }
        if self.pid == 0 {
            self.pid = other.pid;
        }
    }
}

/// What became of a query that was asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    First,
    /// It was asked before, and is as old as it was.
    Again,
    /// The oldest made room for it.
    InPlaceOfAnother,
}

/// The queries, bounded, the oldest first.
#[derive(Debug)]
pub(super) struct Pending {
    queries: LinkedHashMap<Key, Query, RandomState>,
    max: usize,
}

impl Pending {
    pub(super) fn new(max: usize) -> Self {
        Self { queries: LinkedHashMap::with_hasher(RandomState::default()), max: max.max(1) }
    }

    pub(super) fn len(&self) -> usize {
        self.queries.len()
    }

    pub(super) fn ask(&mut self, key: Key, query: Query) -> Asked {
        if let Some(first) = self.queries.get_mut(&key) {
            first.complete(&query);
            return Asked::Again;
        }
        let is_full = self.queries.len() >= self.max;
        if is_full {
            self.queries.pop_front();
        }
        self.queries.insert(key, query);
        if is_full { Asked::InPlaceOfAnother } else { Asked::First }
    }

    /// The query that this is the answer to, which waits no longer.
    pub(super) fn answer(&mut self, key: &Key) -> Option<(Key, Query)> {
        self.queries.remove_entry(key)
    }

    /// The oldest query, if it is older than that.
    pub(super) fn older_than(&mut self, now: KernelTime, timeout_ns: u64) -> Option<(Key, Query)> {
        let (_, oldest) = self.queries.front()?;
        let is_over = now.nanoseconds_since(oldest.asked_at) > timeout_ns;
        if is_over { self.queries.pop_front() } else { None }
    }
}
