//! The loaded programs: attached, adopted into, read in passes, drained.
//!
//! Decides nothing about when: the collector does.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use libbpf_rs::skel::Skel;
use libbpf_rs::{Link, MapCore, MapFlags, OpenObject, Program, ProgramMut, RingBuffer, RingBufferBuilder};

use super::cost::missed_runs;
use super::iterate::read_all;
use super::load::{ATTEMPTS, load};
use super::orders::Orders;
use super::rollups::{Taken, Turns};
use super::skeleton::{TracerProgs, TracerSkel};
use super::types::kernel_counts;
use crate::CollectLimits;
use crate::cgroups;
use crate::clock::kernel_now;
use crate::collector::Support;
use crate::counts::KernelCounts;
use crate::error::CollectError;
use crate::hooks::{Capability, CapabilityState};
use crate::inbox::Inbox;
use crate::jiffies::{APART_NS, JiffyRate, Ticks};
use crate::namespaces;
use crate::plain::from_bytes;
use crate::record::RECORD_BYTES;
use connections::Event;

/// At most this many closed records are taken from the ring at once: as many as a reading's chunk has.
const DRAIN_RECORDS: usize = 128;

/// A drain ends after this many takes though more keeps coming: as much as a ring of 32 MiB holds.
const DRAIN_TAKES: usize = 1024;

/// Where a loaded object lives; it cannot move afterwards.
pub(crate) type Storage = [MaybeUninit<OpenObject>; ATTEMPTS];

/// An empty place to load into.
pub(crate) fn storage() -> Storage {
    [const { MaybeUninit::uninit() }; ATTEMPTS]
}

/// The loaded and attached programs.
pub(crate) struct Programs<'a> {
    skeleton: TracerSkel<'a>,
    capabilities: Vec<CapabilityState>,
    connections: Link,
    adopting: Option<Link>,
    owners: Option<Link>,
    jiffy: Option<JiffyRate>,
    orders: RefCell<Orders>,
    turns: RefCell<Turns>,
    /// Dropping them would detach the hooks.
    _hooks: [Link; 2],
    _connect_hooks: Vec<Link>,
}

/// The consumer of the ring buffer: closed records come out decoded.
pub(crate) struct ClosedRecords<'a> {
    ring: RingBuffer<'a>,
    inbox: &'a RefCell<Inbox>,
}

/// What an iterator gave.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    jiffy: Option<JiffyRate>,
    pub(crate) malformed: u64,
    /// Live connections without an owner, or with a guessed one.
    pub(crate) unsettled: u64,
}

impl<'a> Programs<'a> {
    /// Loads and attaches.
    pub(crate) fn start(storage: &'a mut Storage, limits: CollectLimits) -> Result<Self, CollectError> {
        let (skeleton, capabilities) = load(storage, limits)?;
        // Before the hooks: the entries that roll-ups always have must be there.
        let turns = RefCell::new(Turns::begin(&skeleton.maps)?);
        let attach = |hook| move |source| CollectError::Attach { hook, source };
        let set_state =
            skeleton.progs.inet_sock_set_state.attach().map_err(attach("tp_btf/inet_sock_set_state"))?;
        let destroy = skeleton.progs.tcp_destroy_sock.attach().map_err(attach("tp_btf/tcp_destroy_sock"))?;
        let table = &skeleton.maps.connection_table;
        let connections = skeleton.progs.iter_connections.attach_iter(table.as_fd());
        let served = |capability| {
            capabilities.iter().any(|state| state.capability == capability && state.served_by.is_some())
        };
        let adopting = served(Capability::TcpAdopted).then(|| skeleton.progs.iter_tcp.attach()).transpose();
        let owners = served(Capability::TcpOwner).then(|| skeleton.progs.iter_task_file.attach()).transpose();
        let connect_hooks = served(Capability::TcpAttempts).then(|| attach_connect(&skeleton.progs));
        let (connect_hooks, refused) = match connect_hooks.unwrap_or(Ok(Vec::new())) {
            Ok(hooks) if hooks.is_empty() || cgroups::sees_all() => (hooks, None),
            Ok(hooks) => (hooks, Some("only those of the own cgroup namespace are seen".to_owned())),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let mut programs = Self {
            _connect_hooks: connect_hooks,
            connections: connections.map_err(attach("iter/bpf_map_elem"))?,
            adopting: adopting.map_err(attach("iter/tcp"))?,
            owners: owners.map_err(attach("iter/task_file"))?,
            _hooks: [set_state, destroy],
            jiffy: None,
            orders: RefCell::default(),
            turns,
            skeleton,
            capabilities,
        };
        if let Some(reason) = refused {
            programs.degrade(Capability::TcpAttempts, &reason);
        }
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
        self.skeleton.object().progs().filter(Program::autoload)
    }

    /// The consumer of the ring buffer.
    pub(crate) fn closed_records<'s>(
        &'s self,
        inbox: &'s RefCell<Inbox>,
    ) -> Result<ClosedRecords<'s>, CollectError> {
        let failed = |source| CollectError::Map { operation: "consume", map: "closed_records", source };
        let mut builder = RingBufferBuilder::new();
        let take_in = |bytes: &[u8]| {
            inbox.borrow_mut().take_in(bytes);
            0
        };
        inbox.borrow_mut().set_jiffy(self.jiffy);
        builder.add(&self.skeleton.maps.closed_records, take_in).map_err(failed)?;
        Ok(ClosedRecords { ring: builder.build().map_err(failed)?, inbox })
    }

    /// Adopts the sockets that are older than the tracer, of every namespace that can be entered, then those
    /// that some process holds. What cannot be adopted is a degradation, not an error.
    ///
    /// # Errors
    /// The thread cannot return from a namespace, and must not go on.
    pub(crate) fn adopt(&mut self, mut events: impl FnMut(Vec<Event>)) -> Result<(), CollectError> {
        let mut refused = Refused::default();
        if let Some(link) = &self.adopting {
            for namespace in namespaces::paths() {
                self.begin_adoption()?;
                match adopt_namespace(link, &namespace, &mut events) {
                    Err(error @ CollectError::System { .. }) => return Err(error),
                    Err(error) => refused.note(&error.to_string()),
                    Ok(Err(error)) => refused.note(&error.to_string()),
                    Ok(Ok(())) => {}
                }
            }
        }
        if let Some(reason) = refused.reason() {
            self.degrade(Capability::TcpAdopted, &reason);
        }
        if let Err(error) = self.settle_owners(&mut events) {
            self.degrade(Capability::TcpOwner, &error.to_string());
            self.owners = None;
        }
        if self.owners.is_some() && self.counts()?.table_full == 0 {
            self.orders.borrow_mut().adoption_complete(&self.skeleton.maps)?;
        }
        Ok(())
    }

    fn degrade(&mut self, capability: Capability, reason: &str) {
        for state in self.capabilities.iter_mut().filter(|state| state.capability == capability) {
            state.degradation = CapabilityState::refused(capability, reason).degradation;
        }
    }

    /// Looks for the owners of connections that have none, in the open files of all processes.
    pub(crate) fn settle_owners(&self, mut events: impl FnMut(Vec<Event>)) -> Result<(), CollectError> {
        let Some(link) = &self.owners else { return Ok(()) };
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
        self.owners.is_some()
    }

    /// Reads every live connection and listener once; without `all`, of those that have not changed only says so.
    pub(crate) fn read_live(
        &self,
        all: bool,
        mut events: impl FnMut(Vec<Event>),
    ) -> Result<Reading, CollectError> {
        self.orders.borrow_mut().pass_begins(&self.skeleton.maps, all)?;
        let mut reading = self.reading();
        read_all(&self.connections, "iter/bpf_map_elem", |chunk| reading.hand_over(chunk, &mut events))?;
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
        for chunk in keys.chunks(DRAIN_RECORDS) {
            let mut inbox = Inbox::of(self.jiffy, chunk.len());
            for key in chunk {
                // Gone is gone; what was taken out before an error is told all the same.
                match records.lookup_and_delete(key) {
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

    /// Runs of the programs that the kernel left out so far.
    pub(crate) fn missed_runs(&self) -> u64 {
        self.loaded().map(|program| missed_runs(&program)).sum()
    }

    /// What the kernel side itself counted so far.
    pub(crate) fn counts(&self) -> Result<KernelCounts, CollectError> {
        let failed = |source| CollectError::Map { operation: "read", map: "counts", source };
        let maps = &self.skeleton.maps;
        let zero = 0u32.to_ne_bytes();
        let mut sum = KernelCounts::default();
        for bytes in maps.counts.lookup_percpu(&zero, MapFlags::ANY).map_err(failed)?.unwrap_or_default() {
            add_cpu(&mut sum, &from_bytes(&bytes).unwrap_or_default());
        }
        let globals = maps.bss.lookup(&zero, MapFlags::ANY).map_err(failed)?.unwrap_or_default();
        sum.spilled_now = globals.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        Ok(sum)
    }
}

/// Every connect() of the host passes the root of the cgroups.
fn attach_connect(programs: &TracerProgs<'_>) -> Result<Vec<Link>, libbpf_rs::Error> {
    let root = cgroups::root()?;
    let attach = |program: &ProgramMut<'_>| program.attach_cgroup(root.as_raw_fd());
    Ok(vec![attach(&programs.cgroup_connect4)?, attach(&programs.cgroup_connect6)?])
}

/// The outer error means that the thread could not return; the inner that the namespace could not be entered.
fn adopt_namespace(
    link: &Link,
    namespace: &Path,
    events: &mut impl FnMut(Vec<Event>),
) -> Result<io::Result<()>, CollectError> {
    let namespace = match File::open(namespace) {
        Ok(namespace) => namespace,
        // It ended meanwhile, and its sockets with it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(())),
        Err(error) => return Ok(Err(error)),
    };
    // Facts in jiffies come with the next reading.
    let mut reading = Reading::default();
    let pass = || read_all(link, "iter/tcp", |chunk| reading.hand_over(chunk, events));
    let stuck = |source| CollectError::System { operation: "return to the own network namespace", source };
    match namespaces::inside(&namespace, pass).map_err(stuck)? {
        Ok(read) => read.map(Ok),
        Err(refused) => Ok(Err(refused)),
    }
}

/// Namespaces whose sockets could not be adopted.
#[derive(Default)]
struct Refused {
    count: u32,
    first: Option<String>,
}

impl Refused {
    fn note(&mut self, reason: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| reason.to_owned());
    }

    fn reason(self) -> Option<String> {
        let first = self.first?;
        Some(format!("{} network namespaces could not be entered: {first}", self.count))
    }
}

impl Reading {
    fn hand_over(&mut self, chunk: &[[u8; RECORD_BYTES]], events: &mut impl FnMut(Vec<Event>)) {
        let mut inbox = Inbox::of(self.jiffy, chunk.len());
        for record in chunk {
            inbox.take_in(record);
        }
        self.malformed += inbox.take_malformed();
        let batch = inbox.take();
        self.unsettled += batch.iter().filter(|event| is_unsettled(event)).count() as u64;
        events(batch);
    }
}

fn is_unsettled(event: &Event) -> bool {
    matches!(event, Event::Read(observation) if observation.owner.is_none())
}

impl ClosedRecords<'_> {
    /// Readable when the kernel wants the ring drained.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        let descriptor: RawFd = self.ring.epoll_fd();
        // SAFETY: the ring owns the descriptor and lives as long as the borrow.
        #[expect(unsafe_code, reason = "libbpf gives the descriptor as a number")]
        unsafe {
            BorrowedFd::borrow_raw(descriptor)
        }
    }

    /// Takes out what the ring holds, in order; answers how many records could not be decoded.
    pub(crate) fn drain(&self, mut events: impl FnMut(Vec<Event>)) -> Result<u64, CollectError> {
        for _ in 0..DRAIN_TAKES {
            let taken = self.ring.consume_raw_n(DRAIN_RECORDS);
            let Ok(taken) = usize::try_from(taken) else {
                let source = libbpf_rs::Error::from_raw_os_error(-taken);
                return Err(CollectError::Map { operation: "consume", map: "closed_records", source });
            };
            let batch = self.inbox.borrow_mut().take();
            if !batch.is_empty() {
                events(batch);
            }
            if taken < DRAIN_RECORDS {
                break;
            }
        }
        Ok(self.inbox.borrow_mut().take_malformed())
    }
}

fn add_cpu(sum: &mut KernelCounts, cpu: &kernel_counts) {
    let kernel_counts {
        claimed,
        closed,
        overflowed,
        rolled_up,
        rolled_up_in_rest,
        table_full,
        spilled,
        closed_unclaimed,
        deferred,
        deferred_full,
        attempts_full,
        claimed_late,
    } = *cpu;
    sum.claimed += claimed;
    sum.closed += closed;
    sum.overflowed += overflowed;
    sum.rolled_up += rolled_up;
    sum.rolled_up_in_rest += rolled_up_in_rest;
    sum.table_full += table_full;
    sum.spilled += spilled;
    sum.closed_unclaimed += closed_unclaimed;
    sum.deferred += deferred;
    sum.deferred_full += deferred_full;
    sum.attempts_full += attempts_full;
    sum.claimed_late += claimed_late;
}
