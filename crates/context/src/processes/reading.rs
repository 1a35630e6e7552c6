//! The thread that reads `/proc`, because a file of it can keep one waiting: the command line of a process that waits for a
//! dead disk with its memory locked is never told. A reader that hangs is replaced, a few times.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::ProcessSettings;
use super::facts;
use super::state::{State, Task};
use super::users::Users;
use crate::cgroups::Place;

/// Readers that hang, at most; after that nothing is read.
pub(super) const HANGING_MAX: usize = 4;

type PathOf = dyn FnMut(u64) -> Option<PathBuf> + Send;

/// What the readers and those who ask have in common.
pub(super) struct Shared {
    pub(super) settings: ProcessSettings,
    state: Mutex<State>,
    /// Something was put into the queue.
    asked: Condvar,
    /// Something was read.
    pub(super) read: Condvar,
    sources: Mutex<Sources>,
}

/// Where other things than processes are looked up. Nothing hangs here.
pub(super) struct Sources {
    pub(super) path_of: Box<PathOf>,
    pub(super) users: Users,
}

impl Shared {
    pub(super) fn new(settings: ProcessSettings, state: State, sources: Sources) -> Self {
        let (state, sources) = (Mutex::new(state), Mutex::new(sources));
        Self { settings, state, asked: Condvar::new(), read: Condvar::new(), sources }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the readers, as soon as they have read what they are reading.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.asked.notify_all();
        self.read.notify_all();
    }

    /// Begins to read.
    pub(super) fn start(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let (shared, number) = (Arc::clone(self), state.reader);
        std::thread::Builder::new().name("processes".into()).spawn(move || shared.read_all(number))?;
        state.has_reader = true;
        Ok(())
    }

    /// Something may have been put into the queue: somebody gets to it.
    pub(super) fn tell_reader(self: &Arc<Self>, state: &mut State) {
        if state.queued() > 0 && state.reading.is_none() {
            self.asked.notify_one();
        }
        if state.has_reader && state.gives_up_reader(self.settings.hangs_after) && state.hanging < HANGING_MAX
        {
            // Without a thread nothing is read until one comes back.
            let _ = self.start(state);
        }
    }

    fn read_all(&self, mut number: u64) {
        loop {
            let task = {
                let mut state = self.lock();
                loop {
                    if state.stopped {
                        return;
                    }
                    if let Some(task) = state.take(Instant::now()) {
                        break task;
                    }
                    state = self.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            };
            self.perform(task);
            let mut state = self.lock();
            if state.reader != number {
                // It was given up meanwhile.
                state.hanging -= 1;
                if state.has_reader {
                    return;
                }
                (state.has_reader, number) = (true, state.reader);
            }
            state.reading = None;
            if state.waiting > 0 {
                self.read.notify_all();
            }
        }
    }

    fn perform(&self, task: Task) {
        match task {
            Task::Process(key) => {
                let wanted = self.lock().wanted(key);
                let Some((wanted, program)) = wanted else { return self.lock().skip(key) };
                let looked = facts::read(&self.settings.proc, key, wanted, &self.settings.scrub);
                self.lock().store(key, looked, program, Instant::now());
            }
            Task::Cgroup(id) => {
                let path = (self.sources().path_of)(id);
                let place = path.and_then(|path| path.to_str().map(Place::of_path));
                self.lock().store_cgroup(id, place);
            }
            Task::Users => {
                let changed = self.sources().users.changed(Instant::now());
                if let Some(names) = changed {
                    self.lock().store_names(names);
                }
            }
        }
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
