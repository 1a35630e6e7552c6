//! Loading the object of TCP: in the newest dialect that the kernel takes, without what it refuses and can be left out.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::mem::MaybeUninit;
use std::path::Path;

use libbpf_rs::OpenObject;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};

use super::buckets::buckets_for;
use super::ladder::{Climb, Ladder, LeftOut};
use super::rollups::ROLLUPS_ALWAYS;
use super::skeletons::tracer::{OpenTracerSkel, TracerSkel, TracerSkelBuilder};
use super::{objects, refusals};
use crate::CollectLimits;
use crate::dialect::Dialect;
use crate::error::CollectError;
use crate::hooks::{Alternative, Capability, CapabilityState, Refusal};

/// What can be left out.
const OPTIONAL: [Capability; 3] = [Capability::TcpAttempts, Capability::TcpOwner, Capability::TcpAdopted];

/// What cannot.
const REQUIRED: [Capability; 2] = [Capability::TcpLive, Capability::TcpClosed];

/// How many places loading takes at most.
pub(super) const PLACES: usize = Ladder::<Dialect>::places(Dialect::ALL.len(), OPTIONAL.len());

/// What the switch says instead of the kernel.
pub(super) const SWITCHED_OFF: &str = "refused by collect.refuse";

/// The loaded object.
pub(super) struct Loaded<'a> {
    pub(super) skeleton: TracerSkel<'a>,
    pub(super) dialect: Dialect,
    /// How each capability of TCP is served.
    pub(super) states: Vec<CapabilityState>,
}

/// Loads as much as the kernel takes.
///
/// # Errors
/// [`CollectError::NoBtf`] and [`CollectError::Refused`] when what is required cannot be loaded.
pub(super) fn load<'a>(
    places: &'a mut [MaybeUninit<OpenObject>; PLACES],
    limits: CollectLimits,
) -> Result<Loaded<'a>, CollectError> {
    if limits.refuse.names("btf") || !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err(CollectError::NoBtf);
    }
    refusals::listen();
    let (rungs, switched_off): (Vec<Dialect>, Vec<Dialect>) =
        Dialect::ALL.into_iter().partition(|dialect| is_asked_for(*dialect, limits));
    let given = |dialect| given(dialect, limits);
    let ladder = Ladder { rungs: &rungs, optional: &OPTIONAL, given: &given };
    let Climb { loaded, refused } = ladder.climb(places, |place, dialect, left_out| {
        objects::of(dialect, || open(place, limits, dialect, left_out))?.load()
    });
    let switched_off = switched_off.into_iter().map(|dialect| (dialect, SWITCHED_OFF.to_owned()));
    let refused: Vec<(Dialect, String)> = switched_off.chain(refused).collect();
    match loaded {
        Some((dialect, skeleton, left_out)) => {
            let states = states(dialect, &left_out, &refused, limits);
            Ok(Loaded { skeleton, dialect, states })
        }
        None => {
            let reason = refused.last().map(|(_, reason)| reason.clone()).unwrap_or_default();
            Err(CollectError::Refused { what: "the TCP programs", reason })
        }
    }
}

/// Nothing that is required of it is switched off.
fn is_asked_for(dialect: Dialect, limits: CollectLimits) -> bool {
    REQUIRED
        .into_iter()
        .filter_map(|capability| capability.alternative_in(dialect))
        .all(|alternative| !alternative.is_refused_by(limits.refuse))
}

/// What is left out before the kernel is asked: what was not asked for, what is switched off, and what there is not in this
/// dialect.
fn given(dialect: Dialect, limits: CollectLimits) -> LeftOut {
    let reason = |capability: Capability| match capability.alternative_in(dialect) {
        None => {
            Some("the kernel is too old for it: before 5.12 sockets have no names in programs that trace")
        }
        Some(alternative) if alternative.is_refused_by(limits.refuse) => Some(SWITCHED_OFF),
        Some(alternative) if alternative.on_request && !limits.follow_attempts => Some("not asked for"),
        Some(_) => None,
    };
    OPTIONAL.into_iter().filter_map(|capability| Some((capability, reason(capability)?.to_owned()))).collect()
}

fn states(
    dialect: Dialect,
    left_out: &LeftOut,
    refused: &[(Dialect, String)],
    limits: CollectLimits,
) -> Vec<CapabilityState> {
    let state = |capability: Capability| {
        let left = left_out.iter().find(|(left, _)| *left == capability);
        match (left, capability.alternative_in(dialect)) {
            (Some(_), Some(alternative)) if alternative.on_request && !limits.follow_attempts => {
                CapabilityState::not_asked_for(capability)
            }
            (Some((_, reason)), _) => CapabilityState::refused(capability, reason),
            (None, Some(alternative)) => served(capability, alternative, refused),
            (None, None) => CapabilityState::refused(capability, "not on this kernel"),
        }
    };
    REQUIRED.into_iter().chain(OPTIONAL.into_iter().rev()).map(state).collect()
}

fn served(
    capability: Capability,
    by: &'static Alternative,
    refused: &[(Dialect, String)],
) -> CapabilityState {
    let better = capability.alternatives().take_while(|other| other.hook != by.hook);
    let refusal = |other: &'static Alternative| {
        let (_, reason) = refused.iter().find(|(dialect, _)| other.dialects.contains(dialect))?;
        Some(Refusal { hook: other.hook, reason: reason.clone() })
    };
    let refused = better.filter_map(refusal).collect();
    CapabilityState { refused, ..CapabilityState::served_by(capability, by.hook) }
}

fn open<'a>(
    place: &'a mut MaybeUninit<OpenObject>,
    limits: CollectLimits,
    dialect: Dialect,
    left_out: &LeftOut,
) -> libbpf_rs::Result<OpenTracerSkel<'a>> {
    let mut open = TracerSkelBuilder::default().open(place)?;
    let follow_attempts = left_out.iter().all(|(capability, _)| *capability != Capability::TcpAttempts);
    size_maps(&mut open, limits, dialect, follow_attempts)?;
    let constants = open.maps.rodata_data.as_deref_mut().expect("the object has constants");
    constants.bucket_mask = buckets_of(limits, dialect) - 1;
    constants.follow_attempts = follow_attempts;
    constants.ring_wake_bytes = u64::from(limits.ring_size() / 2);
    constants.kernel_casts = dialect == Dialect::Casts;
    (constants.name_secret, constants.name_factor) = (random(), random() | 1);
    for mut program in open.open_object_mut().progs_mut() {
        let loaded = is_part_of(program.name().to_str().unwrap_or_default(), dialect, left_out);
        program.set_autoload(loaded);
    }
    Ok(open)
}

/// The program serves a capability that is not left out.
fn is_part_of(program: &str, dialect: Dialect, left_out: &LeftOut) -> bool {
    REQUIRED
        .into_iter()
        .chain(OPTIONAL)
        .filter(|capability| left_out.iter().all(|(left, _)| left != capability))
        .filter_map(|capability| capability.alternative_in(dialect))
        .any(|alternative| alternative.programs.contains(&program))
}

fn size_maps(
    open: &mut OpenTracerSkel<'_>,
    limits: CollectLimits,
    dialect: Dialect,
    follow_attempts: bool,
) -> libbpf_rs::Result<()> {
    let maps = &mut open.maps;
    // In the oldest dialect all are there: as many as elsewhere in the table and beside it.
    let slots_beside = match dialect {
        Dialect::Oldest => limits.tcp_slots.saturating_add(limits.spilled_slots),
        Dialect::Casts | Dialect::Copies => limits.spilled_slots,
    };
    let rollups = limits.kernel_rollups.max(1).saturating_add(ROLLUPS_ALWAYS);
    maps.connection_table.set_max_entries(buckets_of(limits, dialect))?;
    maps.deferred_records.set_max_entries(limits.deferred_records.max(1))?;
    maps.overflow_records.set_max_entries(limits.overflow_records.max(1))?;
    maps.connect_attempts.set_max_entries(if follow_attempts {
        limits.connect_attempts.max(1)
    } else {
        1
    })?;
    maps.spilled_slots.set_max_entries(slots_beside.max(1))?;
    maps.rollups_even.set_max_entries(rollups)?;
    maps.rollups_odd.set_max_entries(rollups)?;
    maps.closed_records.set_max_entries(limits.ring_size())
}

/// In the oldest dialect all slots are beside the table.
fn buckets_of(limits: CollectLimits, dialect: Dialect) -> u32 {
    if dialect == Dialect::Oldest { 1 } else { buckets_for(limits.tcp_slots) }
}

/// A number that nobody can know: the standard library seeds its hash tables with random bytes of the kernel.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}
