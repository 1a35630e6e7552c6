//! The collector alone, with all that it reports kept: for tests of messages of name servers, which the state does not
//! hand on as they came.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use collect::{Capability, CapabilityState, CollectLimits, Collector, KernelCounts, PassRequests, Report};
use connections::{ConnectionId, Event, Payload, Tuple};

use crate::harness::DEADLINE;
use crate::needs;
use crate::world::NetNs;

/// What was reported.
#[derive(Default)]
pub struct Heard {
    pub payloads: Vec<Payload>,
    /// The ends of each connection.
    pub connections: BTreeMap<ConnectionId, Tuple>,
    /// Messages that came when their connection had been told as closed already.
    pub late: usize,
    counts: KernelCounts,
    closed: Vec<ConnectionId>,
    served: u64,
}

pub struct Tap {
    pub collector: Collector,
    requests: PassRequests,
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

impl Tap {
    pub fn with(limits: CollectLimits) -> Self {
        let requests = PassRequests::new().expect("descriptors are left");
        let heard = Arc::<(Mutex<Heard>, Condvar)>::default();
        let hearing = Arc::clone(&heard);
        let sink = move |report| {
            let (heard, changed) = &*hearing;
            heard.lock().unwrap_or_else(PoisonError::into_inner).hear(report);
            changed.notify_all();
            ControlFlow::Continue(())
        };
        let collector = Collector::start(limits, &requests, sink).expect("this host can trace");
        for capability in [Capability::Dns, Capability::DnsTcp] {
            needs::served(collector.support(), capability);
        }
        Self { collector, requests, heard }
    }

    /// With room for the sockets of a test.
    pub fn small() -> CollectLimits {
        CollectLimits { tcp_slots: 4096, audit_interval_ms: 0, ..CollectLimits::default() }
    }

    /// While this is held the collector waits with its next report.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that was sent before is in what is answered.
    pub fn after_pass(&self) -> MutexGuard<'_, Heard> {
        let request = self.requests.request();
        let begin = Instant::now();
        let mut heard = self.heard();
        while heard.served < request {
            assert!(begin.elapsed() < DEADLINE, "no pass came");
            heard = self.heard.1.wait_timeout(heard, DEADLINE).unwrap_or_else(PoisonError::into_inner).0;
        }
        heard
    }

    /// What the kernel side counted.
    pub fn counts(&self) -> KernelCounts {
        self.after_pass().counts
    }

    /// The messages of sockets in this namespace, in the order of their time.
    pub fn of(&self, namespace: &NetNs) -> Vec<Payload> {
        let netns = namespace.inode();
        let heard = self.after_pass();
        let mut here: Vec<_> =
            heard.payloads.iter().filter(|payload| payload.tuple.netns == netns).cloned().collect();
        here.sort_by_key(|payload| payload.at);
        here
    }

    pub fn state(&self, capability: Capability) -> &CapabilityState {
        let mut states = self.collector.support().capabilities.iter();
        states.find(|state| state.capability == capability).expect("every capability is listed")
    }
}

impl Heard {
    fn hear(&mut self, report: Report) {
        match report {
            Report::Payloads(payloads) => {
                let closed =
                    |payload: &&Payload| payload.connection.is_some_and(|id| self.closed.contains(&id));
                self.late += payloads.iter().filter(closed).count();
                self.payloads.extend(payloads);
            }
            Report::Events(events) => events.into_iter().for_each(|event| self.note(&event)),
            Report::PassEnded { request, counts, .. } => (self.served, self.counts) = (request, counts),
            Report::Processes(_) => {}
            Report::Failed(error) => panic!("{error}"),
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Read(read) | Event::Adopted(read) => {
                self.connections.insert(read.id, read.tuple);
            }
            Event::Closed(read, _) => {
                self.connections.insert(read.id, read.tuple);
                self.closed.push(read.id);
            }
            _ => {}
        }
    }
}
