//! The tracer inside the bench: the collector and the state thread of the daemon, with its default limits
//! or with room for more connections, and without HTTP.

use std::ops::Deref;

use anyhow::{Context, anyhow};
use collect::{Capability, CollectLimits, Collector, PassRequests, kernel_now};
use deltas::{Ask, ClientId, ClientLimits, Delta, Peer, Settings, Ticket};
use endpoints::{Backend, Poll, Query};
use sockeye::config::Limits;
use sockeye::state::{StateLimits, StateQueue, StateThread};
use tokio::sync::oneshot;

use crate::unloading;

/// The longest that a client can ask for.
const CLIENT_TTL_NS: u64 = 3_600_000_000_000;

/// The names of its threads: what reads the kernel and decodes, and what applies and answers.
pub const COLLECT: &str = "collect";
pub const STATE: &str = "state";

/// A running tracer. Only [`Tracer::stop`] waits until the programs are gone.
pub struct Tracer {
    collector: Collector,
    state: StateThread,
    queue: StateQueue,
    runtime: tokio::runtime::Runtime,
}

/// A registered client.
pub struct Client<'a> {
    tracer: &'a Tracer,
    id: ClientId,
}

impl Tracer {
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(CollectLimits { cost_sample_ms: 0, ..CollectLimits::default() })
    }

    /// Follows TCP alone: no datagrams, and no processes, whose programs run for whatever else the host does.
    pub fn start_without_udp() -> anyhow::Result<Self> {
        let default = CollectLimits::default();
        Self::start_with(CollectLimits {
            cost_sample_ms: 0,
            follow_udp: false,
            follow_processes: false,
            ..default
        })
    }

    /// Does not follow processes.
    pub fn start_without_processes() -> anyhow::Result<Self> {
        let default = CollectLimits::default();
        Self::start_with(CollectLimits { cost_sample_ms: 0, follow_processes: false, ..default })
    }

    /// Copies no messages of name servers.
    pub fn start_without_dns() -> anyhow::Result<Self> {
        let default = CollectLimits::default();
        Self::start_with(CollectLimits { cost_sample_ms: 0, follow_dns: false, ..default })
    }

    /// Also copies them over TCP, which is off unless asked for.
    pub fn start_with_dns_tcp() -> anyhow::Result<Self> {
        let default = CollectLimits::default();
        Self::start_with(CollectLimits { cost_sample_ms: 0, follow_dns_tcp: true, ..default })
    }

    /// Also follows calls of connect() that fail before anything is sent, which is off unless asked for.
    pub fn start_following_attempts() -> anyhow::Result<Self> {
        let default = CollectLimits::default();
        Self::start_with(CollectLimits { cost_sample_ms: 0, follow_attempts: true, ..default })
    }

    /// With limits that have room for so many connections and an eighth more, and are not below the defaults.
    pub fn start_for(connections: u32) -> anyhow::Result<Self> {
        let (room, default) = (connections.saturating_add(connections / 8), CollectLimits::default());
        let tcp_slots = default.tcp_slots.max(room);
        Self::start_with(CollectLimits { cost_sample_ms: 0, tcp_slots, ..default })
    }

    /// With an audit after the other, so many milliseconds apart; 0 for none.
    pub fn start_auditing(interval_ms: u32) -> anyhow::Result<Self> {
        Self::start_with(CollectLimits {
            cost_sample_ms: 0,
            audit_interval_ms: interval_ms,
            audit_pause_factor: 1,
            ..CollectLimits::default()
        })
    }

    fn start_with(collect: CollectLimits) -> anyhow::Result<Self> {
        let requests = PassRequests::new()?;
        let limits = StateLimits {
            freshness_ns: 0,
            live_connections: usize::try_from(Limits::default().live_connections.max(collect.tcp_slots))?,
            // ss can take minutes between two polls.
            filter: connections::Filter::default(),
            clients: ClientLimits { ttl_ns: CLIENT_TTL_NS, ..ClientLimits::default() },
            listed: Vec::new(),
            about: None,
        };
        let state = StateThread::start(limits, requests.clone(), "bench", kernel_now(), None)?;
        let collector = Collector::start(collect, &requests, state.sink())?;
        let queue = state.open("bench", String::new(), collector.support(), None);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { collector, state, queue, runtime })
    }

    /// Detaches every program and waits until the kernel has none of them left.
    pub fn stop(self) -> anyhow::Result<()> {
        let Self { collector, state, queue, runtime: _ } = self;
        let programs = program_ids(&collector);
        drop((collector, queue));
        state.join();
        unloading::wait_until_freed(&programs)
    }

    /// Ids of its programs, as the kernel lists them.
    pub fn programs(&self) -> Vec<u32> {
        program_ids(&self.collector)
    }

    /// Ids of those of its programs that follow processes.
    pub fn process_programs(&self) -> Vec<u32> {
        let all = self.collector.support().programs.iter();
        all.filter(|(name, _)| name.starts_with("sched_process")).map(|(_, id)| *id).collect()
    }

    /// Where it counts datagrams, if it does.
    pub fn udp_hook(&self) -> Option<&'static str> {
        let capabilities = &self.collector.support().capabilities;
        capabilities.iter().find(|state| state.capability == Capability::Udp)?.served_by
    }

    pub fn client(&self) -> anyhow::Result<Client<'_>> {
        let id = ClientId::parse("bench").map_err(|error| anyhow!("{error:?}"))?;
        let (reply, answer) = oneshot::channel();
        self.ask(Query::Register { id: id.clone(), peer: Peer::ROOT, settings: Settings::default(), reply })?;
        self.runtime.block_on(answer)?.map_err(|refusal| anyhow!("{refusal:?}"))?;
        Ok(Client { tracer: self, id })
    }

    fn ask(&self, query: Query) -> anyhow::Result<()> {
        self.runtime.block_on(self.queue.ask(query)).ok().context("the state thread ended")
    }
}

fn program_ids(collector: &Collector) -> Vec<u32> {
    collector.support().programs.iter().map(|(_, id)| *id).collect()
}

/// An answer, and the poll that got it.
pub struct Answer {
    ticket: Ticket,
    delta: Delta,
}

impl Deref for Answer {
    type Target = Delta;

    fn deref(&self) -> &Delta {
        &self.delta
    }
}

impl Client<'_> {
    /// A poll that waits for its answer; [`Client::acknowledge`] comes after the clock was read.
    pub fn poll(&self) -> anyhow::Result<Answer> {
        let ((begun, _), (reply, answer)) = (oneshot::channel(), oneshot::channel());
        let (id, peer, ask) = (self.id.clone(), Peer::ROOT, Ask::default());
        self.tracer.ask(Query::Poll(Poll { id, peer, create: false, ask, begun, reply }))?;
        let answer = self.tracer.runtime.block_on(answer)?.map_err(|refusal| anyhow!("{refusal:?}"))?;
        Ok(Answer { ticket: answer.ticket, delta: answer.delta })
    }

    /// The answer arrived: the next poll tells what came since.
    pub fn acknowledge(&self, answer: Answer) -> anyhow::Result<()> {
        self.tracer.ask(Query::Resolve { ticket: answer.ticket, delivered: true })
    }
}
