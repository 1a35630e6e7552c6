//! Patterns in the form of the reference: a table from addresses to protocols and ports.
//!
//! Also owns what an address range and a port range look like as text, which `rules` reads too. Other than in the
//! reference, ranges of IPv6 match, `*` means both families, and an IPv4-mapped address means that of IPv4.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use connections::Protocol;
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::RULES_MAX;

/// Addresses, and what is meant at each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Vec<String>>", into = "BTreeMap<String, Vec<String>>")]
pub struct Patterns {
    written: BTreeMap<String, Vec<String>>,
    patterns: Vec<Pattern>,
}

/// One of them. What is absent does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) range: Option<IpNet>,
    pub(super) protocol: Option<Protocol>,
    pub(super) ports: Option<RangeInclusive<u16>>,
}

impl Patterns {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter()
    }
}

impl TryFrom<BTreeMap<String, Vec<String>>> for Patterns {
    type Error = String;

    fn try_from(written: BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let mut patterns = Vec::new();
        for (address, values) in &written {
            let range = match address.as_str() {
                "*" => None,
                address => Some(range(address).ok_or_else(|| {
                    format!("\"{address}\": a key is an address, a range such as \"10.0.0.0/8\", or \"*\"")
                })?),
            };
            for value in values {
                let (protocol, ports) = value_of(value).ok_or_else(|| {
                    format!(
                        "\"{address}\" = \"{value}\": a value is \"*\", a port from 1 to 65535 or a range such as \
                         \"8000-9000\", perhaps after \"tcp\", \"udp\" or \"*\" and a space"
                    )
                })?;
                patterns.push(Pattern { range, protocol, ports });
            }
        }
        match patterns.len() {
            ..=RULES_MAX => Ok(Self { written, patterns }),
            number => Err(format!("{number} values: at most {RULES_MAX}")),
        }
    }
}

impl From<Patterns> for BTreeMap<String, Vec<String>> {
    fn from(patterns: Patterns) -> Self {
        patterns.written
    }
}

/// Protocol and ports; the outer `None` where the text is neither.
fn value_of(text: &str) -> Option<(Option<Protocol>, Option<RangeInclusive<u16>>)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (protocol, ports) = match words[..] {
        [ports] => ("*", ports),
        [protocol, ports] => (protocol, ports),
        _ => return None,
    };
    let protocol = match protocol.to_lowercase().as_str() {
        "*" => None,
        protocol => Some(self::protocol(protocol)?),
    };
    let ports = match ports {
        "*" => None,
        ports => Some(self::ports(ports)?),
    };
    Some((protocol, ports))
}

pub(super) fn protocol(name: &str) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp].into_iter().find(|protocol| protocol.name() == name)
}

/// An address or a range. An IPv4-mapped one is that of IPv4.
pub(super) fn range(text: &str) -> Option<IpNet> {
    const MAPPED_BITS: u8 = 96;
    let range = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().ok()?,
    };
    let IpNet::V6(v6) = range else { return Some(range.trunc()) };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(MAPPED_BITS));
    let v4 = mapped.and_then(|(address, bits)| Ipv4Net::new(address, bits).ok());
    Some(v4.map_or(range, IpNet::V4).trunc())
}

/// One port, or the lowest and the highest of a range.
pub(super) fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (port(low)?, port(high)?);
    (low <= high).then_some(low..=high)
}

/// Digits alone, other than for the parser of numbers, which takes a sign.
fn port(text: &str) -> Option<u16> {
    let text = text.trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(address: &str, value: &str) -> Result<Pattern, String> {
        let written = BTreeMap::from([(address.to_owned(), vec![value.to_owned()])]);
        let patterns = Patterns::try_from(written)?;
        Ok(patterns.patterns.first().expect("there is one").clone())
    }

    #[test]
    fn a_value_is_a_port_or_a_range_or_all_perhaps_of_one_protocol() {
        let (tcp, udp) = (Some(Protocol::Tcp), Some(Protocol::Udp));
        for (value, protocol, ports) in [
            ("*", None, None),
            ("53", None, Some(53..=53)),
            ("1-65535", None, Some(1..=65535)),
            ("8000-9000", None, Some(8000..=9000)),
            ("80-80", None, Some(80..=80)),
            ("tcp *", tcp, None),
            ("udp 53", udp, Some(53..=53)),
            ("* 53", None, Some(53..=53)),
            ("* *", None, None),
            ("TCP  8000-9000", tcp, Some(8000..=9000)),
        ] {
            let found = patterns("*", value).map(|pattern| (pattern.protocol, pattern.ports));
            assert_eq!(found, Ok((protocol, ports)), "{value}");
        }
        for wrong in [
            "",
            "0",
            "65536",
            "-1",
            "+1",
            "9000-8000",
            "0-9",
            "1-65536",
            "1-2-3",
            "-",
            "5-",
            "-5",
            "tcp",
            "icmp 5",
            "tcp 5 6",
            "tcp udp",
            "5 tcp",
            "a-b",
            "**",
        ] {
            let message = patterns("*", wrong).expect_err(wrong);
            assert!(message.starts_with(&format!("\"*\" = \"{wrong}\": a value is ")), "{message}");
        }
    }

    #[test]
    fn a_key_is_an_address_or_a_range_of_one_family_or_all() {
        for (address, range) in [
            ("*", None),
            ("10.0.0.1", Some("10.0.0.1/32")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("::1", Some("::1/128")),
            ("fd00:1::/8", Some("fd00::/8")),
            ("::/0", Some("::/0")),
            ("::ffff:10.0.0.1", Some("10.0.0.1/32")),
            ("::ffff:10.0.0.0/104", Some("10.0.0.0/8")),
            ("::ffff:0:0/96", Some("0.0.0.0/0")),
            ("::ffff:0:0/95", Some("::fffe:0:0/95")),
        ] {
            let expected = range.map(|range| range.parse::<IpNet>().expect("a range"));
            assert_eq!(patterns(address, "*").map(|pattern| pattern.range), Ok(expected), "{address}");
        }
        for wrong in
            ["", "10.0.0", "10.0.0.1/33", "::1/129", "host", "10.0.0.1:80", "10.0.0.1-10.0.0.2", "**"]
        {
            let message = patterns(wrong, "*").expect_err(wrong);
            assert!(message.starts_with(&format!("\"{wrong}\": a key is ")), "{message}");
        }
    }

    #[test]
    fn values_are_bounded() {
        let written = |number| BTreeMap::from([("*".to_owned(), vec!["53".to_owned(); number])]);
        assert_eq!(Patterns::try_from(written(RULES_MAX)).map(|all| all.iter().count()), Ok(RULES_MAX));
        assert_eq!(Patterns::try_from(written(RULES_MAX + 1)), Err("65 values: at most 64".to_owned()));
    }
}
