//! The audit, one namespace at a time: before and after a pass, so that nobody waits long for it.
//!
//! Decides when which namespace is read, and how long to rest. What differs is judged by `connections`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use connections::{AuditReading, NamespaceReading};
use rustix::time::{ClockId, clock_gettime};

use crate::bpf::Programs;
use crate::clock::kernel_now;
use crate::counts::KernelCounts;
use crate::error::CollectError;
use crate::namespaces;

/// What the collector has to do next for the audit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing now.
    Rest,
    /// Another step soon.
    Step,
    /// A pass, and then say so by [`Auditor::pass_ended`].
    Pass,
    /// Hand this over.
    Told(Box<AuditReading>),
}

/// Where the audit is.
#[derive(Debug)]
pub(crate) struct Auditor {
    interval: Duration,
    /// After an audit there is none for so many times as long as it took.
    pause_factor: u32,
    phase: Phase,
    after: Instant,
    /// Processor time of the running audit.
    spent: Duration,
}

#[derive(Debug)]
enum Phase {
    Resting,
    /// Namespaces to be read before the pass, and those that were.
    Before {
        left: Vec<PathBuf>,
        read: Vec<(PathBuf, NamespaceReading)>,
        unread: u64,
    },
    /// The same after it.
    After {
        left: Vec<(PathBuf, NamespaceReading)>,
        read: Vec<NamespaceReading>,
        unread: u64,
    },
}

impl Auditor {
    /// The first audit, with which later ones are compared, begins at once. None at all with an interval of 0.
    pub(crate) fn new(interval: Duration, pause_factor: u32) -> Self {
        Self { interval, pause_factor, phase: Phase::Resting, after: Instant::now(), spent: Duration::ZERO }
    }

    /// Makes one step; this is what the kernel side counted by now.
    ///
    /// # Errors
    /// The thread cannot return from a namespace, and must not go on.
    pub(crate) fn step(
        &mut self,
        programs: &Programs<'_>,
        counts: KernelCounts,
    ) -> Result<Next, CollectError> {
        if self.interval.is_zero() || (self.is_resting() && Instant::now() < self.after) {
            return Ok(Next::Rest);
        }
        let began = thread_time();
        let next = self.advance(programs, counts);
        self.spent += thread_time().saturating_sub(began);
        next
    }

    /// True between two audits.
    pub(crate) fn is_resting(&self) -> bool {
        matches!(self.phase, Phase::Resting)
    }

    /// The pass that was asked for took this much processor time.
    pub(crate) fn pass_ended(&mut self, took: Duration) {
        self.spent += took;
        self.phase = match std::mem::replace(&mut self.phase, Phase::Resting) {
            Phase::Before { read, unread, .. } => Phase::After { left: read, read: Vec::new(), unread },
            other => other,
        };
    }

    fn advance(&mut self, programs: &Programs<'_>, counts: KernelCounts) -> Result<Next, CollectError> {
        match &mut self.phase {
            Phase::Resting => {
                self.phase = Phase::Before { left: namespaces::paths(), read: Vec::new(), unread: 0 };
                self.spent = Duration::ZERO;
                Ok(Next::Step)
            }
            Phase::Before { left, read, unread } => {
                let Some(path) = left.pop() else { return Ok(Next::Pass) };
                match programs.audit_before(&path)? {
                    Ok(Some(reading)) => read.push((path, reading)),
                    Ok(None) => {}
                    Err(_) => *unread += 1,
                }
                Ok(Next::Step)
            }
            Phase::After { left, read, unread } => {
                let Some((path, reading)) = left.pop() else { return Ok(self.end(counts)) };
                match programs.audit_after(&path, reading)? {
                    Ok(Some(reading)) => read.push(reading),
                    Ok(None) => {}
                    Err(_) => *unread += 1,
                }
                Ok(Next::Step)
            }
        }
    }

    fn end(&mut self, counts: KernelCounts) -> Next {
        let (namespaces, unread) = match std::mem::replace(&mut self.phase, Phase::Resting) {
            Phase::After { read, unread, .. } => (read, unread),
            Phase::Resting | Phase::Before { .. } => return Next::Rest,
        };
        self.after = Instant::now() + self.interval.max(self.spent * self.pause_factor);
        let cpu_ns = u64::try_from(self.spent.as_nanos()).unwrap_or(u64::MAX);
        let stale = counts.stale + counts.udp.stale;
        let tunnels_ended = counts.udp.tunnels_ended;
        let at = kernel_now();
        Next::Told(Box::new(AuditReading { at, namespaces, unread, stale, tunnels_ended, cpu_ns }))
    }
}

/// Processor time of this thread.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
}
