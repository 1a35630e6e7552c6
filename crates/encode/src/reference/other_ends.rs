//! Which connections have their other end in the same answer, found without holding any of them.
//!
//! Owns what makes two records the two ends of one connection, and what the one says of the other. Does not see
//! translated addresses: where they are not the same at both ends, only the initial sequence numbers tell.

use std::hash::BuildHasher;

use connections::GlobalId;
use foldhash::quality::RandomState;

use super::hashes::Hashes;
use super::key::{ConnectionDirection, End, Key};
use super::record::Record;

/// The bits of a name that say the direction of the end.
const DIRECTION: u64 = 0b011;
/// The bit of a name by tuple that says that the end has a name by global id too.
const HAS_ID: u64 = 0b100;

/// Takes note of the ends of an answer on this host, up to 16 bytes each, and then 22.
///
/// An end has a hash for a name: one by its tuple as it sees it, and one by its global id where it has that. Two names
/// that are not of one connection are alike by chance in one of 10^7 answers of 100 000 connections.
#[derive(Default)]
pub(super) struct Ends {
    names: Names,
    noted: Vec<u64>,
}

/// The ends of an answer, each found by what the other end of its connection says of it.
pub(super) struct OtherEnds {
    names: Names,
    noted: Hashes,
}

impl Ends {
    pub(super) fn note(&mut self, key: &Key, global_id: Option<GlobalId>) {
        let global_id = usable(global_id, key);
        let has_id = if global_id.is_some() { HAS_ID } else { 0 };
        let by_tuple = self.names.by_tuple(key, key.local, key.remote);
        self.noted.push(by_tuple | has_id | bits(key.direction));
        self.noted.extend(global_id.map(|id| self.names.by_id(id, key.direction)));
    }

    pub(super) fn noted(mut self) -> OtherEnds {
        self.noted.sort_unstable();
        // Of one tuple there can be many; this leaves the ways in which they differ.
        self.noted.dedup();
        OtherEnds { names: self.names, noted: Hashes::of_sorted(self.noted) }
    }
}

impl OtherEnds {
    /// Adds to a record what its other end says: that it is on this host, and which of them began where that was not
    /// known of this one.
    pub(super) fn consult(&self, record: &mut Record) {
        let Record { key, global_id, sums } = record;
        let global_id = usable(*global_id, key);
        let (mut found, mut incoming, mut outgoing) = (key.stays_inside(), false, false);
        if let Some(id) = global_id {
            found |= !self.alike(self.names.by_id(id, key.direction.opposite())).is_empty();
        }
        for name in self.alike(self.names.by_tuple(key, key.remote, key.local)) {
            // Two ids that differ are two connections, however alike the tuples are.
            if global_id.is_some() && name & HAS_ID != 0 {
                continue;
            }
            found = true;
            incoming |= name & DIRECTION == bits(ConnectionDirection::Incoming);
            outgoing |= name & DIRECTION == bits(ConnectionDirection::Outgoing);
        }
        sums.intra_host |= found;
        if key.direction == ConnectionDirection::Unspecified {
            key.direction = match (incoming, outgoing) {
                (true, false) => ConnectionDirection::Outgoing,
                (false, true) => ConnectionDirection::Incoming,
                _ => ConnectionDirection::Unspecified,
            };
        }
    }

    /// All that were noted with this name, whatever the bits beside it say.
    fn alike(&self, name: u64) -> &[u64] {
        let rest = self.noted.from(name);
        let alike = rest.iter().take_while(|noted| **noted & !(DIRECTION | HAS_ID) == name).count();
        rest.get(..alike).unwrap_or_default()
    }
}

/// Names of ends: hashes with room for the bits.
#[derive(Default)]
struct Names(RandomState);

impl Names {
    /// An end whose own address and port are `own`. A connection that does not leave its namespace has its other end
    /// there; the addresses of any other may be known in several.
    fn by_tuple(&self, key: &Key, own: End, other: End) -> u64 {
        let inside = key.stays_inside().then_some(key.netns);
        self.0.hash_one((key.protocol, inside, own, other)) & !(DIRECTION | HAS_ID)
    }

    fn by_id(&self, id: GlobalId, direction: ConnectionDirection) -> u64 {
        self.0.hash_one((id, direction)) & !(DIRECTION | HAS_ID)
    }
}

/// Without a direction the two ends of a global id are not told apart, and one would be taken for its own other end.
fn usable(global_id: Option<GlobalId>, key: &Key) -> Option<GlobalId> {
    global_id.filter(|_| key.direction != ConnectionDirection::Unspecified)
}

fn bits(direction: ConnectionDirection) -> u64 {
    match direction {
        ConnectionDirection::Unspecified => 0,
        ConnectionDirection::Incoming => 1,
        ConnectionDirection::Outgoing => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::ConnectionType;
    use super::super::record::Sums;
    use super::*;
    use ConnectionDirection::{Incoming, Outgoing, Unspecified};

    fn record(
        netns: u32,
        local: &str,
        remote: &str,
        direction: ConnectionDirection,
        id: Option<u64>,
    ) -> Record {
        let end = |text: &str| text.parse::<std::net::SocketAddr>().expect("a test address").into();
        let key = Key {
            pid: 1,
            protocol: ConnectionType::Tcp,
            netns,
            local: end(local),
            remote: end(remote),
            direction,
        };
        Record { key, global_id: id.map(GlobalId), sums: Sums::default() }
    }

    /// For each record whether its other end is on this host, and its direction.
    fn consulted<const N: usize>(mut records: [Record; N]) -> [(bool, ConnectionDirection); N] {
        let mut ends = Ends::default();
        records.iter().for_each(|record| ends.note(&record.key, record.global_id));
        let ends = ends.noted();
        records.iter_mut().for_each(|record| ends.consult(record));
        records.map(|record| (record.sums.intra_host, record.key.direction))
    }

    const A: &str = "10.0.0.1:40000";
    const B: &str = "10.0.0.2:443";

    #[test]
    fn a_global_id_pairs_ends_whose_addresses_were_translated() {
        let client = record(1, A, "10.96.0.1:443", Outgoing, Some(7));
        let server = record(2, "10.0.0.2:8443", "192.0.2.1:61000", Incoming, Some(7));
        assert_eq!(consulted([client, server]), [(true, Outgoing), (true, Incoming)]);
    }

    #[test]
    fn one_end_alone_is_no_pair_however_often_it_is_told() {
        let again = || record(1, A, B, Outgoing, Some(7));
        assert_eq!(consulted([again(), again()]), [(false, Outgoing); 2]);
        let open = |id| record(1, A, B, Unspecified, id);
        assert_eq!(consulted([open(None), open(Some(7))]), [(false, Unspecified); 2]);
    }

    #[test]
    fn mirrored_tuples_with_ids_that_differ_are_two_connections() {
        let client = record(1, A, B, Outgoing, Some(7));
        let server = record(2, B, A, Incoming, Some(8));
        assert_eq!(consulted([client, server]), [(false, Outgoing), (false, Incoming)]);
    }

    #[test]
    fn a_mirrored_tuple_is_the_other_end_where_an_id_is_missing() {
        let client = || record(1, A, B, Outgoing, Some(7));
        let server = record(2, B, A, Unspecified, None);
        assert_eq!(consulted([client(), server]), [(true, Outgoing), (true, Incoming)]);
        let client = record(1, A, B, Unspecified, None);
        let server = record(2, B, A, Incoming, None);
        assert_eq!(consulted([client, server]), [(true, Outgoing), (true, Incoming)]);
    }

    #[test]
    fn a_direction_stays_open_where_the_other_ends_contradict_each_other() {
        let open = record(1, A, B, Unspecified, None);
        let one = record(2, B, A, Incoming, Some(7));
        let other = record(3, B, A, Outgoing, Some(8));
        assert_eq!(consulted([open, one, other])[0], (true, Unspecified));
    }

    #[test]
    fn a_known_direction_is_never_changed() {
        let client = record(1, A, B, Outgoing, None);
        let server = record(2, B, A, Outgoing, None);
        assert_eq!(consulted([client, server]), [(true, Outgoing); 2]);
    }

    #[test]
    fn loopback_and_equal_addresses_need_no_other_end() {
        let loopback = record(1, "127.0.0.1:1", "127.0.0.53:53", Outgoing, None);
        let v6 = record(1, "[::1]:1", "[::1]:2", Unspecified, None);
        let equal = record(1, "10.0.0.1:1", "10.0.0.1:2", Outgoing, None);
        let half = record(1, "127.0.0.1:1", "10.0.0.1:2", Outgoing, None);
        let pairs = consulted([loopback, v6, equal, half]);
        assert_eq!(pairs, [(true, Outgoing), (true, Unspecified), (true, Outgoing), (false, Outgoing)]);
    }

    #[test]
    fn the_loopback_of_another_namespace_says_nothing() {
        let open = || record(1, "127.0.0.1:1", "127.0.0.1:2", Unspecified, None);
        let server = |netns| record(netns, "127.0.0.1:2", "127.0.0.1:1", Incoming, None);
        assert_eq!(consulted([open(), server(2)])[0], (true, Unspecified));
        assert_eq!(consulted([open(), server(1)])[0], (true, Outgoing));
    }

    #[test]
    fn the_other_end_has_the_same_protocol() {
        let client = record(1, A, B, Outgoing, None);
        let mut server = record(2, B, A, Incoming, None);
        server.key.protocol = ConnectionType::Udp;
        assert_eq!(consulted([client, server]), [(false, Outgoing), (false, Incoming)]);
    }
}
