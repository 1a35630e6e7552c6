//! The counts of the kernel side, added up over the CPUs.

use libbpf_rs::{MapCore, MapFlags};

use super::skeletons::tracer::TracerMaps;
use super::types;
use crate::counts::KernelCounts;
use crate::error::CollectError;
use crate::plain::from_bytes;

/// What the kernel side itself counted so far.
pub(super) fn kernel_counts(maps: &TracerMaps<'_>) -> Result<KernelCounts, CollectError> {
    let failed = |source| CollectError::Map { operation: "read", map: "counts", source };
    let zero = 0u32.to_ne_bytes();
    let mut sum = KernelCounts::default();
    for bytes in maps.counts.lookup_percpu(&zero, MapFlags::ANY).map_err(failed)?.unwrap_or_default() {
        add_cpu(&mut sum, &from_bytes(&bytes).unwrap_or_default());
    }
    sum.spilled_now = first_global(&maps.bss)?;
    Ok(sum)
}

/// The first of an object's variables.
pub(super) fn first_global(variables: &impl MapCore) -> Result<u64, CollectError> {
    let failed = |source| CollectError::Map { operation: "read", map: "variables", source };
    let bytes = variables.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).map_err(failed)?.unwrap_or_default();
    Ok(bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes)))
}

fn add_cpu(sum: &mut KernelCounts, cpu: &types::kernel_counts) {
    let types::kernel_counts {
        claimed,
        closed,
        overflowed,
        rolled_up,
        rolled_up_in_rest,
        table_full,
        spilled,
        closed_unclaimed,
        deferred,
        deferred_full,
        attempts_full,
        claimed_late,
        nested_runs,
        udp_begun,
        udp_slots_full,
        udp_rolled_up,
        udp_foreign,
        udp_late,
        udp_left,
        stale,
        stale_untold,
        udp_stale,
        udp_tunnels_ended,
        payloads,
        payloads_lost,
    } = *cpu;
    sum.claimed += claimed;
    sum.closed += closed;
    sum.overflowed += overflowed;
    sum.rolled_up += rolled_up;
    sum.rolled_up_in_rest += rolled_up_in_rest;
    sum.table_full += table_full;
    sum.spilled += spilled;
    sum.closed_unclaimed += closed_unclaimed;
    sum.deferred += deferred;
    sum.deferred_full += deferred_full;
    sum.attempts_full += attempts_full;
    sum.claimed_late += claimed_late;
    sum.nested_runs += nested_runs;
    sum.udp.begun += udp_begun;
    sum.udp.slots_full += udp_slots_full;
    sum.udp.rolled_up += udp_rolled_up;
    sum.udp.foreign += udp_foreign;
    sum.udp.late += udp_late;
    sum.udp.left += udp_left;
    sum.stale += stale;
    sum.stale_untold += stale_untold;
    sum.udp.stale += udp_stale;
    sum.udp.tunnels_ended += udp_tunnels_ended;
    sum.payloads += payloads;
    sum.payloads_lost += payloads_lost;
}
