//! Where the loaded objects live: they cannot move afterwards.

use std::mem::MaybeUninit;

use libbpf_rs::OpenObject;

use super::{load, udp};

/// One place for each attempt to load.
pub(crate) struct Storage {
    pub(super) tcp: [MaybeUninit<OpenObject>; load::PLACES],
    pub(super) udp: [MaybeUninit<OpenObject>; udp::PLACES],
    pub(super) processes: MaybeUninit<OpenObject>,
    pub(super) dns_tcp: MaybeUninit<OpenObject>,
}

impl Storage {
    /// Empty places.
    pub(crate) fn empty() -> Self {
        Self {
            tcp: [const { MaybeUninit::uninit() }; load::PLACES],
            udp: [const { MaybeUninit::uninit() }; udp::PLACES],
            processes: MaybeUninit::uninit(),
            dns_tcp: MaybeUninit::uninit(),
        }
    }
}
