//! Where the loaded objects live: they cannot move afterwards.

use std::mem::MaybeUninit;

use libbpf_rs::OpenObject;

use super::load::ATTEMPTS;
use super::udp::VARIANTS;

/// One place for each attempt to load.
pub(crate) struct Storage {
    pub(super) tcp: [MaybeUninit<OpenObject>; ATTEMPTS],
    pub(super) udp: [MaybeUninit<OpenObject>; VARIANTS],
    pub(super) processes: MaybeUninit<OpenObject>,
    pub(super) dns_tcp: MaybeUninit<OpenObject>,
}

impl Storage {
    /// Empty places.
    pub(crate) fn empty() -> Self {
        Self {
            tcp: [const { MaybeUninit::uninit() }; ATTEMPTS],
            udp: [const { MaybeUninit::uninit() }; VARIANTS],
            processes: MaybeUninit::uninit(),
            dns_tcp: MaybeUninit::uninit(),
        }
    }
}
