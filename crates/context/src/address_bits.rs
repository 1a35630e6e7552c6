//! Addresses as keys: as a number, which is smaller, hashed and compared faster than an address of either family.

use std::net::{IpAddr, Ipv6Addr};

/// The bits of an address, IPv4 mapped into IPv6. Scopes are not in them.
pub(crate) fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address with these bits; a mapped one is IPv4.
pub(crate) fn address(bits: u128) -> IpAddr {
    Ipv6Addr::from_bits(bits).to_canonical()
}
