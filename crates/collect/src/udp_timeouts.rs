//! When a UDP connection has ended, as far as the kernel has an opinion: the time-outs of its connection tracking.

use std::fs;
use std::time::Duration;

/// Where connection tracking is not there.
const UNREADABLE: Duration = Duration::from_secs(120);

/// A connection ends when nothing has passed for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UdpTimeouts {
    /// Until both ends have sent, and the one that began has sent again.
    pub(crate) idle: Duration,
    /// After that.
    pub(crate) idle_assured: Duration,
}

impl UdpTimeouts {
    /// Those of the own network namespace, which hold for all of the host.
    pub(crate) fn now() -> Self {
        let seconds = |name: &str| {
            let text = fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?;
            text.trim().parse().ok().map(Duration::from_secs)
        };
        Self {
            idle: seconds("nf_conntrack_udp_timeout").unwrap_or(UNREADABLE),
            idle_assured: seconds("nf_conntrack_udp_timeout_stream").unwrap_or(UNREADABLE),
        }
    }
}
