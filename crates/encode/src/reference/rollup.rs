//! A roll-up, several closed connections as one, as a record of the dialect.
//!
//! The dialect has no such thing: it is a connection between unspecified addresses, with the port at the end
//! that serves, that closed as often as there are connections in it.

use connections::{Common, Direction, Protocol, RollUp, RollUpKey};

use super::key::{End, Key, pid};
use super::record::{Record, Sums};

impl Record {
    pub(super) fn of_roll_up(rollup: &RollUp) -> Self {
        // The dialect tells no times of connections, and a count that is absent is 0.
        let RollUp { key, owner, connections, total, counts_rtos: _, failures, last_closed_at: _ } = rollup;
        let RollUpKey { protocol, common } = *key;
        let (netns, direction, port) = match common {
            Some(Common { netns, direction, service_port, owner: _ }) => {
                (netns, direction, service_port.unwrap_or(0))
            }
            None => (0, Direction::Unknown, 0),
        };
        let incoming = direction == Direction::Incoming;
        let key = Key {
            pid: owner.map_or(0, pid),
            protocol: protocol.into(),
            netns,
            local: End::anywhere(if incoming { port } else { 0 }),
            remote: End::anywhere(if incoming { 0 } else { port }),
            direction: direction.into(),
        };
        let mut sums = Sums { counters: *total, ..Sums::default() };
        if protocol == Protocol::Tcp {
            sums.closed = *connections;
            for (failure, count) in failures {
                if let Some(errno) = failure.errno {
                    sums.failures.add(errno, *count);
                }
            }
        }
        Self { key, global_id: None, sums }
    }
}
