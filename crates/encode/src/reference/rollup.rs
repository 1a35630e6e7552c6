//! A roll-up, several closed connections as one, as a record of the dialect.
//!
//! The dialect has no such thing: it is a connection that closed as often as there are connections in it, and has the
//! port 0 where theirs differ. Where they have no addresses in common, it is between unspecified ones.

use connections::{Common, Direction, Protocol, RollUp, RollUpKey};

use super::key::{End, Key, pid};
use super::record::{Record, Sums};

impl Record<'_> {
    pub(super) fn of_roll_up(rollup: &RollUp) -> Self {
        // The dialect tells no times of connections, and a count that is absent is 0.
        let RollUp {
            key,
            owner,
            connections,
            established,
            total,
            counts_rtos: _,
            failures,
            last_closed_at: _,
        } = rollup;
        let RollUpKey { protocol, common } = *key;
        let (netns, direction, ends) = match common {
            Some(Common { netns, direction, service_port, owner: _, ends }) => {
                let port = service_port.unwrap_or(0);
                let anywhere = match direction {
                    Direction::Incoming => (End::anywhere(port), End::anywhere(0)),
                    _ => (End::anywhere(0), End::anywhere(port)),
                };
                (netns, direction, ends.map_or(anywhere, |(local, remote)| (local.into(), remote.into())))
            }
            None => (0, Direction::Unknown, (End::anywhere(0), End::anywhere(0))),
        };
        let key = Key {
            pid: owner.map_or(0, pid),
            protocol: protocol.into(),
            netns,
            local: ends.0,
            remote: ends.1,
            direction: direction.into(),
        };
        let container = owner.and_then(|owner| owner.container);
        let mut sums = Sums { counters: *total, container, ..Sums::default() };
        if protocol == Protocol::Tcp {
            sums.closed = *connections;
            sums.established = established.unwrap_or(0);
            for (failure, count) in failures {
                if let Some(errno) = failure.errno {
                    sums.failures.add(errno, *count);
                }
            }
        }
        Self { key, sums }
    }
}
