//! A roll-up, several closed connections as one record, in our own JSON form.
//!
//! It stands among the connections and has their fields, as far as those in it have them in common.

use std::net::SocketAddr;

use connections::{Common, Counted, Failure, Protocol, RollUp, RollUpKey, WallOffset};
use deltas::RollUpId;
use serde::Serialize;

use super::connection::{AddressWire, OwnerWire};
use super::counters::CountersWire;
use crate::wall_time::WallTime;

#[derive(Serialize)]
pub(super) struct RollUpWire<'a> {
    id: String,
    protocol: &'static str,
    state: &'static str,
    direction: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<u32>,
    local: EndWire,
    remote: EndWire,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerWire<'a>>,
    /// When the last of them ended.
    closed_at: WallTime,
    total: CountersWire,
    delta: CountersWire,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failures: Vec<FailuresWire>,
    rolled_up: u64,
    /// How many of them were established; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    established: Option<u64>,
}

/// One end: an address only where they have it in common, and a port only at the end that serves.
#[derive(Serialize)]
struct EndWire {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<AddressWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
}

#[derive(Serialize)]
struct FailuresWire {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    connections: u64,
}

impl<'a> RollUpWire<'a> {
    /// `id` tells it apart from the other roll-ups of this run.
    pub(super) fn new(id: RollUpId, rollup: &'a RollUp, wall: WallOffset) -> Self {
        let RollUp { key, owner, connections, established, total, counts_rtos, failures, last_closed_at } =
            rollup;
        let RollUpKey { protocol, common } = *key;
        // The owner's process is told by the owner.
        let (netns, direction, port, ends) = match common {
            Some(Common { netns, direction, service_port, owner: _, ends }) => {
                (Some(netns), direction, service_port, ends)
            }
            None => (None, connections::Direction::Unknown, None, None),
        };
        let (local, remote) = ends.unzip();
        let counted =
            Counted { tcp: protocol == Protocol::Tcp, rtos: protocol == Protocol::Tcp && *counts_rtos };
        let incoming = direction == connections::Direction::Incoming;
        Self {
            id: format!("rolled-up-{id}"),
            protocol: protocol.name(),
            state: connections::State::Closed.name(),
            direction: direction.name(),
            netns,
            local: EndWire::new(local, port.filter(|_| incoming)),
            remote: EndWire::new(remote, port.filter(|_| !incoming)),
            owner: owner.as_ref().map(OwnerWire::new),
            closed_at: WallTime::of(*last_closed_at, wall),
            total: CountersWire::new(*total, counted),
            delta: CountersWire::new(*total, counted),
            failures: failures.iter().map(FailuresWire::new).collect(),
            rolled_up: *connections,
            established: *established,
        }
    }
}

impl EndWire {
    fn new(end: Option<SocketAddr>, port: Option<u16>) -> Self {
        Self { address: end.map(AddressWire), port }
    }
}

impl FailuresWire {
    fn new((failure, connections): &(Failure, u64)) -> Self {
        let Failure { kind, errno } = *failure;
        Self { kind: kind.name(), errno, name: failure.errno_name(), connections: *connections }
    }
}
