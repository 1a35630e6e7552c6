//! The loaded programs: attached, adopted into, read in passes, drained.
//!
//! Decides nothing about when: the collector does.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::time::Duration;

use libbpf_rs::skel::Skel;
use libbpf_rs::{MapCore, MapFlags, Program};

use super::adoption::adopt_everywhere;
use super::auditing::count_anew;
use super::cost::missed_runs;
use super::dns_tcp::DnsTcp;
use super::iterate::read_all;
use super::kernel_counts::kernel_counts;
use super::links::{Links, degrade};
use super::load::{Loaded, load};
use super::maps::KernelMaps;
use super::orders::Orders;
use super::processes::Processes;
use super::reading::Reading;
use super::ring::{ClosedRecords, PayloadRecords, ProcessRecords, Ring};
use super::rollups::{Taken, Turns};
use super::skeletons::tracer::TracerSkel;
use super::storage::Storage;
use super::take_out::take_out;
use super::types::tcp_audit;
use super::udp::Udp;
use super::udp_types::udp_audit;
use crate::CollectLimits;
use crate::clock::kernel_now;
use crate::collector::Support;
use crate::counts::KernelCounts;
use crate::error::CollectError;
use crate::hooks::{Capability, CapabilityState};
use crate::inbox::{Inbox, Intake};
use crate::jiffies::{APART_NS, JiffyRate, Ticks};
use crate::payloads::PayloadInbox;
use crate::processes::ProcessInbox;
use crate::udp_timeouts::UdpTimeouts;
use connections::Event;

/// At most this many records kept beside the ring are handed over at once: as many as a reading's chunk has.
const TAKE_RECORDS: usize = 128;

/// The loaded and attached programs.
pub(crate) struct Programs<'a> {
    skeleton: TracerSkel<'a>,
    capabilities: Vec<CapabilityState>,
    links: Links,
    jiffy: Option<JiffyRate>,
    orders: RefCell<Orders>,
    turns: RefCell<Turns>,
    udp: Option<Udp<'a>>,
    processes: Option<Processes<'a>>,
    dns_tcp: Option<DnsTcp<'a>>,
}

impl<'a> Programs<'a> {
    /// Loads and attaches.
    pub(crate) fn start(storage: &'a mut Storage, limits: CollectLimits) -> Result<Self, CollectError> {
        let mut loaded = load(&mut storage.tcp, limits)?;
        // Before the hooks: the entries that roll-ups always have must be there.
        let turns = RefCell::new(Turns::begin(&loaded.skeleton.maps)?);
        let links = Links::attach(&mut loaded)?;
        let Loaded { skeleton, dialect, states: mut capabilities } = loaded;
        let mut orders = Orders::default();
        orders.udp_ends(&skeleton.maps, UdpTimeouts::now())?;
        let (udp, of_udp) = match limits.follow_udp {
            true => Udp::start(&mut storage.udp, limits, dialect, &skeleton.maps),
            false => (None, Udp::not_asked_for()),
        };
        capabilities.extend(of_udp);
        let (processes, of_processes) = Processes::start(&mut storage.processes, limits);
        capabilities.push(of_processes);
        let payload_records = udp.as_ref().map(Udp::payload_records);
        let (dns_tcp, of_dns_tcp) =
            DnsTcp::start(&mut storage.dns_tcp, limits, dialect, &skeleton.maps, payload_records);
        capabilities.push(of_dns_tcp);
        let mut programs = Self {
            links,
            jiffy: None,
            orders: RefCell::new(orders),
            turns,
            udp,
            processes,
            dns_tcp,
            skeleton,
            capabilities,
        };
        programs.jiffy = programs.measure_jiffy()?;
        Ok(programs)
    }

    /// Takes a tenth of a second: two passes whose readings nobody needs, so far apart.
    fn measure_jiffy(&self) -> Result<Option<JiffyRate>, CollectError> {
        let earlier = self.ticks()?;
        std::thread::sleep(Duration::from_nanos(APART_NS));
        let later = self.ticks()?;
        Ok(earlier.zip(later).and_then(|(earlier, later)| JiffyRate::between(earlier, later)))
    }

    fn ticks(&self) -> Result<Option<Ticks>, CollectError> {
        self.read_live(true, |_| ())?;
        let failed = |source| CollectError::Map { operation: "read", map: "pass_ticks", source };
        let ticks =
            self.skeleton.maps.pass_ticks.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).map_err(failed)?;
        let bytes = ticks.unwrap_or_default();
        let (words, _) = bytes.as_chunks::<8>();
        let number = |index: usize| words.get(index).map(|word| u64::from_ne_bytes(*word));
        Ok(number(0).zip(number(1)).map(|(jiffies, at_ns)| Ticks { jiffies, at_ns }))
    }

    /// What the kernel took.
    pub(crate) fn support(&self) -> Support {
        let named = |program: Program<'_>| {
            let id = Program::id_from_fd(program.as_fd()).unwrap_or_default();
            (program.name().to_string_lossy().into_owned(), id)
        };
        Support { capabilities: self.capabilities.clone(), programs: self.loaded().map(named).collect() }
    }

    /// The programs that the kernel took, always in the same order.
    pub(crate) fn loaded(&self) -> impl Iterator<Item = Program<'_>> {
        let of_tcp = self.skeleton.object().progs().filter(Program::autoload);
        let of_udp = self.udp.iter().flat_map(Udp::loaded);
        let of_others = self.dns_tcp.iter().flat_map(DnsTcp::loaded);
        let of_processes = self.processes.iter().flat_map(Processes::loaded);
        of_tcp.chain(of_udp).chain(of_others).chain(of_processes)
    }

    /// What can be read of the maps from outside.
    pub(crate) fn maps(&self) -> Result<KernelMaps, CollectError> {
        let failed = |source| CollectError::Map { operation: "open", map: "all", source };
        let of_udp = self.udp.iter().map(Udp::object);
        let of_processes = self.processes.iter().map(Processes::object);
        let all = std::iter::once(self.skeleton.object()).chain(of_udp).chain(of_processes);
        KernelMaps::of(all).map_err(failed)
    }

    /// The consumer of the ring buffer of closed connections.
    pub(crate) fn closed_records<'s>(
        &'s self,
        inbox: &'s RefCell<Inbox>,
    ) -> Result<ClosedRecords<'s>, CollectError> {
        inbox.borrow_mut().set_jiffy(self.jiffy);
        Ring::of("closed_records", &self.skeleton.maps.closed_records, inbox)
    }

    /// The consumer of the ring buffer of what processes did, if they are followed.
    pub(crate) fn process_records<'s>(
        &'s self,
        inbox: &'s RefCell<ProcessInbox>,
    ) -> Result<Option<ProcessRecords<'s>>, CollectError> {
        self.processes.as_ref().map(|processes| processes.records(inbox)).transpose()
    }

    /// The consumer of the messages of name servers, where any are copied.
    pub(crate) fn payload_records<'s>(
        &'s self,
        inbox: &'s RefCell<PayloadInbox>,
    ) -> Result<Option<PayloadRecords<'s>>, CollectError> {
        let of_udp = self.udp.as_ref().map(Udp::payload_records);
        let map = of_udp.or(self.dns_tcp.as_ref().map(DnsTcp::payload_records));
        map.map(|map| Ring::of("payload_records", map, inbox)).transpose()
    }

    /// Adopts the sockets that are older than the tracer, of every namespace that can be entered, then those
    /// that some process holds. What cannot be adopted is a degradation, not an error.
    ///
    /// # Errors
    /// The thread cannot return from a namespace, and must not go on.
    pub(crate) fn adopt(&mut self, mut events: impl FnMut(Vec<Event>)) -> Result<(), CollectError> {
        if let Some(link) = &self.links.adopting {
            let begin = || self.begin_adoption();
            let refused = adopt_everywhere(("iter/tcp", link), begin, &mut events)?;
            if let Some(reason) = refused {
                self.degrade(Capability::TcpAdopted, &reason);
            }
        }
        if let Err(error) = self.settle_tcp_owners(&mut events) {
            self.degrade(Capability::TcpOwner, &error.to_string());
            self.links.owners = None;
        }
        if self.links.owners.is_some() && self.counts()?.table_full == 0 {
            self.orders.borrow_mut().adoption_complete(&self.skeleton.maps)?;
        }
        if let Some(refused) = self.udp.as_ref().map(Udp::adopt).transpose()?.flatten() {
            self.degrade(Capability::UdpAdopted, &refused);
        }
        self.orders.borrow_mut().udp_adopted(&self.skeleton.maps)
    }

    /// UDP connections end when nothing passes for so long.
    pub(crate) fn end_idle_after(&self, timeouts: UdpTimeouts) -> Result<(), CollectError> {
        self.orders.borrow_mut().udp_ends(&self.skeleton.maps, timeouts)
    }

    fn degrade(&mut self, capability: Capability, reason: &str) {
        degrade(&mut self.capabilities, capability, reason);
    }

    /// Looks for the owners of connections that have none, in the open files of all processes.
    pub(crate) fn settle_owners(&self, events: impl FnMut(Vec<Event>)) -> Result<(), CollectError> {
        self.udp.as_ref().map_or(Ok(()), Udp::settle_owners)?;
        self.settle_tcp_owners(events)
    }

    fn settle_tcp_owners(&self, mut events: impl FnMut(Vec<Event>)) -> Result<(), CollectError> {
        let Some(link) = &self.links.owners else { return Ok(()) };
        self.begin_adoption()?;
        let mut reading = self.reading();
        read_all(link, "iter/task_file", |chunk| reading.hand_over(chunk, &mut events))
    }

    /// What is adopted from now on belongs to a new pass.
    fn begin_adoption(&self) -> Result<(), CollectError> {
        self.orders.borrow_mut().adoption_begins(&self.skeleton.maps, kernel_now().0)
    }

    /// Ends a generation of roll-ups: the pass that follows tells the names of those in it that were told
    /// live, and then [`Programs::take_roll_ups`] their sums.
    pub(crate) fn close_roll_ups(&self) -> Result<(), CollectError> {
        self.turns.borrow_mut().close(&self.skeleton.maps, &mut self.orders.borrow_mut())
    }

    /// Takes the roll-ups of the generation that was closed last.
    pub(crate) fn take_roll_ups(&self) -> Result<Taken, CollectError> {
        self.turns.borrow().take(&self.skeleton.maps, &mut self.orders.borrow_mut())
    }

    /// True when owners can be looked for at all.
    pub(crate) fn can_settle_owners(&self) -> bool {
        self.links.owners.is_some()
    }

    /// Reads every live connection and listener once; without `all`, of those that have not changed only says so.
    pub(crate) fn read_live(
        &self,
        all: bool,
        mut events: impl FnMut(Vec<Event>),
    ) -> Result<Reading, CollectError> {
        self.orders.borrow_mut().pass_begins(&self.skeleton.maps, all)?;
        let mut reading = self.reading();
        for link in [Some(&self.links.connections), self.links.beside.as_ref()].into_iter().flatten() {
            read_all(link, "iter/bpf_map_elem", |chunk| reading.hand_over(chunk, &mut events))?;
        }
        self.udp.as_ref().map_or(Ok(()), |udp| udp.read(&mut reading, &mut events))?;
        Ok(reading)
    }

    /// Takes out the final records that are kept beside the ring buffer.
    pub(crate) fn take_overflow(&self, mut events: impl FnMut(Vec<Event>)) -> Result<Reading, CollectError> {
        let failed = |source| CollectError::Map { operation: "drain", map: "overflow_records", source };
        let records = &self.skeleton.maps.overflow_records;
        let mut reading = self.reading();
        // The keys first: a walk starts over when the key that it stands on is deleted.
        let keys: Vec<Vec<u8>> = records.keys().collect();
        let mut error = None;
        for chunk in keys.chunks(TAKE_RECORDS) {
            let mut inbox = Inbox::of(self.jiffy, chunk.len());
            for key in chunk {
                // Gone is gone; what was taken out before an error is told all the same.
                match take_out(records, key) {
                    Ok(Some(record)) => inbox.take_in(&record),
                    Ok(None) => {}
                    Err(source) => error = Some(failed(source)),
                }
            }
            reading.malformed += inbox.take_malformed();
            events(inbox.take());
        }
        error.map_or(Ok(reading), Err)
    }

    fn reading(&self) -> Reading {
        Reading { jiffy: self.jiffy, ..Reading::default() }
    }

    /// Counts the TCP sockets of the namespace that the thread is in, and gives slots to those that have none.
    pub(super) fn audit_tcp(&self) -> Result<tcp_audit, CollectError> {
        let Some(link) = &self.links.auditing else { return Ok(tcp_audit::default()) };
        count_anew(("iter/tcp", link), "tcp_audit", &self.skeleton.maps.tcp_audit)
    }

    /// Whether datagrams that are sent, and those that are received, can be compared with what the kernel counts.
    pub(super) fn audits_udp(&self) -> (bool, bool) {
        (self.udp.is_some(), self.udp.as_ref().is_some_and(Udp::audits))
    }

    /// Counts the UDP sockets of the namespace that the thread is in.
    pub(super) fn audit_udp(&self) -> Result<udp_audit, CollectError> {
        self.udp.as_ref().map_or(Ok(udp_audit::default()), Udp::audit)
    }

    /// Runs of the programs that the kernel left out so far, but for those that a second program did; these are counted before.
    pub(crate) fn missed_runs(&self, counted: &KernelCounts) -> u64 {
        let second = &self.skeleton.progs.inet_sock_set_state_again;
        let counting = self.loaded().filter(|program| program.name() != second.name());
        let left_out: u64 = counting.map(|program| missed_runs(&program)).sum();
        left_out.saturating_sub(counted.nested_runs)
    }

    /// What the kernel side itself counted so far.
    pub(crate) fn counts(&self) -> Result<KernelCounts, CollectError> {
        let mut counts = kernel_counts(&self.skeleton.maps)?;
        if let Some(udp) = &self.udp {
            counts.udp.peers_now = udp.peers_now()?;
        }
        if let Some(processes) = &self.processes {
            counts.process_records_lost = processes.records_lost()?;
        }
        Ok(counts)
    }
}
