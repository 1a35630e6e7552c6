//! What came of lookups of names, found by the connection that they went through; and how types and codes are called.
//!
//! Owns the names of DNS parameters. Adds nothing up: `deltas` has done that.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

use connections::ConnectionId;
use deltas::{Delta, LookupSum};

/// The lookups of an answer, and which of them were told. 33 bytes each: there may be one for each of very many connections.
pub(crate) struct Untold<'a> {
    /// Sorted by connection, those of one in their order.
    of_connections: Vec<(ConnectionId, &'a LookupSum)>,
    /// By place there.
    is_told: Vec<Cell<bool>>,
    delta: &'a Delta,
}

impl<'a> Untold<'a> {
    pub(crate) fn of(delta: &'a Delta) -> Self {
        let with_connection = |sum: &'a LookupSum| sum.connection.map(|connection| (connection, sum));
        let count = delta.lookups.iter().filter(|sum| sum.connection.is_some()).count();
        let mut of_connections = Vec::with_capacity(count);
        of_connections.extend(delta.lookups.iter().filter_map(with_connection));
        of_connections.sort_by_key(|(connection, _)| *connection);
        let is_told = vec![Cell::new(false); of_connections.len()];
        Self { of_connections, is_told, delta }
    }

    /// Those of one connection, in their order.
    pub(crate) fn of_connection(&self, connection: ConnectionId) -> impl Iterator<Item = &'a LookupSum> {
        let own = self.of_connections.get(self.places(connection)).unwrap_or_default();
        own.iter().map(|(_, sum)| *sum)
    }

    /// They were told with their connection.
    pub(crate) fn note_told(&self, connection: ConnectionId) {
        let places = self.is_told.get(self.places(connection)).unwrap_or_default();
        places.iter().for_each(|is_told| is_told.set(true));
    }

    /// Those that were not told with a connection, in their order.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &'a LookupSum> {
        let is_told = |connection| self.is_told.get(self.places(connection).start).is_some_and(Cell::get);
        self.delta.lookups.iter().filter(move |sum| !sum.connection.is_some_and(is_told))
    }

    fn places(&self, connection: ConnectionId) -> Range<usize> {
        let all = &self.of_connections;
        let start = all.partition_point(|(other, _)| *other < connection);
        let own = all.iter().skip(start).take_while(|(other, _)| *other == connection).count();
        start..start + own
    }
}

/// Names of types of records (IANA, DNS parameters).
const TYPES: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (29, "LOC"),
    (33, "SRV"),
    (35, "NAPTR"),
    (39, "DNAME"),
    (41, "OPT"),
    (43, "DS"),
    (44, "SSHFP"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (50, "NSEC3"),
    (52, "TLSA"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
];

/// Names of response codes, the extended ones included (IANA, DNS parameters).
const RCODES: &[(u16, &str)] = &[
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
    (16, "BADVERS"),
    (23, "BADCOOKIE"),
];

/// The type by its name, or as `TYPE` and its number (RFC 3597).
pub(crate) fn type_name(number: u16) -> Cow<'static, str> {
    name(TYPES, number, "TYPE")
}

/// The response code by its name, or as `RCODE` and its number.
pub(crate) fn rcode_name(number: u16) -> Cow<'static, str> {
    name(RCODES, number, "RCODE")
}

fn name(names: &[(u16, &'static str)], number: u16, otherwise: &str) -> Cow<'static, str> {
    match names.binary_search_by_key(&number, |(known, _)| *known) {
        Ok(place) => names.get(place).map_or(Cow::Borrowed(""), |(_, name)| Cow::Borrowed(*name)),
        Err(_) => Cow::Owned(format!("{otherwise}{number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_codes_have_their_names_and_unknown_ones_their_numbers() {
        assert!(TYPES.is_sorted() && RCODES.is_sorted(), "they are found by halving");
        assert_eq!((type_name(28), type_name(65_280)), ("AAAA".into(), "TYPE65280".into()));
        assert_eq!((rcode_name(3), rcode_name(3841)), ("NXDOMAIN".into(), "RCODE3841".into()));
    }
}
