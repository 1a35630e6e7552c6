//! The collector: its thread, who may ask it for passes, and which backend it runs.
//!
//! When to read and in which order is the backends': `passes` for the BPF programs, `polling` without.

use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};

use crate::bpf::{KernelMaps, Programs, Storage};
use crate::error::CollectError;
use crate::hooks::CapabilityState;
use crate::outlet::{Outlet, Report};
use crate::{Backend, CollectLimits, passes, polling};

/// The running collector. Dropping it stops the thread and detaches every program.
#[derive(Debug)]
pub struct Collector {
    shared: Arc<Shared>,
    support: Support,
    maps: Arc<KernelMaps>,
    thread: Option<JoinHandle<()>>,
}

/// What the kernel took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Support {
    /// How each capability is served.
    pub capabilities: Vec<CapabilityState>,
    /// The loaded programs: name and id, as `bpftool prog` shows them.
    pub programs: Vec<(String, u32)>,
}

/// Asks the collector for passes, from any thread. Requests made before the start are served by the first
/// pass.
#[derive(Debug, Clone)]
pub struct PassRequests(Arc<Shared>);

/// What the thread and those who ask it share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// How many passes were asked for.
    pub(crate) requested: AtomicU64,
    pub(crate) stopping: AtomicBool,
    wake: OwnedFd,
}

impl Collector {
    /// Loads and attaches the programs and adopts the sockets that are there, then goes on in a thread of
    /// its own. `sink` gets every report in order and may block; it ends the thread with `Break`. The first
    /// reports, before this returns, are those of the adoption, so the sink must not need the caller.
    ///
    /// # Errors
    /// [`CollectError`] when tracing cannot start; nothing stays attached.
    pub fn start(
        limits: CollectLimits,
        requests: &PassRequests,
        sink: impl FnMut(Report) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Self, CollectError> {
        let failed = |source| CollectError::System { operation: "start the collector thread", source };
        let shared = Arc::clone(&requests.0);
        let (ready, started) = mpsc::sync_channel(1);
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("collect".into())
            .spawn(move || run(limits, &of_thread, sink, &ready))
            .map_err(failed)?;
        let (support, maps) = started.recv().map_err(|_| failed(io::Error::other("it ended at once")))??;
        Ok(Self { shared, support, maps: Arc::new(maps), thread: Some(thread) })
    }

    /// The maps of the programs, to be looked at.
    #[must_use]
    pub fn maps(&self) -> &Arc<KernelMaps> {
        &self.maps
    }

    /// What the kernel took.
    #[must_use]
    pub fn support(&self) -> &Support {
        &self.support
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl PassRequests {
    /// Nothing is requested yet.
    ///
    /// # Errors
    /// [`CollectError::System`] when the process has no descriptor left.
    pub fn new() -> Result<Self, CollectError> {
        let failed = |source| CollectError::System { operation: "make an event descriptor", source };
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| failed(io::Error::from(error)))?;
        let (requested, stopping) = (AtomicU64::new(0), AtomicBool::new(false));
        Ok(Self(Arc::new(Shared { requested, stopping, wake })))
    }

    /// Asks for a pass that begins after this call; answers the number that the report of its end reaches.
    #[must_use]
    pub fn request(&self) -> u64 {
        let number = self.0.requested.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.wake();
        number
    }
}

impl PassRequests {
    /// What the thread has of it.
    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl Shared {
    fn wake(&self) {
        // The only way to fail is a counter at its maximum, and then the thread is awake already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// Can be read when somebody wants the thread.
    pub(crate) fn waker(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// The thread is there: the next wait waits.
    pub(crate) fn is_awake(&self) {
        // It fails when nobody wrote, which is fine.
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
    }
}

pub(crate) type Ready = mpsc::SyncSender<Result<(Support, KernelMaps), CollectError>>;

fn run(
    limits: CollectLimits,
    shared: &Shared,
    mut sink: impl FnMut(Report) -> ControlFlow<()>,
    ready: &Ready,
) {
    let mut outlet = Outlet::to(&mut sink);
    if let Err(error) = collect(limits, shared, &mut outlet, ready) {
        // Before the start was reported the starter gets the error, afterwards the sink.
        if let Err(mpsc::TrySendError::Full(Err(error)) | mpsc::TrySendError::Disconnected(Err(error))) =
            ready.try_send(Err(error))
        {
            outlet.report(Report::Failed(error));
        }
    }
}

/// By the programs where these are asked for and the kernel takes them, otherwise by polling.
fn collect(
    limits: CollectLimits,
    shared: &Shared,
    outlet: &mut Outlet<'_>,
    ready: &Ready,
) -> Result<(), CollectError> {
    if limits.backend == Backend::Polling {
        return polling::collect(limits, polling::ASKED_FOR, shared, outlet, ready);
    }
    let mut storage = Storage::empty();
    match Programs::start(&mut storage, limits) {
        Ok(mut programs) => passes::collect(&mut programs, limits, shared, outlet, ready),
        Err(error) if limits.backend == Backend::Auto => {
            polling::collect(limits, &error.to_string(), shared, outlet, ready)
        }
        Err(error) => Err(error),
    }
}
