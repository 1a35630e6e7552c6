//! What came of lookups of names, found by the connection that they went through; and how types and codes are called.
//!
//! Owns the names of DNS parameters. Adds nothing up: `deltas` has done that.

use std::borrow::Cow;
use std::collections::HashMap;

use connections::ConnectionId;
use deltas::{Delta, LookupSum};
use foldhash::quality::RandomState;

/// The lookups of an answer that have not been told yet. About 60 bytes each.
pub(crate) struct Untold<'a> {
    by_connection: HashMap<ConnectionId, Vec<&'a LookupSum>, RandomState>,
    delta: &'a Delta,
}

impl<'a> Untold<'a> {
    pub(crate) fn of(delta: &'a Delta) -> Self {
        let mut by_connection: HashMap<_, Vec<_>, _> = HashMap::default();
        for sum in delta.lookups.iter() {
            if let Some(connection) = sum.connection {
                by_connection.entry(connection).or_default().push(sum);
            }
        }
        Self { by_connection, delta }
    }

    /// Those of one connection, in their order.
    pub(crate) fn of_connection(&self, connection: &ConnectionId) -> &[&'a LookupSum] {
        // Most answers have none.
        let known = (!self.by_connection.is_empty()).then(|| self.by_connection.get(connection)).flatten();
        known.map(Vec::as_slice).unwrap_or_default()
    }

    /// Takes them.
    pub(crate) fn take(&mut self, connection: &ConnectionId) -> Vec<&'a LookupSum> {
        if self.by_connection.is_empty() {
            Vec::new()
        } else {
            self.by_connection.remove(connection).unwrap_or_default()
        }
    }

    /// Those that nobody took, in their order.
    pub(crate) fn rest(&self) -> impl Iterator<Item = &'a LookupSum> {
        let untold = |sum: &&LookupSum| {
            sum.connection.is_none_or(|connection| self.by_connection.contains_key(&connection))
        };
        self.delta.lookups.iter().filter(untold)
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
