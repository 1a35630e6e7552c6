//! From the kernel to events.
//!
//! Owns all BPF: the C programs in `bpf/`, their loading, and the reading of what they tell. Gives plain
//! [`connections::Event`]s and knows nothing of clients, HTTP or configuration files. The only crate with
//! `unsafe` code.

mod audit;
mod bpf;
mod cgroups;
mod clock;
mod collector;
mod counts;
mod datagrams;
mod dialect;
mod error;
mod facts;
mod hooks;
mod inbox;
mod jiffies;
mod kernel_sums;
mod namespaces;
mod outlet;
mod passes;
mod payloads;
mod plain;
mod polling;
mod privileges;
mod probe;
mod processes;
mod record;
mod rollup;
mod udp_timeouts;

pub use bpf::{KernelMaps, ProgramCosts, ProgramRuns};
pub use cgroups::CgroupPaths;
pub use clock::{kernel_now, wall_offset};
pub use collector::{Collector, PassRequests, Support};
pub use counts::{KernelCounts, UdpCounts};
pub use error::CollectError;
pub use facts::{CapabilityFacts, CgroupFacts, CgroupLayout, HostFacts, SockDiagFacts};
pub use hooks::{Capability, CapabilityState, Refusal, Refuse, UnknownHook};
pub use namespaces::NetworkNamespaces;
pub use outlet::Report;
pub use privileges::{
    FEATURES, Feature, FeatureRow, MissingPrivilege, Privilege, Privileges, RelinquishError, When,
    check_privileges, missing_for, relinquish,
};
pub use probe::{Probed, probe};

/// Where connections come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backend {
    /// From BPF programs, and where the kernel takes none, by polling.
    #[default]
    Auto,
    /// From BPF programs, or not at all.
    Bpf,
    /// By polling the kernel's socket diagnosis.
    Polling,
}

/// How many ports of name servers there can be.
pub const DNS_PORTS: usize = 8;

/// The ports for [`CollectLimits::dns_ports`]; those beyond [`DNS_PORTS`] are left out.
#[must_use]
pub fn dns_ports(ports: &[u16]) -> [u16; DNS_PORTS] {
    std::array::from_fn(|place| ports.get(place).copied().unwrap_or_default())
}

/// Bounds of the kernel side, and of what it may cost to measure it.
#[derive(Debug, Clone, Copy)]
pub struct CollectLimits {
    /// Where connections come from.
    pub backend: Backend,
    /// Sockets that can be followed at once: connections and listeners. Rounded up to a power of two; 112
    /// bytes of kernel memory each.
    pub tcp_slots: u32,
    /// Bytes of the ring buffer for closed connections. Rounded up to a power of two of at least a page;
    /// 264 bytes hold one.
    pub ring_bytes: u32,
    /// Final records that can wait for their owner at once; beyond, they are told without one. 320 bytes of
    /// kernel memory each while used.
    pub deferred_records: u32,
    /// Final records kept beside a full ring buffer; beyond, they are rolled up. 320 bytes of kernel memory
    /// each while used.
    pub overflow_records: u32,
    /// Sockets beyond `tcp_slots` that are told when they close. 168 bytes of kernel memory each while used.
    pub spilled_slots: u32,
    /// Roll-ups with a key of their own; beyond, connections are rolled up into one of the rest. 830 bytes of
    /// kernel memory each while used, at most twice.
    pub kernel_rollups: u32,
    /// Follow calls of `connect` that fail before anything is sent.
    pub follow_attempts: bool,
    /// Sockets whose last call of `connect` failed so, and which are still open. 180 bytes of kernel memory
    /// each while used.
    pub connect_attempts: u32,
    /// Milliseconds between two audits; 0 for none.
    pub audit_interval_ms: u32,
    /// After an audit there is none for so many times as long as it took: with 1000, audits take a thousandth of a core.
    pub audit_pause_factor: u32,
    /// Follow UDP.
    pub follow_udp: bool,
    /// UDP sockets with a place for one peer each. Rounded up to a power of two; 232 bytes of kernel memory each.
    pub udp_slots: u32,
    /// Further peers of UDP sockets, and those of sockets beyond `udp_slots`; beyond, datagrams are rolled up. 240 bytes
    /// of kernel memory each while used.
    pub udp_peers: u32,
    /// Follow what processes do: fork, execute, exit.
    pub follow_processes: bool,
    /// Bytes of the ring buffer for that; beyond, it is lost and counted. Rounded up to a power of two of at least a page;
    /// 56 bytes hold a fork or an exit, an execution takes its file and its arguments, of these at most 512, more.
    pub process_ring_bytes: u32,
    /// Copy messages of name servers over UDP, while UDP is followed.
    pub follow_dns: bool,
    /// Copy messages of name servers over TCP: every packet of the host then passes a program.
    pub follow_dns_tcp: bool,
    /// Ports of name servers; 0 is none.
    pub dns_ports: [u16; DNS_PORTS],
    /// Bytes of the ring buffer for these messages; beyond, they are not copied. Rounded up to a power of two of at least a
    /// page; a question takes 224 bytes, an answer 608 or 1328.
    pub payload_ring_bytes: u32,
    /// In each minute the kernel counts runs and run time of programs for so many milliseconds; 0 for never.
    pub cost_sample_ms: u32,
    /// What is not tried, as if the kernel had refused it.
    pub refuse: Refuse,
    /// What the collector's thread keeps of its privileges when the sockets that are there are adopted; all, where that is absent.
    pub keep: Option<Privileges>,
}

impl Default for CollectLimits {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            tcp_slots: 262_144,
            ring_bytes: 8 << 20,
            deferred_records: 16_384,
            overflow_records: 65_536,
            spilled_slots: 65_536,
            kernel_rollups: 4096,
            follow_attempts: false,
            connect_attempts: 16_384,
            audit_interval_ms: 60_000,
            audit_pause_factor: 1000,
            follow_udp: true,
            udp_slots: 16_384,
            udp_peers: 65_536,
            follow_processes: true,
            process_ring_bytes: 1 << 20,
            follow_dns: true,
            follow_dns_tcp: false,
            dns_ports: [53, 0, 0, 0, 0, 0, 0, 0],
            payload_ring_bytes: 2 << 20,
            cost_sample_ms: 1000,
            refuse: Refuse::default(),
            keep: None,
        }
    }
}

impl CollectLimits {
    /// The size that the ring buffer gets, in bytes.
    pub(crate) fn ring_size(self) -> u32 {
        whole_pages(self.ring_bytes)
    }

    /// The size that the ring buffer for processes gets, in bytes.
    pub(crate) fn process_ring_size(self) -> u32 {
        whole_pages(self.process_ring_bytes)
    }

    /// Messages of name servers over UDP are asked for.
    pub(crate) fn copies_datagrams(self) -> bool {
        self.follow_udp && self.follow_dns && self.dns_ports != [0; DNS_PORTS]
    }

    /// And over TCP.
    pub(crate) fn copies_segments(self) -> bool {
        self.follow_dns_tcp && self.dns_ports != [0; DNS_PORTS]
    }

    /// The size that the ring buffer of the messages of name servers gets, in bytes.
    pub(crate) fn payload_ring_size(self) -> u32 {
        let bytes =
            if self.copies_datagrams() || self.copies_segments() { self.payload_ring_bytes } else { 0 };
        whole_pages(bytes)
    }
}

/// The size of a ring buffer that holds so many bytes: the kernel takes powers of two of at least a page, which has 4 KiB
/// to 64 KiB on arm64.
fn whole_pages(bytes: u32) -> u32 {
    let page = u32::try_from(rustix::param::page_size()).expect("a page has at most 64 KiB");
    bytes.max(page).next_power_of_two()
}
