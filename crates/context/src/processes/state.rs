//! What is remembered, what is to be read, and how one follows from the other. No file is touched here: this is what the lock
//! is held for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connections::{Owner, Process, ProcessEvent, ProcessKey};
use foldhash::fast::RandomState;

use super::facts::{self, Read, Surroundings, Wanted};
use super::kept::{Entry, Kept, Placed, Seen};
use super::users::{LOOKED_EVERY, Names};
use super::{ProcessCounts, ProcessSettings};
use crate::cgroups::Place;
use crate::containers::PLACED_MAX;
use crate::proc::Looked;

/// Cgroups whose place is remembered, up to 400 bytes each. When there are more, all are forgotten.
const CGROUPS_MAX: usize = 4096;

/// Something that a reader does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Process(ProcessKey),
    Cgroup(u64),
    /// Look whether the names of users have changed.
    Users,
}

/// What the path of a cgroup says.
#[derive(Debug, Default)]
struct Named {
    unit: Option<Arc<str>>,
    pod: Option<Arc<str>>,
}

/// What an `exec` told, already without secrets.
pub(super) enum Happened {
    Forked { parent: ProcessKey, child: ProcessKey },
    Executed(Arc<Process>),
    Exited(ProcessKey),
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) kept: Kept,
    /// Absent while it is looked for.
    cgroups: HashMap<u64, Option<Named>, RandomState>,
    names: Names,
    /// When it was last looked whether the names have changed.
    named_at: Instant,
    queue: VecDeque<Task>,
    queue_limit: usize,
    /// There are hierarchies of version 1, which say what that of version 2 does not.
    has_v1: bool,
    /// How many look-ups wait for a reader.
    pub(super) waiting: usize,
    /// The number of the reader; those before it hang.
    pub(super) reader: u64,
    /// That reader reads, or waits for something to read.
    pub(super) has_reader: bool,
    /// Readers that have been replaced and did not come back.
    pub(super) hanging: usize,
    /// What is being read, and since when.
    pub(super) reading: Option<(Task, Instant)>,
    /// Nothing is read any more.
    pub(super) stopped: bool,
    pub(super) counts: ProcessCounts,
}

impl State {
    pub(super) fn new(settings: &ProcessSettings, has_v1: bool, names: Names) -> Self {
        Self {
            kept: Kept::new(settings.limit, settings.limit_bytes),
            cgroups: HashMap::default(),
            names,
            named_at: Instant::now(),
            queue: VecDeque::new(),
            queue_limit: settings.queue,
            has_v1,
            waiting: 0,
            reader: 0,
            has_reader: false,
            hanging: 0,
            reading: None,
            stopped: false,
            counts: ProcessCounts::default(),
        }
    }

    /// True when it has room.
    pub(super) fn push(&mut self, task: Task, is_waited_for: bool) -> bool {
        if self.queue.len() >= self.queue_limit {
            return false;
        }
        if is_waited_for {
            self.queue.push_front(task);
        } else {
            self.queue.push_back(task);
        }
        true
    }

    pub(super) fn take(&mut self, now: Instant) -> Option<Task> {
        let task = self.queue.pop_front()?;
        self.reading = Some((task, now));
        Some(task)
    }

    /// True when the reader hangs, which is then not counted on any more. What it hangs at is not read a second time.
    pub(super) fn gives_up_reader(&mut self, hangs_after: Duration) -> bool {
        let Some((task, _)) = self.reading.filter(|(_, since)| since.elapsed() >= hangs_after) else {
            return false;
        };
        self.reading = None;
        (self.reader, self.hanging, self.has_reader) = (self.reader + 1, self.hanging + 1, false);
        self.counts.hung += 1;
        if let Task::Process(key) = task {
            self.kept.change(key, |entry| {
                entry.queued = false;
                // The command line is what one waits for; if that was not it, nothing more is tried.
                if entry.hung {
                    entry.end();
                }
                entry.hung = true;
            });
        }
        true
    }

    /// True when it is time to look whether the names of users have changed.
    pub(super) fn asks_for_users(&mut self, now: Instant) -> bool {
        let is_time = now.saturating_duration_since(self.named_at) >= LOOKED_EVERY;
        if is_time {
            self.named_at = now;
        }
        is_time
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// True when all is known of the process of an owner that can be; asks for what is missing.
    pub(super) fn is_settled(&mut self, owner: &Owner, now: Instant, is_waited_for: bool) -> bool {
        let cgroup_settled = owner.cgroup_id.is_none_or(|id| self.is_cgroup_settled(id, is_waited_for));
        if owner.kernel {
            return cgroup_settled;
        }
        let wants_place = self.wants_place(owner.cgroup_id);
        let key = key_of(owner);
        let missing = self.kept.make(key, |entry| {
            entry.is_owner = true;
            entry.wants_place |= wants_place;
            let is_placed = entry.placed.as_ref().is_some_and(|placed| is_true(placed, now));
            let missing = !entry.has_ended() && (!entry.read || (wants_place && !is_placed));
            (missing, entry.queued)
        });
        match missing {
            (false, _) => cgroup_settled,
            (true, true) => false,
            (true, false) => {
                self.ask_for(key, is_waited_for);
                false
            }
        }
    }

    fn is_cgroup_settled(&mut self, id: u64, is_waited_for: bool) -> bool {
        if let Some(known) = self.cgroups.get(&id) {
            return known.is_some();
        }
        if self.cgroups.len() >= CGROUPS_MAX {
            self.cgroups.clear();
        }
        if self.push(Task::Cgroup(id), is_waited_for) {
            self.cgroups.insert(id, None);
        } else {
            self.counts.postponed += u64::from(!is_waited_for);
        }
        false
    }

    fn ask_for(&mut self, key: ProcessKey, is_waited_for: bool) {
        if self.push(Task::Process(key), is_waited_for) {
            self.kept.change(key, |entry| entry.queued = true);
        } else {
            self.counts.postponed += u64::from(!is_waited_for);
        }
    }

    /// True when `/proc` may say more of where a process runs than this cgroup.
    fn wants_place(&self, cgroup_id: Option<u64>) -> bool {
        let Some(id) = cgroup_id else { return true };
        let named = self.cgroups.get(&id).and_then(Option::as_ref);
        self.has_v1 && named.is_none_or(|named| named.unit.is_none() || named.pod.is_none())
    }

    /// What is known of the process of an owner; remembered if it is all that can be known.
    pub(super) fn complete(&mut self, owner: &Owner, now: Instant, is_settled: bool) -> Arc<Process> {
        let key = key_of(owner);
        let seen = Seen::of(owner);
        let wants_place = self.wants_place(owner.cgroup_id) && !owner.kernel;
        let mut surroundings =
            Surroundings { user: self.names.get(&owner.uid).cloned(), ..Surroundings::default() };
        if let Some(named) = owner.cgroup_id.and_then(|id| self.cgroups.get(&id)).and_then(Option::as_ref) {
            (surroundings.unit, surroundings.pod) = (named.unit.clone(), named.pod.clone());
        }
        let entry = self.kept.get(key);
        let placed = entry.filter(|_| wants_place).and_then(|entry| {
            entry.placed.as_deref().filter(|placed| entry.has_ended() || is_true(placed, now))
        });
        if let Some(placed) = placed {
            surroundings.unit = surroundings.unit.or_else(|| placed.unit.clone());
            surroundings.pod = surroundings.pod.or_else(|| placed.pod.clone());
        }
        let true_until = placed.and_then(|placed| placed.at.checked_add(PLACED_MAX));
        let known = entry.and_then(|entry| entry.facts.as_deref());
        let known = facts::of_process(key, known, entry.and_then(|entry| entry.made_by));
        let told = Arc::new(facts::completed(known, owner, surroundings));
        if is_settled {
            self.kept.complete(key, seen, &told, true_until);
        }
        told
    }

    pub(super) fn apply(&mut self, happened: Happened) {
        match happened {
            Happened::Forked { parent, child } => {
                let Some(facts) = self.kept.get(parent).and_then(|parent| parent.facts.as_ref()) else {
                    return;
                };
                let facts = facts.counted();
                self.kept.make(child, |entry| {
                    entry.made_by = Some(parent.pid);
                    // What was read meanwhile is better.
                    let is_known =
                        |facts: &Process| facts.executable.is_some() || facts.command_line.is_some();
                    if !entry.facts.as_deref().is_some_and(is_known) {
                        entry.set_facts(facts);
                    }
                });
            }
            Happened::Executed(facts) => {
                let key = facts.key;
                let is_owner = self.kept.make(key, |entry| {
                    entry.set_facts(facts);
                    entry.programs = entry.programs.wrapping_add(1);
                    (entry.read, entry.hung) = (false, false);
                    entry.is_owner && !entry.has_ended() && !entry.queued
                });
                if is_owner {
                    self.ask_for(key, false);
                }
            }
            Happened::Exited(process) => drop(self.kept.change(process, Entry::end)),
        }
    }

    /// What is to be read of a process, and which of its programs it runs as far as is known.
    pub(super) fn wanted(&mut self, key: ProcessKey) -> Option<(Wanted, u32)> {
        let entry = self.kept.get(key).filter(|entry| !entry.has_ended())?;
        let wanted = Wanted { program: !entry.read, command_line: !entry.hung, place: entry.wants_place };
        Some((wanted, entry.programs))
    }

    /// Nothing could be read of it, because it has ended.
    pub(super) fn skip(&mut self, key: ProcessKey) {
        self.kept.change(key, |entry| entry.queued = false);
    }

    pub(super) fn store(&mut self, key: ProcessKey, looked: Looked<Read>, program: u32, now: Instant) {
        match &looked {
            Looked::Found(read) => {
                self.counts.read += 1;
                self.counts.refused +=
                    u64::from(read.program.as_ref().is_some_and(|program| program.refused));
            }
            Looked::Gone => self.counts.gone += 1,
            Looked::Mismatched => self.counts.mismatched += 1,
            Looked::Refused => self.counts.refused += 1,
        }
        let asks_again = self.kept.change(key, |entry| {
            entry.queued = false;
            match looked {
                Looked::Found(read) => store_read(entry, key, read, program, now),
                Looked::Gone | Looked::Mismatched => entry.end(),
                Looked::Refused => {
                    entry.read = true;
                    entry.placed = Some(Box::new(Placed { unit: None, pod: None, at: now }));
                }
            }
            entry.is_owner && !entry.has_ended() && !entry.read
        });
        if asks_again == Some(true) {
            self.ask_for(key, false);
        }
    }

    pub(super) fn store_cgroup(&mut self, id: u64, place: Option<Place>) {
        let Place { unit, pod, .. } = place.unwrap_or_default();
        if let Some(known) = self.cgroups.get_mut(&id) {
            *known = Some(Named { unit: unit.map(Into::into), pod: pod.map(Into::into) });
        }
    }

    #[cfg(test)]
    pub(super) fn cgroups_remembered(&self) -> usize {
        self.cgroups.len()
    }

    pub(super) fn store_names(&mut self, names: Names) {
        self.names = names;
        self.kept.forget_all_completed();
    }
}

fn store_read(entry: &mut Entry, key: ProcessKey, read: Read, program: u32, now: Instant) {
    if let Some(place) = read.place {
        let Place { unit, pod, .. } = place;
        entry.placed =
            Some(Box::new(Placed { unit: unit.map(Into::into), pod: pod.map(Into::into), at: now }));
        entry.forget_completed();
    }
    if let Some(read) = read.program {
        // What was read of the program before is void.
        entry.read = entry.programs == program;
        let known = facts::of_process(key, entry.facts.as_deref(), entry.made_by);
        entry.set_facts(Arc::new(facts::with_program(known, read, entry.read)));
    }
}

fn is_true(placed: &Placed, now: Instant) -> bool {
    now.saturating_duration_since(placed.at) < PLACED_MAX
}

pub(super) fn key_of(owner: &Owner) -> ProcessKey {
    ProcessKey { pid: owner.pid, started_at_boot_ns: owner.started_at_boot_ns }
}

/// What an event tells, made ready before anything is locked.
pub(super) fn happened(event: &ProcessEvent, settings: &ProcessSettings) -> Happened {
    match event {
        ProcessEvent::Forked { parent, child } => Happened::Forked { parent: *parent, child: *child },
        ProcessEvent::Executed(executed) => {
            Happened::Executed(Arc::new(facts::of_executed(executed, &settings.scrub)))
        }
        ProcessEvent::Exited { process } => Happened::Exited(*process),
    }
}
