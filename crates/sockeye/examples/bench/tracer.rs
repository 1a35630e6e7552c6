//! The tracer inside the bench: the collector and the state thread of the daemon, with its default limits
//! and without HTTP.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use collect::{CollectLimits, Collector, PassRequests, kernel_now};
use deltas::{ClientId, ClientLimits, Delta, Peer};
use endpoints::{Backend, Query};
use libbpf_rs::query::ProgInfoIter;
use sockeye::config::Limits;
use sockeye::state::{StateLimits, StateQueue, StateThread};
use tokio::sync::oneshot;

/// The kernel frees programs after a grace period; on a busy machine that takes a while.
const DEADLINE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

/// A running tracer. Only [`Tracer::stop`] waits until the programs are gone.
pub struct Tracer {
    pub collector: Collector,
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
        let requests = PassRequests::new()?;
        let limits = StateLimits {
            live_connections: usize::try_from(Limits::default().live_connections)?,
            clients: ClientLimits::default(),
            listed: Vec::new(),
        };
        let state = StateThread::start(limits, requests.clone(), "bench", kernel_now())?;
        let collector = Collector::start(
            CollectLimits { cost_sample_ms: 0, ..CollectLimits::default() },
            &requests,
            state.sink(),
        )?;
        let queue = state.open("bench", collector.support());
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        Ok(Self { collector, state, queue, runtime })
    }

    /// Detaches every program and waits until the kernel has none of them left.
    pub fn stop(self) -> anyhow::Result<()> {
        let Self { collector, state, queue, runtime: _ } = self;
        let ids: Vec<u32> = collector.support().programs.iter().map(|(_, id)| *id).collect();
        drop((collector, queue));
        state.join();
        let begin = Instant::now();
        while ProgInfoIter::default().any(|program| ids.contains(&program.id)) {
            ensure!(begin.elapsed() < DEADLINE, "the programs are still loaded after {DEADLINE:?}");
            sleep(PAUSE);
        }
        Ok(())
    }

    pub fn client(&self) -> anyhow::Result<Client<'_>> {
        let id = ClientId::parse("bench").map_err(|error| anyhow!("{error:?}"))?;
        let (reply, answer) = oneshot::channel();
        self.ask(Query::Register { id: id.clone(), peer: Peer::ROOT, reply })?;
        self.runtime.block_on(answer)?.map_err(|refusal| anyhow!("{refusal:?}"))?;
        Ok(Client { tracer: self, id })
    }

    fn ask(&self, query: Query) -> anyhow::Result<()> {
        self.runtime.block_on(self.queue.ask(query)).ok().context("the state thread ended")
    }
}

impl Client<'_> {
    /// A poll that waits for its answer; [`Client::acknowledge`] comes after the clock was read.
    pub fn poll(&self) -> anyhow::Result<Delta> {
        let (reply, answer) = oneshot::channel();
        self.tracer.ask(Query::Poll { id: self.id.clone(), peer: Peer::ROOT, create: false, reply })?;
        let answer = self.tracer.runtime.block_on(answer)?.map_err(|refusal| anyhow!("{refusal:?}"))?;
        Ok(answer.delta)
    }

    /// The answer arrived: the next poll tells what came since.
    pub fn acknowledge(&self, delta: Delta) -> anyhow::Result<()> {
        self.tracer.ask(Query::Resolve { receipt: delta.receipt, delivered: true })
    }
}
