//! From the kernel to events.
//!
//! Owns all BPF: the C programs in `bpf/`, their loading, and the reading of what they tell. Gives plain
//! [`connections::Event`]s and knows nothing of clients, HTTP or configuration files. The only crate with
//! `unsafe` code.

mod bpf;
mod cgroups;
mod clock;
mod collector;
mod counts;
mod error;
mod hooks;
mod inbox;
mod jiffies;
mod namespaces;
mod plain;
mod privilege;
mod record;
mod rollup;

pub use bpf::{ProgramCosts, ProgramRuns};
pub use clock::{kernel_now, wall_offset};
pub use collector::{Collector, PassRequests, Report, Support};
pub use counts::KernelCounts;
pub use error::CollectError;
pub use hooks::{Capability, CapabilityState};
pub use privilege::{MissingPrivilege, check_privileges};

/// Bounds of the kernel side, and of what it may cost to measure it.
#[derive(Debug, Clone, Copy)]
pub struct CollectLimits {
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
    /// Sockets beyond `tcp_slots` that are told when they close. 160 bytes of kernel memory each while used.
    pub spilled_slots: u32,
    /// Roll-ups with a key of their own; beyond, connections are rolled up into one of the rest. 830 bytes of
    /// kernel memory each while used, at most twice.
    pub kernel_rollups: u32,
    /// Follow calls of `connect` that fail before anything is sent.
    pub follow_attempts: bool,
    /// Sockets whose last call of `connect` failed so, and which are still open. 180 bytes of kernel memory
    /// each while used.
    pub connect_attempts: u32,
    /// In each minute the kernel counts runs and run time of programs for so many milliseconds; 0 for never.
    pub cost_sample_ms: u32,
}

impl Default for CollectLimits {
    fn default() -> Self {
        Self {
            tcp_slots: 262_144,
            ring_bytes: 8 << 20,
            deferred_records: 16_384,
            overflow_records: 65_536,
            spilled_slots: 65_536,
            kernel_rollups: 4096,
            follow_attempts: false,
            connect_attempts: 16_384,
            cost_sample_ms: 1000,
        }
    }
}
