//! The loop over the BPF programs: when to read, when to drain, and in which order.
//!
//! Within a pass the readings come first and the closes after them. A request gets a pass that began after
//! it came. Owners are looked for when a pass found connections without one, at most so often that it costs
//! one thousandth of a core. The thread and its requests are `collector`'s.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use connections::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::CollectLimits;
use crate::audit::{Auditor, Next, thread_time};
use crate::bpf::{ClosedRecords, CostMeter, PayloadRecords, ProcessRecords, Programs, Ring};
use crate::clock::kernel_now;
use crate::collector::{Ready, Shared};
use crate::counts::KernelCounts;
use crate::error::CollectError;
use crate::inbox::Inbox;
use crate::outlet::{Outlet, Report};
use crate::payloads::PayloadInbox;
use crate::privileges::relinquish;
use crate::processes::ProcessInbox;
use crate::udp_timeouts::UdpTimeouts;

/// The ring is drained at least this often.
const DRAIN_INTERVAL: Duration = Duration::from_millis(100);

/// A pass is made at least this often, so that 32-bit packet counters cannot wrap unseen and lost closes are
/// noticed although nobody polls.
const PASS_INTERVAL: Duration = Duration::from_secs(60);

/// A pass also reads what has not changed when none has done so for this long.
const READ_ALL_INTERVAL: Duration = Duration::from_secs(60);

/// While something waits in the kernel that only a pass can take out, one is made at most so often: nobody may poll.
const HURRIED_INTERVAL: Duration = Duration::from_secs(1);

/// While there is little room for peers of UDP sockets, a pass is made at most so often to end idle ones.
const CROWDED_INTERVAL: Duration = Duration::from_secs(10);

/// Between two steps of an audit.
const AUDIT_STEP_INTERVAL: Duration = Duration::from_millis(20);

/// The time-outs of UDP are read again after this time.
const TIMEOUTS_INTERVAL: Duration = Duration::from_secs(60);

/// What programs cost is sampled once in this time.
const COST_INTERVAL: Duration = Duration::from_secs(60);

/// A search for owners that took this long is not repeated for a thousand times as long.
const OWNER_PAUSE_FACTOR: u32 = 1000;
const OWNER_PAUSE_MIN: Duration = Duration::from_secs(1);
const OWNER_PAUSE_VAIN: Duration = Duration::from_secs(10);

/// Adopts what is there, says that it is ready, and goes on until nobody wants more.
///
/// # Errors
/// [`CollectError`] when it cannot go on.
pub(crate) fn collect(
    programs: &mut Programs<'_>,
    limits: CollectLimits,
    shared: &Shared,
    outlet: &mut Outlet<'_>,
    ready: &Ready,
) -> Result<(), CollectError> {
    programs.adopt(|events| outlet.events(events))?;
    limits.keep.map_or(Ok(()), relinquish)?;
    let inbox = RefCell::new(Inbox::default());
    let closed_records = programs.closed_records(&inbox)?;
    let processes = RefCell::new(ProcessInbox::default());
    let process_records = programs.process_records(&processes)?;
    let payloads = RefCell::new(PayloadInbox::default());
    let payload_records = programs.payload_records(&payloads)?;
    // Full or disconnected it cannot be: this is its first message, and the starter waits for it.
    let _ = ready.try_send(Ok((programs.support(), programs.maps()?)));
    let rings = Rings {
        closed: &closed_records,
        processes: process_records.as_ref(),
        payloads: payload_records.as_ref(),
    };
    Passes::new(programs, rings, shared, limits).run(outlet)
}

/// The ring buffers that there are.
struct Rings<'a> {
    closed: &'a ClosedRecords<'a>,
    processes: Option<&'a ProcessRecords<'a>>,
    payloads: Option<&'a PayloadRecords<'a>>,
}

/// The loop, and what it remembers from one pass to the next.
struct Passes<'a> {
    programs: &'a Programs<'a>,
    rings: Rings<'a>,
    shared: &'a Shared,
    served: u64,
    malformed: u64,
    /// What passes took that somebody waits for, in nanoseconds.
    pass_ns: u64,
    /// Records ever kept beside the ring, up to the last look.
    overflowed: u64,
    /// What the kernel side counted before the last pass read it, and at the last look.
    passed: KernelCounts,
    seen: KernelCounts,
    /// The next pass lets the kernel side forget the names of the last generation of roll-ups.
    names_told: bool,
    last_pass: Instant,
    /// More peers of UDP sockets than this beside the table are many: three quarters of the room.
    many_peers: u64,
    timeouts_read: Instant,
    /// When everything was read last.
    read_all: Option<Instant>,
    owners_after: Instant,
    auditor: Auditor,
    meter: CostMeter,
    meter_for: Duration,
    meter_after: Instant,
}

impl<'a> Passes<'a> {
    fn new(programs: &'a Programs<'a>, rings: Rings<'a>, shared: &'a Shared, limits: CollectLimits) -> Self {
        let now = Instant::now();
        Self {
            programs,
            rings,
            shared,
            served: 0,
            malformed: 0,
            pass_ns: 0,
            overflowed: 0,
            passed: KernelCounts::default(),
            seen: KernelCounts::default(),
            names_told: false,
            last_pass: now,
            many_peers: u64::from(limits.udp_peers) * 3 / 4,
            timeouts_read: now,
            read_all: None,
            owners_after: now,
            auditor: Auditor::new(
                Duration::from_millis(limits.audit_interval_ms.into()),
                limits.audit_pause_factor,
            ),
            meter: CostMeter::default(),
            meter_for: Duration::from_millis(limits.cost_sample_ms.into()),
            meter_after: now,
        }
    }

    fn run(&mut self, outlet: &mut Outlet<'_>) -> Result<(), CollectError> {
        // The first pass tells the listeners, from which directions follow.
        self.pass(outlet)?;
        while !self.shared.stopping.load(Ordering::SeqCst) && !outlet.is_closed() {
            self.wait()?;
            self.measure_cost();
            let requested = self.shared.requested.load(Ordering::SeqCst);
            if requested > self.served || self.last_pass.elapsed() >= self.pass_interval() {
                self.pass(outlet)?;
            } else {
                self.drain(outlet)?;
            }
            self.audit(outlet)?;
        }
        Ok(())
    }

    /// A step of the audit, which takes as long as reading one namespace, or a pass.
    fn audit(&mut self, outlet: &mut Outlet<'_>) -> Result<(), CollectError> {
        match self.auditor.step(self.programs, self.seen)? {
            Next::Rest | Next::Step => {}
            Next::Pass => {
                let began = thread_time();
                self.pass(outlet)?;
                outlet.events(vec![Event::AuditPassEnded]);
                self.auditor.pass_ended(thread_time().saturating_sub(began));
            }
            Next::Told(reading) => outlet.events(vec![Event::Audited(reading)]),
        }
        Ok(())
    }

    fn pass_interval(&self) -> Duration {
        let rolling_up = self.names_told || self.seen.roll_ups() > self.passed.roll_ups();
        if rolling_up || self.seen.udp.left > self.passed.udp.left {
            HURRIED_INTERVAL
        } else if self.seen.udp.peers_now > self.many_peers {
            CROWDED_INTERVAL
        } else {
            PASS_INTERVAL
        }
    }

    /// Opens and closes the windows in which the kernel counts program runs.
    fn measure_cost(&mut self) {
        match self.meter.open_for() {
            Some(open) if open >= self.meter_for => self.meter.close(self.programs.loaded()),
            None if !self.meter_for.is_zero() && Instant::now() >= self.meter_after => {
                self.meter_after = Instant::now() + COST_INTERVAL;
                self.meter.open(self.programs.loaded());
            }
            _ => {}
        }
    }

    /// What a request waits for: reads everything, and again when owners were looked for.
    fn pass(&mut self, outlet: &mut Outlet<'_>) -> Result<(), CollectError> {
        let request = self.shared.requested.load(Ordering::SeqCst);
        self.last_pass = Instant::now();
        self.read_timeouts()?;
        let unsettled = self.read(outlet)?;
        if unsettled > 0 && self.may_look_for_owners() {
            let took = self.look_for_owners(outlet);
            let left = self.read(outlet)?;
            self.rest_from_owners(took, left < unsettled);
        }
        let last_pass_ns = u64::try_from(self.last_pass.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.pass_ns = self.pass_ns.saturating_add(last_pass_ns);
        let counted = self.programs.counts()?;
        let counts = KernelCounts {
            malformed: self.malformed,
            missed_runs: self.programs.missed_runs(&counted),
            ring_most_bytes: self.rings.closed.most_bytes(),
            pass_ns: self.pass_ns,
            last_pass_ns,
            ..counted
        };
        let costs = self.meter.so_far(self.programs.loaded());
        outlet.report(Report::PassEnded { request, counts, costs });
        self.served = request;
        Ok(())
    }

    fn read_timeouts(&mut self) -> Result<(), CollectError> {
        if self.timeouts_read.elapsed() >= TIMEOUTS_INTERVAL {
            self.programs.end_idle_after(UdpTimeouts::now())?;
            self.timeouts_read = Instant::now();
        }
        Ok(())
    }

    /// Readings first, closes second: a connection that was read and then closed ends closed. Roll-ups come after
    /// the names of those in them. Answers how many connections have no owner, or a guessed one.
    fn read(&mut self, outlet: &mut Outlet<'_>) -> Result<u64, CollectError> {
        let counts = self.programs.counts()?;
        let rolling_up = counts.roll_ups() > self.passed.roll_ups();
        if rolling_up {
            self.programs.close_roll_ups()?;
        }
        let at = kernel_now();
        let all = self.read_all.is_none_or(|last| last.elapsed() >= READ_ALL_INTERVAL);
        if all {
            self.read_all = Some(Instant::now());
        }
        let reading = self.programs.read_live(all, |events| self.tell(outlet, events))?;
        self.malformed += reading.malformed;
        self.drain(outlet)?;
        if rolling_up {
            let taken = self.programs.take_roll_ups()?;
            self.malformed += taken.malformed;
            self.tell(outlet, taken.events);
        }
        (self.passed, self.names_told) = (counts, rolling_up);
        outlet.events(vec![Event::PassEnded { at }]);
        Ok(reading.unsettled)
    }

    /// Tells of connections, after all that processes had done and name servers had said by the time these events were taken
    /// out: who was behind a connection is known when it is told.
    fn tell(&mut self, outlet: &mut Outlet<'_>, events: Vec<Event>) {
        // What fails here fails again in the next drain, which says so.
        let _ = self.tell_beside(outlet);
        outlet.events(events);
    }

    fn tell_beside(&mut self, outlet: &mut Outlet<'_>) -> Result<(), CollectError> {
        if let Some(records) = self.rings.processes {
            self.malformed += records.drain(|events| outlet.processes(events))?;
        }
        if let Some(records) = self.rings.payloads {
            self.malformed += records.drain(|payloads| outlet.payloads(payloads))?;
        }
        Ok(())
    }

    fn drain(&mut self, outlet: &mut Outlet<'_>) -> Result<(), CollectError> {
        self.tell_beside(outlet)?;
        let closed = self.rings.closed;
        let malformed = closed.drain(|events| self.tell(outlet, events))?;
        self.malformed += malformed;
        self.seen = self.programs.counts()?;
        let overflowed = self.seen.overflowed;
        if overflowed > self.overflowed {
            let taken = self.programs.take_overflow(|events| self.tell(outlet, events))?;
            self.malformed += taken.malformed;
            self.overflowed = overflowed;
        }
        Ok(())
    }

    fn may_look_for_owners(&self) -> bool {
        self.programs.can_settle_owners() && Instant::now() >= self.owners_after
    }

    /// Answers how long it took. A failure costs no more than the owners.
    fn look_for_owners(&mut self, outlet: &mut Outlet<'_>) -> Duration {
        let start = Instant::now();
        if let Err(error) = self.programs.settle_owners(|events| self.tell(outlet, events)) {
            tracing::warn!(%error, "cannot look for the owners of accepted connections");
        }
        start.elapsed()
    }

    /// Some connections never get an owner, those of the kernel for one: a search in vain is not repeated soon.
    fn rest_from_owners(&mut self, took: Duration, found: bool) {
        let shortest = if found { OWNER_PAUSE_MIN } else { OWNER_PAUSE_VAIN };
        self.owners_after = Instant::now() + (took * OWNER_PAUSE_FACTOR).max(shortest);
    }

    /// Returns when there is something to do: a request, a ring of which half is full, or the time to look.
    fn wait(&self) -> Result<(), CollectError> {
        let Rings { closed, processes, payloads } = &self.rings;
        let beside = [processes.map(Ring::descriptor), payloads.map(Ring::descriptor)];
        let rings = [Some(closed.descriptor())].into_iter().chain(beside);
        let all = rings.flatten().chain([self.shared.waker()]);
        let mut descriptors: Vec<_> = all.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let interval = if self.auditor.is_resting() { DRAIN_INTERVAL } else { AUDIT_STEP_INTERVAL };
        let timeout = Timespec::try_from(interval).expect("100 ms fit");
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                let source = io::Error::from(error);
                return Err(CollectError::System { operation: "wait for the ring buffer", source });
            }
        }
        self.shared.is_awake();
        Ok(())
    }
}
