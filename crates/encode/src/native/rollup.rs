//! A roll-up, several closed connections as one record, as a message of ours.
//!
//! It stands among the connections and has their fields, as far as those in it have them in common.

use std::net::SocketAddr;

use connections::{Common, Counted, Direction, Failure, Protocol, RollUp, RollUpKey, State, WallOffset};
use deltas::RollUpId;

use super::connection::address;
use super::{proto, unix_ns};

impl proto::Connection {
    /// `id` tells it apart from the other roll-ups of this run.
    pub(super) fn of_roll_up(id: RollUpId, rollup: &RollUp, wall: WallOffset) -> Self {
        let RollUp { key, owner, connections, established, total, counts_rtos, failures, last_closed_at } =
            rollup;
        let RollUpKey { protocol, common } = *key;
        // The owner's process is told by the owner.
        let (netns, direction, port, ends) = match common {
            Some(Common { netns, direction, service_port, owner: _, ends }) => {
                (Some(netns), direction, service_port, ends)
            }
            None => (None, Direction::Unknown, None, None),
        };
        let (local, remote) = ends.unzip();
        let counted = Counted {
            traffic: true,
            tcp: protocol == Protocol::Tcp,
            rtos: protocol == Protocol::Tcp && *counts_rtos,
        };
        // The kernel side adds up datagrams of peers, and does not know how many those are.
        let is_counted = !matches!(id, RollUpId::Kernel(_)) || protocol == Protocol::Tcp;
        let incoming = direction == Direction::Incoming;
        Self {
            id: format!("rolled-up-{id}"),
            global_id: None,
            protocol: Some(proto::Protocol::from(protocol).into()),
            state: Some(proto::State::from(State::Closed).into()),
            direction: Some(proto::Direction::from(direction).into()),
            netns,
            local: Some(side(local, port.filter(|_| incoming))),
            remote: Some(side(remote, port.filter(|_| !incoming))),
            owner: owner.as_ref().map(proto::Owner::new),
            opened_at_unix_ns: None,
            established_at_unix_ns: None,
            closed_at_unix_ns: Some(unix_ns(*last_closed_at, wall)),
            pre_existing: None,
            total: Some(proto::Counters::new(*total, counted)),
            delta: Some(proto::Counters::new(*total, counted)),
            before: None,
            tcp: None,
            udp: None,
            failure: None,
            failures: failures.iter().map(proto::Failures::from).collect(),
            rolled_up: is_counted.then_some(*connections),
            established: *established,
            // What follows is added by who annotates.
            intra_host: None,
            nat: None,
            names: Vec::new(),
            route: None,
            lookups: Vec::new(),
        }
    }
}

/// An address only where they have it in common, and a port only at the end that serves.
fn side(end: Option<SocketAddr>, port: Option<u16>) -> proto::Side {
    proto::Side { address: end.map(address), port: port.map(u32::from), netns: None, owner: None }
}

impl From<&(Failure, u64)> for proto::Failures {
    fn from((failure, connections): &(Failure, u64)) -> Self {
        let Failure { kind, errno } = *failure;
        Self {
            kind: proto::FailureKind::from(kind).into(),
            errno: errno.map(u32::from),
            name: failure.errno_name().map(str::to_owned),
            connections: *connections,
        }
    }
}
