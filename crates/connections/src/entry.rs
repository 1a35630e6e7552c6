//! One live connection and how observations change it.

use crate::connection::Connection;
use crate::counters::{Counters, RawCounters};
use crate::direction::Direction;
use crate::event::Observation;
use crate::global_id::GlobalId;
use crate::listeners::{Listener, Listeners};
use crate::owner::{Owner, OwnerSource};

/// A live connection.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) connection: Connection,
    /// Totals since the socket was opened, what was before tracing included.
    pub(crate) since_opened: Counters,
}

impl Entry {
    /// A connection seen for the first time; `before` is what it carried before tracing began.
    pub(crate) fn new(observation: &Observation, before: Counters, listeners: &Listeners) -> Self {
        let since_opened = Counters::first(observation.counters);
        let connection = Connection {
            id: observation.id,
            global_id: global_id(observation),
            tuple: observation.tuple,
            direction: observation.direction,
            owner: observation.owner.or_else(|| guessed_owner(observation, listeners)),
            state: observation.state,
            opened_at: (!observation.pre_existing).then_some(observation.id.claimed_at),
            established_at: observation.established_at,
            closed_at: None,
            pre_existing: observation.pre_existing,
            total: since_opened.since(before).0,
            before,
            tcp: observation.tcp,
            failure: None,
        };
        Self { connection, since_opened }
    }

    /// Takes over a further observation; answers how many anomalies it held.
    pub(crate) fn observe(&mut self, observation: &Observation, listeners: &Listeners) -> u64 {
        let anomalies = self.count(observation.counters);
        let connection = &mut self.connection;
        // The source port and address of a connecting socket are chosen after it was first seen.
        connection.tuple = observation.tuple;
        connection.state = observation.state;
        connection.established_at = connection.established_at.or(observation.established_at);
        connection.tcp = observation.tcp;
        // The newest: a live socket is read while it moves, and the final record is right.
        connection.global_id = global_id(observation).or(connection.global_id);
        let owner = observation.owner.or_else(|| guessed_owner(observation, listeners));
        connection.owner = more_trusted(connection.owner, owner);
        anomalies
    }

    fn count(&mut self, raw: RawCounters) -> u64 {
        let (since_opened, backwards) = self.since_opened.advanced(raw);
        self.since_opened = since_opened;
        let (total, negative) = since_opened.since(self.connection.before);
        self.connection.total = total;
        backwards + negative
    }

    /// True while the listeners have to tell which end opened it.
    pub(crate) fn direction_is_open(&self) -> bool {
        self.connection.direction == Direction::Unknown && self.connection.pre_existing
    }

    /// A connection that is older than the tracer came in if its port is served in its namespace.
    pub(crate) fn resolve_direction(&mut self, listeners: &Listeners) {
        if !self.direction_is_open() {
            return;
        }
        let connection = &mut self.connection;
        connection.direction = match listeners.serving(connection.tuple.netns, connection.tuple.local) {
            Some(_) => Direction::Incoming,
            None => Direction::Outgoing,
        };
    }
}

fn global_id(observation: &Observation) -> Option<GlobalId> {
    let (local, remote) = observation.isns?;
    GlobalId::of(observation.direction, local, remote)
}

fn guessed_owner(observation: &Observation, listeners: &Listeners) -> Option<Owner> {
    if observation.direction != Direction::Incoming {
        return None;
    }
    let listener: &Listener = listeners.serving(observation.tuple.netns, observation.tuple.local)?;
    Some(Owner { source: OwnerSource::Listener, ..listener.owner? })
}

fn more_trusted(known: Option<Owner>, new: Option<Owner>) -> Option<Owner> {
    match (known, new) {
        (Some(known), Some(new)) if new.source < known.source => Some(known),
        (known, new) => new.or(known),
    }
}
