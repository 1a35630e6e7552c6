//! What the kernel counted in the network namespace of this thread, from `/proc/thread-self/net`.
//!
//! Reads `snmp`, `snmp6` and `netstat`. A counter that a kernel does not have is 0.

use std::fs;
use std::io;

use connections::KernelSums;

use crate::error::CollectError;

/// Reads the counters.
///
/// # Errors
/// [`CollectError::Proc`] when the files of IPv4 cannot be read; those of IPv6 need not exist.
pub(crate) fn kernel_sums() -> Result<KernelSums, CollectError> {
    let read = |file: &'static str| {
        let failed = |source| CollectError::Proc { file, source };
        fs::read_to_string(format!("/proc/thread-self/net/{file}")).map_err(failed)
    };
    let ipv6 = match read("snmp6") {
        Err(CollectError::Proc { source, .. }) if source.kind() == io::ErrorKind::NotFound => String::new(),
        other => other?,
    };
    Ok(sums(&read("snmp")?, &read("netstat")?, &ipv6))
}

fn sums(snmp: &str, netstat: &str, ipv6: &str) -> KernelSums {
    let tcp = |name| named(snmp, "Tcp: ", name);
    let udp = |name| named(snmp, "Udp: ", name).saturating_add(listed(ipv6, &format!("Udp6{name}")));
    let octets = |name| named(netstat, "IpExt: ", name).saturating_add(listed(ipv6, &format!("Ip6{name}")));
    KernelSums {
        tcp_active_opens: tcp("ActiveOpens"),
        tcp_passive_opens: tcp("PassiveOpens"),
        tcp_retransmitted: tcp("RetransSegs"),
        udp_sent: udp("OutDatagrams"),
        udp_received: udp("InDatagrams").saturating_add(udp("RcvbufErrors")),
        sent_octets: octets("OutOctets"),
        received_octets: octets("InOctets"),
    }
}

/// A value in a file of two lines for each kind: the names, then the values.
fn named(file: &str, kind: &str, name: &str) -> u64 {
    let mut lines = file.lines().filter_map(|line| line.strip_prefix(kind));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split(' ').zip(values.split(' '));
    pairs.find(|(found, _)| *found == name).and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// A value in a file of a name and a value in each line.
fn listed(file: &str, name: &str) -> u64 {
    let mut pairs = file.lines().filter_map(|line| line.split_once(char::is_whitespace));
    pairs.find(|(found, _)| *found == name).and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_and_both_families_are_added() {
        let snmp = "Tcp: RtoMin ActiveOpens PassiveOpens RetransSegs\nTcp: 200 3 4 5\n\
                    Udp: InDatagrams NoPorts OutDatagrams RcvbufErrors\nUdp: 10 1 20 2\n";
        let netstat = "TcpExt: SyncookiesSent\nTcpExt: 9\nIpExt: InOctets OutOctets\nIpExt: 1000 2000\n";
        let ipv6 = "Ip6InOctets                     \t7\nIp6OutOctets  8\nUdp6InDatagrams   30\nUdp6OutDatagrams 40\n";
        let expected = KernelSums {
            tcp_active_opens: 3,
            tcp_passive_opens: 4,
            tcp_retransmitted: 5,
            udp_sent: 60,
            udp_received: 42,
            sent_octets: 2008,
            received_octets: 1007,
        };
        assert_eq!(sums(snmp, netstat, ipv6), expected);
        assert_eq!(sums("", "", ""), KernelSums::default());
    }

    #[test]
    fn the_own_counters_can_be_read() {
        assert!(kernel_sums().is_ok());
    }
}
