//! The part of the configuration that says what is read from the kernel.

use ::collect::Refuse;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Where connections come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// From programs in the kernel, and where it takes none, by polling
    Auto,
    /// From programs in the kernel, or not at all
    Bpf,
    /// By polling the kernel's socket diagnosis
    Polling,
}

impl From<Backend> for ::collect::Backend {
    fn from(backend: Backend) -> Self {
        match backend {
            Backend::Auto => Self::Auto,
            Backend::Bpf => Self::Bpf,
            Backend::Polling => Self::Polling,
        }
    }
}

/// What is read from the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Collect {
    /// Where connections come from: `bpf`, programs in the kernel; `polling`, its socket diagnosis, which sees less; `auto`,
    /// polling where the kernel takes no programs. Set it to `bpf` to be told of that by a failure.
    pub backend: Backend,
    /// In each minute the kernel counts runs and run time of the tracer's programs for so many milliseconds,
    /// 0 to 60000; 0 never. While it counts, every BPF program of the host takes about 50 ns longer per run.
    pub cost_sample_ms: u32,
    /// Follow calls of `connect` that fail before anything is sent: no route, no address, refused by a cgroup's
    /// program. They are told when the socket is used again or closed. Adds a program to every `connect`
    /// of the host; docs/performance.md says what that costs.
    pub connect_attempts: bool,
    /// Seconds between two audits, 0 to 3600; 0 for none. An audit compares what is followed with the kernel's own sockets and
    /// counters, namespace by namespace; it rests for a thousand times as long as it took, if that is longer.
    pub audit_interval_s: u32,
    /// Follow UDP. Where the kernel has no hook of UDP alone (`/v1/status` tells which serves it), every packet of TCP
    /// passes a program that returns at once; docs/performance.md says what that costs. Without, no program is on a
    /// path of packets.
    pub udp: bool,
    /// Follow which processes begin, execute and end, so that it is known what a process was that ended before it could be
    /// looked up. Adds programs to every fork, exec and exit of the host; docs/performance.md says what that costs.
    pub processes: bool,
    /// Learn names of remote ends from the DNS messages that pass sockets of the host over UDP. Needs `udp`, and no
    /// program beyond those of it.
    pub dns: bool,
    /// Learn names from DNS over TCP too. Every packet of the host then passes a program that returns at once for other
    /// ports; docs/performance.md says what that costs.
    pub dns_tcp: bool,
    /// Ports of name servers, at most 8.
    pub dns_ports: Vec<u16>,
    /// What is not tried, as if the kernel had refused it: attach points (`fentry`, `cgroup_skb`, `tp_btf`, `iter/tcp`, …)
    /// and what programs use of the kernel (`bpf_rdonly_cast`, `bpf_get_socket_cookie`); a wrong word is answered with
    /// all that there are. The next alternative serves then. Set it where one of them does harm on your kernel.
    pub refuse: Vec<String>,
}

impl Collect {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let range = |key, value, allowed| Err(ConfigError::Range { key, value, allowed });
        if self.cost_sample_ms > 60_000 {
            return range(
                "collect.cost_sample_ms",
                self.cost_sample_ms.to_string(),
                "0 to 60000 milliseconds",
            );
        }
        if self.audit_interval_s > 3600 {
            return range("collect.audit_interval_s", self.audit_interval_s.to_string(), "0 to 3600 seconds");
        }
        if self.dns_ports.len() > ::collect::DNS_PORTS || self.dns_ports.contains(&0) {
            return range(
                "collect.dns_ports",
                format!("{:?}", self.dns_ports),
                "at most 8 ports from 1 to 65535",
            );
        }
        if let Err(error) = Refuse::of(&self.refuse) {
            return range("collect.refuse", format!("{:?}", error.word), Refuse::WORDS_TEXT);
        }
        Ok(())
    }

    /// What is not tried.
    #[must_use]
    pub fn refused(&self) -> Refuse {
        Refuse::of(&self.refuse).expect("each word was checked")
    }
}

impl Default for Collect {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            cost_sample_ms: 1000,
            connect_attempts: false,
            audit_interval_s: 60,
            udp: true,
            processes: true,
            dns: true,
            dns_tcp: false,
            dns_ports: vec![53],
            refuse: Vec::new(),
        }
    }
}
