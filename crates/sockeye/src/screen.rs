//! Which lookups are told where filters say which connections are: those that went through one that is.
//!
//! Does not know the filters: the table says what it shows of live connections, and hands out what it shows of those that
//! ended.

use std::collections::{HashSet, VecDeque};

use connections::{ConnectionId, Lookup};

/// Lookups that wait for the end of the pass, in which their connection becomes known: 128 bytes each, so 1 MiB. Beyond, the
/// oldest is decided on with what is known.
const UNDECIDED_MAX: usize = 8192;

/// Ended connections that were told, 40 bytes each. A query times out when its connection has ended; beyond, the oldest is
/// forgotten, and what came of it is not told.
const ENDED_MAX: usize = 65_536;

/// Lookups on their way to the clients.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    undecided: VecDeque<Lookup>,
    ended: HashSet<ConnectionId>,
    /// In the order in which they ended.
    order: VecDeque<ConnectionId>,
}

impl Screen {
    /// A connection that is told has ended.
    pub(crate) fn note_ended(&mut self, id: ConnectionId) {
        if !self.ended.insert(id) {
            return;
        }
        self.order.push_back(id);
        let oldest = (self.order.len() > ENDED_MAX).then(|| self.order.pop_front()).flatten();
        oldest.iter().for_each(|oldest| {
            self.ended.remove(oldest);
        });
    }

    /// Takes a lookup. Gives one that can wait no longer, if it is to be told.
    pub(crate) fn keep(&mut self, lookup: Lookup, shows: impl Fn(&ConnectionId) -> bool) -> Option<Lookup> {
        self.undecided.push_back(lookup);
        let oldest = (self.undecided.len() > UNDECIDED_MAX).then(|| self.undecided.pop_front()).flatten();
        oldest.filter(|lookup| self.tells(lookup, shows))
    }

    /// A pass has ended: takes the lookups that are to be told. The others are none of anybody's business.
    pub(crate) fn decide(&mut self, shows: impl Fn(&ConnectionId) -> bool) -> Vec<Lookup> {
        let all = std::mem::take(&mut self.undecided);
        all.into_iter().filter(|lookup| self.tells(lookup, &shows)).collect()
    }

    /// What is not known to be told is not.
    fn tells(&self, lookup: &Lookup, shows: impl Fn(&ConnectionId) -> bool) -> bool {
        lookup.connection.is_some_and(|id| self.ended.contains(&id) || shows(&id))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use connections::{KernelTime, LookupOutcome, Protocol, Tuple};

    use super::*;

    fn id(cookie: u64) -> ConnectionId {
        ConnectionId { cookie, claimed_at: KernelTime(1) }
    }

    fn lookup(connection: Option<ConnectionId>) -> Lookup {
        let end = SocketAddr::from(([127, 0, 0, 1], 53));
        Lookup {
            connection,
            tuple: Tuple { protocol: Protocol::Udp, netns: 1, local: end, remote: end },
            pid: 1,
            domain: "a.test".into(),
            query_type: 1,
            outcome: LookupOutcome::TimedOut,
        }
    }

    #[test]
    fn told_is_what_went_through_a_connection_that_is_shown_or_was() {
        let mut screen = Screen::default();
        for connection in [Some(id(1)), Some(id(2)), Some(id(3)), None] {
            assert_eq!(screen.keep(lookup(connection), |_| true), None, "it waits for the pass");
        }
        screen.note_ended(id(2));
        let told: Vec<_> = screen.decide(|shown| *shown == id(1)).iter().map(|one| one.connection).collect();
        assert_eq!(told, [Some(id(1)), Some(id(2))]);
        assert!(screen.decide(|_| true).is_empty(), "each once");
    }

    #[test]
    fn when_too_many_wait_the_oldest_is_decided_on() {
        let mut screen = Screen::default();
        for _ in 0..UNDECIDED_MAX {
            assert_eq!(screen.keep(lookup(Some(id(1))), |_| true), None);
        }
        assert_eq!(screen.keep(lookup(Some(id(2))), |_| true), Some(lookup(Some(id(1)))));
        assert_eq!(screen.keep(lookup(Some(id(2))), |_| false), None);
        assert_eq!(screen.undecided.len(), UNDECIDED_MAX);
    }

    #[test]
    fn of_ended_connections_the_oldest_is_forgotten() {
        let mut screen = Screen::default();
        (0..=ENDED_MAX as u64).for_each(|cookie| screen.note_ended(id(cookie)));
        screen.note_ended(id(ENDED_MAX as u64));
        assert_eq!((screen.ended.len(), screen.order.len()), (ENDED_MAX, ENDED_MAX));
        assert!(!screen.ended.contains(&id(0)) && screen.ended.contains(&id(1)));
    }
}
