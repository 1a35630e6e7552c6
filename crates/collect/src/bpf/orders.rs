//! What user space tells the programs: one struct in a map, given anew with each change.

use std::time::Duration;

use libbpf_rs::{MapCore, MapFlags};

use super::skeletons::tracer::TracerMaps;
use super::types::orders;
use crate::error::CollectError;
use crate::plain::to_bytes;
use crate::udp_timeouts::UdpTimeouts;

/// The orders given last.
#[derive(Debug, Default)]
pub(super) struct Orders {
    given: orders,
}

impl Orders {
    /// Whoever is adopted from now on belongs to a new pass, which began at this time of the kernel's clock.
    pub(super) fn adoption_begins(&mut self, maps: &TracerMaps<'_>, at_ns: u64) -> Result<(), CollectError> {
        self.given.adoption_began_ns = at_ns;
        self.give(maps)
    }

    /// Every older socket that a process holds was taken over: what is met unclaimed from now on is new.
    pub(super) fn adoption_complete(&mut self, maps: &TracerMaps<'_>) -> Result<(), CollectError> {
        self.given.adoption_complete = 1;
        self.give(maps)
    }

    /// A pass begins; with `read_all` it also reads what has not changed.
    pub(super) fn pass_begins(&mut self, maps: &TracerMaps<'_>, read_all: bool) -> Result<(), CollectError> {
        self.given.pass = self.given.pass.wrapping_add(1);
        self.given.read_all = read_all.into();
        self.give(maps)
    }

    /// Passes tell the names of this generation of roll-ups from now on.
    pub(super) fn roll_ups_closed(
        &mut self,
        maps: &TracerMaps<'_>,
        generation: u32,
    ) -> Result<(), CollectError> {
        self.given.rollups_closed = generation;
        self.give(maps)
    }

    /// The closed generation of roll-ups.
    pub(super) fn closed_roll_ups(&self) -> u32 {
        self.given.rollups_closed
    }

    /// The names of the closed generation are known here: passes forget them.
    pub(super) fn roll_ups_settled(&mut self, maps: &TracerMaps<'_>) -> Result<(), CollectError> {
        self.given.rollups_settled = self.given.rollups_closed;
        self.give(maps)
    }

    /// Every UDP socket older than the tracer has its slot: who claims one from now on is new.
    pub(super) fn udp_adopted(&mut self, maps: &TracerMaps<'_>) -> Result<(), CollectError> {
        self.given.udp_adopted = 1;
        self.give(maps)
    }

    /// UDP connections end when nothing passes for so long.
    pub(super) fn udp_ends(
        &mut self,
        maps: &TracerMaps<'_>,
        timeouts: UdpTimeouts,
    ) -> Result<(), CollectError> {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 2);
        self.given.udp_idle_ns = nanoseconds(timeouts.idle);
        self.given.udp_idle_assured_ns = nanoseconds(timeouts.idle_assured);
        self.give(maps)
    }

    fn give(&self, maps: &TracerMaps<'_>) -> Result<(), CollectError> {
        let given = maps.orders.update(&0u32.to_ne_bytes(), to_bytes(&self.given), MapFlags::ANY);
        given.map_err(|source| CollectError::Map { operation: "write", map: "orders", source })
    }
}
