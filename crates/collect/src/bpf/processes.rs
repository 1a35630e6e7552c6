//! The object that follows processes: loaded and attached, or left out. It shares no map with the others.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{Link, Object, OpenObject, Program};

use super::kernel_counts::first_global;
use super::load::SWITCHED_OFF;
use super::refusals;
use super::ring::{ProcessRecords, Ring};
use super::skeletons::processes::{OpenProcessesSkel, ProcessesSkel, ProcessesSkelBuilder};
use crate::CollectLimits;
use crate::error::CollectError;
use crate::hooks::{Capability, CapabilityState};
use crate::processes::ProcessInbox;

/// The loaded and attached programs.
pub(super) struct Processes<'a> {
    skeleton: ProcessesSkel<'a>,
    /// Dropping them would detach the hooks.
    _hooks: [Link; 3],
}

impl<'a> Processes<'a> {
    /// Loads and attaches, unless that is not asked for. `None` also when the kernel refuses it, which is a degradation.
    pub(super) fn start(
        storage: &'a mut MaybeUninit<OpenObject>,
        limits: CollectLimits,
    ) -> (Option<Self>, CapabilityState) {
        if !limits.follow_processes {
            return (None, CapabilityState::not_asked_for(Capability::Processes));
        }
        if Capability::Processes.alternative().is_refused_by(limits.refuse) {
            return (None, CapabilityState::refused(Capability::Processes, SWITCHED_OFF));
        }
        refusals::take();
        match Self::attempt(storage, limits) {
            Ok(processes) => (Some(processes), CapabilityState::served(Capability::Processes)),
            Err(error) => {
                let reason = refusals::take().words.unwrap_or_else(|| error.to_string());
                (None, CapabilityState::refused(Capability::Processes, &reason))
            }
        }
    }

    fn attempt(
        storage: &'a mut MaybeUninit<OpenObject>,
        limits: CollectLimits,
    ) -> Result<Self, libbpf_rs::Error> {
        let skeleton = open(storage, limits)?.load()?;
        let progs = &skeleton.progs;
        // The ends first: of a process whose beginning is told its end is too.
        let exits = progs.sched_process_exit.attach()?;
        let hooks = [exits, progs.sched_process_exec.attach()?, progs.sched_process_fork.attach()?];
        Ok(Self { skeleton, _hooks: hooks })
    }

    /// All that was loaded.
    pub(super) fn object(&self) -> &Object {
        self.skeleton.object()
    }

    /// The programs, always in the same order.
    pub(super) fn loaded(&self) -> impl Iterator<Item = Program<'_>> {
        self.skeleton.object().progs()
    }

    /// The consumer of the ring buffer.
    pub(super) fn records<'s>(
        &'s self,
        inbox: &'s RefCell<ProcessInbox>,
    ) -> Result<ProcessRecords<'s>, CollectError> {
        Ring::of("process_records", &self.skeleton.maps.process_records, inbox)
    }

    /// Records for which the ring had no room so far.
    pub(super) fn records_lost(&self) -> Result<u64, CollectError> {
        first_global(&self.skeleton.maps.bss)
    }
}

fn open(
    storage: &mut MaybeUninit<OpenObject>,
    limits: CollectLimits,
) -> libbpf_rs::Result<OpenProcessesSkel<'_>> {
    let mut open = ProcessesSkelBuilder::default().open(storage)?;
    let ring_bytes = limits.process_ring_size();
    open.maps.process_records.set_max_entries(ring_bytes)?;
    let constants = open.maps.rodata_data.as_deref_mut().expect("the object has constants");
    constants.process_ring_wake_bytes = u64::from(ring_bytes / 2);
    Ok(open)
}
