//! Loading: the whole object first, then without what the kernel refuses.

use std::mem::MaybeUninit;
use std::path::Path;

use libbpf_rs::OpenObject;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};

use super::buckets::buckets_for;
use super::refusals;
use super::rollups::ROLLUPS_ALWAYS;
use super::skeletons::tracer::{OpenTracerSkel, TracerSkel, TracerSkelBuilder};
use crate::CollectLimits;
use crate::error::CollectError;
use crate::hooks::{Alternative, Capability, CapabilityState};

/// What can be left out. Attempts to load leave out every choice of these, the smaller ones first.
const OPTIONAL: [Capability; 3] = [Capability::TcpAttempts, Capability::TcpOwner, Capability::TcpAdopted];

/// How many choices of those there are.
pub(super) const ATTEMPTS: usize = 1 << OPTIONAL.len();

/// Loads as much as the kernel takes. `storage` has one place for each attempt.
///
/// # Errors
/// [`CollectError::NoBtf`] and [`CollectError::Refused`] when what is required cannot be loaded.
pub(super) fn load<'a>(
    storage: &'a mut [MaybeUninit<OpenObject>; ATTEMPTS],
    limits: CollectLimits,
) -> Result<(TracerSkel<'a>, Vec<CapabilityState>), CollectError> {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err(CollectError::NoBtf);
    }
    refusals::listen();
    let mut first_reason = None;
    let mut last_error = None;
    for (place, left_out) in storage.iter_mut().zip(choices(limits)) {
        refusals::take();
        match open(place, limits, &left_out).and_then(OpenSkel::load) {
            Ok(skeleton) => return Ok((skeleton, states(limits, &left_out, first_reason.as_deref()))),
            Err(error) => {
                let reason = refusals::take().unwrap_or_else(|| error.to_string());
                first_reason.get_or_insert(reason);
                last_error = Some(error);
            }
        }
    }
    let unknown = || last_error.map(|error| error.to_string()).unwrap_or_default();
    Err(CollectError::Refused { what: "the TCP programs", reason: first_reason.unwrap_or_else(unknown) })
}

/// What each attempt leaves out; what was not asked for is always left out.
fn choices(limits: CollectLimits) -> Vec<Vec<Capability>> {
    let mut choices: Vec<Vec<Capability>> = (0..ATTEMPTS)
        .map(|choice| {
            let chosen = OPTIONAL.into_iter().enumerate().filter(|(bit, _)| choice >> bit & 1 == 1);
            chosen.map(|(_, capability)| capability).collect()
        })
        .collect();
    choices.sort_by_key(Vec::len);
    choices.retain(|choice| limits.follow_attempts || choice.contains(&Capability::TcpAttempts));
    choices
}

fn states(limits: CollectLimits, left_out: &[Capability], reason: Option<&str>) -> Vec<CapabilityState> {
    let state = |hook: &Alternative| match (left_out.contains(&hook.capability), reason) {
        (true, _) if hook.on_request && !limits.follow_attempts => {
            CapabilityState::not_asked_for(hook.capability)
        }
        (true, reason) => CapabilityState::refused(hook.capability, reason.unwrap_or("refused")),
        (false, _) => CapabilityState::served(hook.capability),
    };
    crate::hooks::HOOKS.iter().filter(|hook| hook.capability.is_of_tcp()).map(state).collect()
}

fn open<'a>(
    place: &'a mut MaybeUninit<OpenObject>,
    limits: CollectLimits,
    left_out: &[Capability],
) -> libbpf_rs::Result<OpenTracerSkel<'a>> {
    let mut open = TracerSkelBuilder::default().open(place)?;
    let buckets = buckets_for(limits.tcp_slots);
    let ring_bytes = limits.ring_size();
    open.maps.connection_table.set_max_entries(buckets)?;
    open.maps.deferred_records.set_max_entries(limits.deferred_records.max(1))?;
    open.maps.overflow_records.set_max_entries(limits.overflow_records.max(1))?;
    let follow_attempts = !left_out.contains(&Capability::TcpAttempts);
    let attempts = if follow_attempts { limits.connect_attempts.max(1) } else { 1 };
    open.maps.connect_attempts.set_max_entries(attempts)?;
    open.maps.spilled_slots.set_max_entries(limits.spilled_slots.max(1))?;
    let rollups = limits.kernel_rollups.max(1).saturating_add(ROLLUPS_ALWAYS);
    open.maps.rollups_even.set_max_entries(rollups)?;
    open.maps.rollups_odd.set_max_entries(rollups)?;
    open.maps.closed_records.set_max_entries(ring_bytes)?;
    let constants = open.maps.rodata_data.as_deref_mut().expect("the object has constants");
    constants.bucket_mask = buckets - 1;
    constants.follow_attempts = follow_attempts;
    constants.ring_wake_bytes = u64::from(ring_bytes / 2);
    open.progs.cgroup_connect4.set_autoload(follow_attempts);
    open.progs.cgroup_connect6.set_autoload(follow_attempts);
    open.progs.iter_tcp.set_autoload(!left_out.contains(&Capability::TcpAdopted));
    open.progs.iter_tcp_audit.set_autoload(!left_out.contains(&Capability::TcpAdopted));
    open.progs.iter_task_file.set_autoload(!left_out.contains(&Capability::TcpOwner));
    Ok(open)
}
