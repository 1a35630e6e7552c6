//! Processes: what those run that own connections, as whom, and where.
//!
//! Events of their lives come from the collector, and what those do not tell is read from `/proc` by a thread of its own, so
//! that neither the collector nor an answer waits for a file longer than it wants. All is told as it is when it is asked for:
//! a connection from before an `exec` has the program that its process runs now. Where it runs, and as whom, is told as
//! the owner of the connection was recorded, as far as the kernel said it.

mod command_line;
mod facts;
mod kept;
mod reading;
mod scrub;
mod state;
mod users;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use connections::{Annotation, Owner, Process, ProcessEvent};

use crate::batch::Question;

use crate::cgroups::has_v1;
use crate::lent::Lender;
use crate::proc::{self, read_at_most};
pub use scrub::Scrub;

use kept::Seen;
use reading::{Shared, Sources};
use state::{State, Task, happened, key_of};
use users::Users;

/// How processes are read, and how many are remembered.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// Processes that are remembered; beyond it those leave that have ended, and then those that nobody asked for the longest.
    pub limit: usize,
    /// Bytes that they may take in all, with the same consequence: some 450 and what their executable and arguments take.
    pub limit_bytes: usize,
    /// Processes and cgroups that wait for being read; beyond it one is read when its connections are told.
    pub queue: usize,
    /// What is hidden of command lines.
    pub scrub: Scrub,
    /// Where the processes of the host are shown.
    pub proc: PathBuf,
    /// The file with the users of the host.
    pub passwd: PathBuf,
    /// After which time what is read is given up.
    pub hangs_after: Duration,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self {
            limit: 16_384,
            limit_bytes: 9 << 20,
            queue: 4096,
            scrub: Scrub::default(),
            proc: "/proc".into(),
            passwd: "/etc/passwd".into(),
            hangs_after: Duration::from_secs(2),
        }
    }
}

/// What is remembered, and what came of reading since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessCounts {
    /// Processes that are remembered.
    pub kept: usize,
    /// Those of them that have ended.
    pub ended: usize,
    /// Bytes that they take.
    pub bytes: usize,
    /// Processes and cgroups that wait for being read.
    pub queued: usize,
    /// Processes that were read.
    pub read: u64,
    /// Processes that had ended before they were read, or that are hidden.
    pub gone: u64,
    /// Processes whose id another one had when they were read.
    pub mismatched: u64,
    /// Processes that the tracer may not look at, or whose executable it may not know.
    pub refused: u64,
    /// Processes that left at the limit.
    pub evicted: u64,
    /// Processes and cgroups for which the queue had no room when an event named them.
    pub postponed: u64,
    /// Readers that waited for a file for too long.
    pub hung: u64,
}

/// The processes of the host, as far as they own connections or are about to.
pub struct Processes {
    shared: Arc<Shared>,
    degradation: Option<String>,
}

impl Processes {
    /// Begins to read. `path_of` gives the path of a cgroup in the hierarchy of version 2 by its id.
    #[must_use]
    pub fn new(
        settings: ProcessSettings,
        path_of: impl FnMut(u64) -> Option<PathBuf> + Send + 'static,
    ) -> Self {
        let own = read_at_most(&settings.proc.join("self/cgroup"), proc::CGROUP_MAX).unwrap_or_default();
        let mut users = Users::new(settings.passwd.clone());
        let names = users.changed(Instant::now()).unwrap_or_default();
        let mut degradation = proc::degradation(&settings.proc);
        let state = State::new(&settings, has_v1(&String::from_utf8_lossy(&own)), names);
        let sources = Sources { path_of: Box::new(path_of), users };
        let shared = Arc::new(Shared::new(settings, state, sources));
        let started = shared.start(&mut shared.lock());
        if let Err(error) = started {
            degradation = Some(format!(
                "processes are not read, only what exec tells is known of them: no thread: {error}"
            ));
        }
        Self { shared, degradation }
    }

    /// Events of the lives of processes, in the order of the kernel. Waits for nothing but the lock, which is held for less
    /// than a millisecond.
    pub fn apply(&self, events: &[ProcessEvent]) {
        let happened: Vec<_> = events.iter().map(|event| happened(event, &self.shared.settings)).collect();
        let mut state = self.shared.lock();
        happened.into_iter().for_each(|happened| state.apply(happened));
        self.shared.tell_reader(&mut state);
    }

    /// An event named this owner: what is not known of its process is read soon, by another thread.
    pub fn note(&self, owner: &Owner) {
        if owner.pid == 0 {
            return;
        }
        let mut state = self.shared.lock();
        if !state.is_settled(owner, Instant::now(), false) {
            self.shared.tell_reader(&mut state);
        }
    }

    /// Look-ups that wait for what is not known until then.
    #[must_use]
    pub fn look(&self, deadline: Instant) -> Looking<'_> {
        self.look_at(Instant::now(), deadline)
    }

    /// The same for who knows what time it is.
    pub(crate) fn look_at(&self, now: Instant, deadline: Instant) -> Looking<'_> {
        Looking { shared: &self.shared, now, deadline }
    }

    /// What cannot be known of processes, and why; `None` when everything can.
    #[must_use]
    pub fn degradation(&self) -> Option<String> {
        let hangs = || {
            let state = self.shared.lock();
            (!state.has_reader).then(|| {
                format!(
                    "processes are not read, only what exec tells is known of them: {} readers of /proc hang",
                    state.hanging
                )
            })
        };
        self.degradation.clone().or_else(hangs)
    }

    /// What is remembered, and what came of reading. Takes a millisecond.
    #[must_use]
    pub fn counts(&self) -> ProcessCounts {
        let state = self.shared.lock();
        ProcessCounts {
            kept: state.kept.len(),
            ended: state.kept.iter().filter(|(_, entry)| entry.has_ended()).count(),
            bytes: state.kept.bytes(),
            queued: state.queued(),
            evicted: state.kept.evicted(),
            ..state.counts
        }
    }

    /// Each process that is remembered, and whether it has ended, in no order. Nobody waits for the callback.
    pub fn each(&self, mut callback: impl FnMut(&Process, bool)) {
        let all: Vec<_> = {
            let state = self.shared.lock();
            let all = state.kept.iter().map(|(key, entry)| {
                let facts = entry.facts.as_ref().map(|facts| facts.counted());
                (*key, facts, entry.made_by, entry.has_ended())
            });
            all.collect()
        };
        for (key, known, made_by, ended) in all {
            callback(&facts::of_process(key, known.as_deref(), made_by), ended);
        }
    }
}

impl Drop for Processes {
    /// Does not wait for the thread, which may hang.
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for Processes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processes").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// Look-ups for one answer.
pub struct Looking<'a> {
    shared: &'a Arc<Shared>,
    now: Instant,
    deadline: Instant,
}

impl<'a> Looking<'a> {
    /// What is known of the process of this owner: after the deadline what is known without waiting. `None` when no process
    /// owns it. What is remembered costs about 50 ns.
    #[must_use]
    pub fn of(&self, owner: &Owner) -> Option<Arc<Process>> {
        self.find(self.state(), owner).1
    }

    /// The same for the owners of a batch of connections: with one lock for as many as are remembered.
    pub(crate) fn fill<'k>(
        &self,
        questions: &[Question<'_>],
        known: &mut [Annotation<'k>],
        lender: &'k Lender<Process>,
    ) {
        let mut state = self.state();
        state.kept.fill(questions, known, lender, self.now);
        for (question, known) in questions.iter().zip(known) {
            if let (Some(owner), None) = (&question.connection.owner, &known.process) {
                let process;
                (state, process) = self.find(state, owner);
                known.process = process.map(Into::into);
            }
        }
    }

    fn state(&self) -> MutexGuard<'a, State> {
        let mut state = self.shared.lock();
        if state.asks_for_users(self.now) && state.push(Task::Users, false) {
            self.shared.tell_reader(&mut state);
        }
        state
    }

    /// Gives the lock back, which it does not hold while it waits.
    fn find(
        &self,
        mut state: MutexGuard<'a, State>,
        owner: &Owner,
    ) -> (MutexGuard<'a, State>, Option<Arc<Process>>) {
        if owner.pid == 0 {
            return (state, None);
        }
        if let Some(completed) = state.kept.completed(key_of(owner), Seen::of(owner), self.now) {
            return (state, Some(completed));
        }
        loop {
            let now = Instant::now();
            if state.is_settled(owner, now, true) {
                let told = state.complete(owner, now, true);
                return (state, Some(told));
            }
            self.shared.tell_reader(&mut state);
            let left = self.deadline.saturating_duration_since(now);
            if left.is_zero() || !state.has_reader {
                let told = state.complete(owner, now, false);
                return (state, Some(told));
            }
            state.waiting += 1;
            let wait = left.min(self.shared.settings.hangs_after);
            let (after, _) =
                self.shared.read.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
            state = after;
            state.waiting -= 1;
        }
    }
}

impl fmt::Debug for Looking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looking").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
