//! The dialects of the BPF programs: how they read the kernel, newest first.
//!
//! One source is compiled twice, for kernels since 5.12 and for older ones; within the newer object a constant decides.
//! Which of them the kernel takes shows when it is loaded, never by its version.

/// Why programs of packets are missing in the other dialects.
pub(crate) const NEEDS_CASTS: &str = "the programs of packets need bpf_rdonly_cast";

/// How programs read memory of the kernel, and what they need for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// In place, by giving an address its type (`bpf_rdonly_cast`, since 6.2).
    Casts,
    /// By copies; with atomic operations and names of sockets (since 5.12).
    Copies,
    /// By copies, and with nothing that came after 5.8.
    Oldest,
}

impl Dialect {
    /// All, best first.
    pub(crate) const ALL: [Self; 3] = [Self::Casts, Self::Copies, Self::Oldest];

    /// What is the same in all of them.
    pub(crate) const ANY: &'static [Self] = &Self::ALL;

    /// What needs names of sockets that all programs share, or a table that several write at once.
    pub(crate) const SINCE_5_12: &'static [Self] = &[Self::Casts, Self::Copies];
}
