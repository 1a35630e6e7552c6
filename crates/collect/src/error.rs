//! What can go wrong between the kernel and the events.

use std::io;

use crate::privileges::RelinquishError;

/// Tracing cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The kernel has no type information of itself.
    #[error("the kernel has no BTF at /sys/kernel/btf/vmlinux: it must be built with CONFIG_DEBUG_INFO_BTF")]
    NoBtf,
    /// The kernel refused a program or map that nothing can stand in for.
    #[error("the kernel refused to load {what}: {reason}")]
    Refused {
        /// What was refused.
        what: &'static str,
        /// The kernel's own words.
        reason: String,
    },
    /// A loaded program could not be attached.
    #[error("cannot attach {hook}")]
    Attach {
        /// The hook.
        hook: &'static str,
        /// Why.
        source: libbpf_rs::Error,
    },
    /// A map could not be sized, read or consumed.
    #[error("cannot {operation} {map}")]
    Map {
        /// What was tried.
        operation: &'static str,
        /// The map.
        map: &'static str,
        /// Why.
        source: libbpf_rs::Error,
    },
    /// An iterator could not be read.
    #[error("cannot read {hook}")]
    Iterate {
        /// The hook.
        hook: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Counters of the kernel could not be read.
    #[error("cannot read /proc/thread-self/net/{file}")]
    Proc {
        /// The file.
        file: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Privileges that were needed to load could not be given up.
    #[error(transparent)]
    Privileges(#[from] RelinquishError),
    /// The thread could not be made or return to its own network namespace.
    #[error("cannot {operation}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
}
