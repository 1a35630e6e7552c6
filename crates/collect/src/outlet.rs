//! What the collector hands over, and the way out, which may be closed.

use std::ops::ControlFlow;

use connections::{Event, Payload, ProcessEvent};

use crate::bpf::ProgramCosts;
use crate::counts::KernelCounts;
use crate::error::CollectError;

/// What the collector hands over, in order.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a queue of 256 of them takes less than their events")]
pub enum Report {
    /// Changes of the table.
    Events(Vec<Event>),
    /// What processes did, in the order of each CPU.
    Processes(Vec<ProcessEvent>),
    /// Messages from and to name servers.
    Payloads(Vec<Payload>),
    /// A pass ended with its last event.
    PassEnded {
        /// Every request up to this one is served by the pass.
        request: u64,
        /// What the kernel side counted by now.
        counts: KernelCounts,
        /// What its programs cost, as far as it was sampled.
        costs: ProgramCosts,
    },
    /// The collector cannot go on; nothing follows.
    Failed(CollectError),
}

/// Hands over reports until the sink does not want more.
pub(crate) struct Outlet<'a> {
    sink: &'a mut dyn FnMut(Report) -> ControlFlow<()>,
    closed: bool,
}

impl<'a> Outlet<'a> {
    /// It is open.
    pub(crate) fn to(sink: &'a mut dyn FnMut(Report) -> ControlFlow<()>) -> Self {
        Self { sink, closed: false }
    }

    /// True when nobody wants more.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Hands over one report.
    pub(crate) fn report(&mut self, report: Report) {
        if !self.closed {
            self.closed = (self.sink)(report).is_break();
        }
    }

    /// Hands over events, if there are any.
    pub(crate) fn events(&mut self, events: Vec<Event>) {
        if !events.is_empty() {
            self.report(Report::Events(events));
        }
    }

    /// Hands over messages of name servers.
    pub(crate) fn payloads(&mut self, payloads: Vec<Payload>) {
        self.report(Report::Payloads(payloads));
    }

    /// Hands over what processes did.
    pub(crate) fn processes(&mut self, events: Vec<ProcessEvent>) {
        self.report(Report::Processes(events));
    }
}
