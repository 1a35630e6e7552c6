//! One live connection and how observations change it.

use crate::connection::Connection;
use crate::counters::{Counters, RawCounters};
use crate::direction::Direction;
use crate::event::Observation;
use crate::failure::Failure;
use crate::global_id::GlobalId;
use crate::listeners::{Listener, Listeners};
use crate::owner::{Owner, OwnerSource};
use crate::state::State;
use crate::tuple::Protocol;

/// A live connection.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) connection: Connection,
    /// Totals since the socket was opened, what was before tracing included.
    pub(crate) since_opened: Counters,
    /// A client may have been told of it.
    pub(crate) visible: bool,
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
            facts: observation.facts,
            failure: None,
            failed_at: None,
        };
        let mut entry = Self { connection, since_opened, visible: false };
        entry.note_failure(observation);
        entry
    }

    /// Takes over a further observation; answers how many anomalies it held.
    pub(crate) fn observe(&mut self, observation: &Observation, listeners: &Listeners) -> u64 {
        let anomalies = self.count(observation.counters);
        let connection = &mut self.connection;
        // The source port and address of a connecting socket are chosen after it was first seen.
        connection.tuple = observation.tuple;
        connection.state = observation.state;
        // What nobody could tell at first may show later.
        if connection.direction == Direction::Unknown {
            connection.direction = observation.direction;
        }
        connection.established_at = connection.established_at.or(observation.established_at);
        connection.facts = connection.facts.renewed(observation.facts);
        // The newest: a live socket is read while it moves, and the final record is right.
        connection.global_id = global_id(observation).or(connection.global_id);
        let owner = observation.owner.or_else(|| guessed_owner(observation, listeners));
        connection.owner = more_trusted(connection.owner, owner);
        self.note_failure(observation);
        anomalies
    }

    /// A host said that datagrams do not arrive.
    fn note_failure(&mut self, observation: &Observation) {
        let Some((errno, at)) = observation.failed else { return };
        let failure = Failure::classify(State::Open, errno, observation.counters.sent_packets);
        (self.connection.failure, self.connection.failed_at) = (failure, failure.map(|_| at));
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
        let Connection { direction, pre_existing, tuple, .. } = &self.connection;
        *direction == Direction::Unknown && *pre_existing && tuple.protocol == Protocol::Tcp
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
    // A UDP socket that nobody has sent from has no listener to be accepted through.
    if observation.direction != Direction::Incoming || observation.tuple.protocol != Protocol::Tcp {
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
