//! The object of messages of name servers over TCP: loaded and attached when it is asked for.
//!
//! Shares the table of the TCP object, and the ring buffer of UDP's where that is loaded. What the kernel refuses is missing,
//! and nothing else.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{Link, MapMut, OpenObject, Program};

use super::buckets::buckets_for;
use super::load::SWITCHED_OFF;
use super::refusals;
use super::skeletons::dns_tcp::{DnsTcpSkel, DnsTcpSkelBuilder};
use super::skeletons::tracer::TracerMaps;
use crate::CollectLimits;
use crate::cgroups;
use crate::dialect::{Dialect, NEEDS_CASTS};
use crate::hooks::{Capability, CapabilityState};

/// The loaded and attached programs.
pub(super) struct DnsTcp<'a> {
    skeleton: DnsTcpSkel<'a>,
    /// Dropping them would detach the hooks.
    _hooks: [Link; 2],
}

impl<'a> DnsTcp<'a> {
    /// Loads and attaches if that is asked for. Without `ring` it makes one of its own.
    pub(super) fn start(
        place: &'a mut MaybeUninit<OpenObject>,
        limits: CollectLimits,
        dialect: Dialect,
        shared: &TracerMaps<'_>,
        ring: Option<&MapMut<'_>>,
    ) -> (Option<Self>, CapabilityState) {
        let missing = |reason: &str| (None, CapabilityState::refused(Capability::DnsTcp, reason));
        if !limits.copies_segments() {
            return (None, CapabilityState::not_asked_for(Capability::DnsTcp));
        }
        match Capability::DnsTcp.alternative_in(dialect) {
            None => return missing(NEEDS_CASTS),
            Some(alternative) if alternative.is_refused_by(limits.refuse) => return missing(SWITCHED_OFF),
            Some(_) => {}
        }
        refusals::take();
        match Self::attempt(place, limits, shared, ring) {
            Ok(programs) => {
                let mut state = CapabilityState::served(Capability::DnsTcp);
                if !cgroups::sees_all() {
                    state.degradation = Some(cgroups::ONLY_OWN.to_owned());
                }
                (Some(programs), state)
            }
            Err(error) => missing(&refusals::take().words.unwrap_or_else(|| error.to_string())),
        }
    }

    fn attempt(
        place: &'a mut MaybeUninit<OpenObject>,
        limits: CollectLimits,
        shared: &TracerMaps<'_>,
        ring: Option<&MapMut<'_>>,
    ) -> Result<Self, libbpf_rs::Error> {
        let mut open = DnsTcpSkelBuilder::default().open(place)?;
        let maps = &mut open.maps;
        maps.counts.reuse_fd(shared.counts.as_fd())?;
        maps.connection_table.reuse_fd(shared.connection_table.as_fd())?;
        match ring {
            Some(ring) => maps.payload_records.reuse_fd(ring.as_fd())?,
            None => maps.payload_records.set_max_entries(limits.payload_ring_size())?,
        }
        // The other maps of TCP come with the headers, and no program uses them.
        let unused = [
            &mut maps.closed_records,
            &mut maps.overflow_records,
            &mut maps.rollups_even,
            &mut maps.rollups_odd,
            &mut maps.rollups,
            &mut maps.orders,
            &mut maps.spilled_slots,
            &mut maps.deferred_records,
            &mut maps.connect_attempts,
            &mut maps.pass_ticks,
            &mut maps.tcp_audit,
        ];
        for map in unused {
            map.set_autocreate(false)?;
        }
        let constants = maps.rodata_data.as_deref_mut().expect("the object has constants");
        constants.bucket_mask = buckets_for(limits.tcp_slots) - 1;
        constants.payload_wake_bytes = u64::from(limits.payload_ring_size() / 2);
        constants.name_ports = name_ports(limits);
        let skeleton = open.load()?;
        let root = cgroups::root()?;
        let attach = |program: &libbpf_rs::ProgramMut<'_>| program.attach_cgroup(root.as_raw_fd());
        let hooks = [attach(&skeleton.progs.dns_tcp_egress)?, attach(&skeleton.progs.dns_tcp_ingress)?];
        Ok(Self { skeleton, _hooks: hooks })
    }

    /// The ring buffer of messages of name servers.
    pub(super) fn payload_records(&self) -> &MapMut<'_> {
        &self.skeleton.maps.payload_records
    }

    /// The programs that the kernel took, always in the same order.
    pub(super) fn loaded(&self) -> impl Iterator<Item = Program<'_>> {
        self.skeleton.object().progs()
    }
}

/// The ports of name servers as the programs want them: in network order, those that are none at the end.
pub(super) fn name_ports(limits: CollectLimits) -> [u16; 8] {
    let mut ports = limits.dns_ports.map(u16::to_be);
    // A stable sort: those that are not 0 keep their order, the most used first.
    ports.sort_by_key(|port| *port == 0);
    ports
}
