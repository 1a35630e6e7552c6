//! What all connections of a network namespace carried, added up: the side of the tracer in an audit.
//!
//! Keeps sums of those that ended; those that live are added when somebody asks. Compares nothing.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::counters::Counters;
use crate::direction::Direction;
use crate::rollup::RollUp;
use crate::tuple::Protocol;

/// Sums are kept for at most so many namespaces; between two audits more can come and go than there are.
const NAMESPACES_MAX: usize = 16_384;

/// Sums of one namespace since tracing began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    /// TCP connections that began here and there, those older than the tracer left out.
    pub(crate) tcp_outgoing: u64,
    pub(crate) tcp_incoming: u64,
    pub(crate) tcp_retransmits: u64,
    pub(crate) udp_sent: u64,
    pub(crate) udp_received: u64,
    pub(crate) tcp_sent_bytes: u64,
    pub(crate) tcp_received_bytes: u64,
}

/// What an audit counts of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForAudit {
    pub(crate) netns: u32,
    pub(crate) protocol: Protocol,
    pub(crate) direction: Direction,
    /// It is not older than the tracer, and does not go on under another name: that has counted already.
    pub(crate) is_new: bool,
    pub(crate) total: Counters,
}

/// Sums of the connections that ended, by inode number of the namespace.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    ended: HashMap<u32, Sums, RandomState>,
    /// Of roll-ups of the rest, whose namespace is not known.
    rest: Sums,
}

impl Ledger {
    /// Adds a connection that has ended.
    pub(crate) fn add_closed(&mut self, connection: ForAudit) {
        if let Some(sums) = self.sums_of(connection.netns) {
            sums.add(connection);
        }
    }

    /// Adds a roll-up.
    pub(crate) fn add_rolled_up(&mut self, rollup: &RollUp) {
        let protocol = rollup.key.protocol;
        let Some(common) = rollup.key.common else {
            self.rest.add_counters(protocol, rollup.total);
            // Each may have begun at either end.
            self.rest.add_opened(protocol, Direction::Outgoing, rollup.connections);
            return;
        };
        if let Some(sums) = self.sums_of(common.netns) {
            sums.add_counters(protocol, rollup.total);
            sums.add_opened(protocol, common.direction, rollup.connections);
        }
    }

    /// The sums of what has no namespace.
    pub(crate) fn rest(&self) -> Sums {
        self.rest
    }

    /// The sums of every namespace, with those that live. Looks at all.
    pub(crate) fn with(&self, live: impl Iterator<Item = ForAudit>) -> HashMap<u32, Sums, RandomState> {
        let mut all = self.ended.clone();
        for connection in live {
            all.entry(connection.netns).or_default().add(connection);
        }
        all
    }

    /// Forgets the namespaces that are not of these.
    pub(crate) fn keep(&mut self, is_there: impl Fn(u32) -> bool) {
        self.ended.retain(|netns, _| is_there(*netns));
    }

    fn sums_of(&mut self, netns: u32) -> Option<&mut Sums> {
        let room = self.ended.len() < NAMESPACES_MAX || self.ended.contains_key(&netns);
        room.then(|| self.ended.entry(netns).or_default())
    }
}

impl Sums {
    fn add(&mut self, connection: ForAudit) {
        let ForAudit { netns: _, protocol, direction, is_new, total } = connection;
        self.add_counters(protocol, total);
        // A connect that sent nothing never counts for the kernel.
        if is_new && total.sent_packets > 0 {
            self.add_opened(protocol, direction, 1);
        }
    }

    fn add_opened(&mut self, protocol: Protocol, direction: Direction, count: u64) {
        match (protocol, direction) {
            (Protocol::Tcp, Direction::Outgoing) => self.tcp_outgoing += count,
            (Protocol::Tcp, Direction::Incoming) => self.tcp_incoming += count,
            (Protocol::Tcp, Direction::Unknown) | (Protocol::Udp, _) => {}
        }
    }

    fn add_counters(&mut self, protocol: Protocol, total: Counters) {
        match protocol {
            Protocol::Tcp => {
                self.tcp_retransmits = self.tcp_retransmits.saturating_add(total.retransmits);
                self.tcp_sent_bytes = self.tcp_sent_bytes.saturating_add(total.sent_bytes);
                self.tcp_received_bytes = self.tcp_received_bytes.saturating_add(total.received_bytes);
            }
            Protocol::Udp => {
                self.udp_sent = self.udp_sent.saturating_add(total.sent_packets);
                self.udp_received = self.udp_received.saturating_add(total.received_packets);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::{Common, RollUpKey};
    use crate::time::KernelTime;

    fn rolled_up(netns: Option<u32>) -> RollUp {
        let of = |netns| Common {
            netns,
            direction: Direction::Incoming,
            service_port: None,
            owner: None,
            ends: None,
        };
        RollUp {
            key: RollUpKey { protocol: Protocol::Tcp, common: netns.map(of) },
            owner: None,
            connections: 2,
            total: Counters { sent_bytes: 7, ..Counters::default() },
            established: None,
            counts_rtos: true,
            failures: Vec::new(),
            last_closed_at: KernelTime(1),
        }
    }

    #[test]
    fn roll_ups_count_in_their_namespace_or_in_none() {
        let mut ledger = Ledger::default();
        ledger.add_rolled_up(&rolled_up(Some(4)));
        ledger.add_rolled_up(&rolled_up(None));
        let sums = ledger.with(std::iter::empty());
        let of_four = Sums { tcp_incoming: 2, tcp_sent_bytes: 7, ..Sums::default() };
        assert_eq!(sums.get(&4), Some(&of_four));
        assert_eq!(ledger.rest(), Sums { tcp_outgoing: 2, tcp_sent_bytes: 7, ..Sums::default() });
    }

    #[test]
    fn the_sums_of_namespaces_are_bounded_until_an_audit_says_which_are_gone() {
        let mut ledger = Ledger::default();
        let max = u32::try_from(NAMESPACES_MAX).expect("it is small");
        for netns in 0..=max {
            ledger.add_rolled_up(&rolled_up(Some(netns)));
        }
        assert_eq!(ledger.ended.len(), NAMESPACES_MAX);
        assert!(!ledger.ended.contains_key(&max));
        ledger.keep(|netns| netns == 3);
        ledger.add_rolled_up(&rolled_up(Some(max)));
        assert_eq!(ledger.ended.len(), 2);
    }
}
