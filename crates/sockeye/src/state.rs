//! The state thread: the one owner of the live table and of the clients.
//!
//! Receives one closed list of messages over a bounded queue, in order. Polls wait here for a kernel pass that
//! began after they did; those that wait together share it. When a poll may begin is the rule of
//! [`endpoints::Turns`]. Never blocks on anybody: replies do not wait,
//! and the collector is asked, not called.

mod queue;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use collect::{
    CollectError, KernelCounts, KernelMaps, PassRequests, ProgramCosts, Report, Support, UdpCounts,
    kernel_now, wall_offset,
};
use connections::{Event, Filter, KernelTime, Lookup, Loss, Losses, Table, TableCounts, WallOffset};
use context::{Context as Behind, DnsCounts};
use deltas::{ClientId, ClientLimits, Clients, Health, Peer, Refusal, Settings, Ticket};
use encode::{About, WallTime};
use endpoints::{
    ClientAnswer, ClientsAnswer, Everything, Identity, ListenersAnswer, Pass, Query, Registered, Reply, Turns,
};
use tokio::sync::{mpsc, oneshot};

pub use queue::StateQueue;

use crate::counts::StateCounts;
use crate::screen::Screen;
use crate::status::{self, Facts};
use crate::wall::Wall;

/// Messages that may wait; a batch of readings is one message of at most 128 events.
const QUEUE_MESSAGES: usize = 256;

/// Everything that the state is told or asked.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a queue of 256 of them takes less than their events")]
pub enum Message {
    /// From the collector.
    Report(Report),
    /// What became of lookups of names, and what was counted of them by now.
    LookedUp(Vec<Lookup>, Box<DnsCounts>),
    /// What the kernel took: sent once, before the first query.
    Started(Support),
    /// From the API.
    Query(Query),
}

/// Bounds of the state.
#[derive(Debug, Clone)]
pub struct StateLimits {
    /// Live connections.
    pub live_connections: usize,
    /// Which connections are told.
    pub filter: Filter,
    /// Clients and closed connections.
    pub clients: ClientLimits,
    /// A poll may be answered from a pass that began so many nanoseconds ago.
    pub freshness_ns: u64,
    /// All limits by name, for the status.
    pub listed: Vec<(&'static str, u64)>,
    /// The host, privileges and memory, for the status.
    pub about: Option<About>,
}

/// The running state thread.
#[derive(Debug)]
pub struct StateThread {
    context: Option<Arc<Behind>>,
    queue: mpsc::Sender<Message>,
    thread: JoinHandle<()>,
    /// Resolves when the collector cannot go on.
    pub failed: oneshot::Receiver<CollectError>,
}

impl StateThread {
    /// Starts the thread. Tracing begins at `began_at`; `instance` names this run. Who is behind connections knows the
    /// `context`, if anybody.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        limits: StateLimits,
        requests: PassRequests,
        instance: &str,
        began_at: KernelTime,
        context: Option<Arc<Behind>>,
    ) -> anyhow::Result<Self> {
        let (queue, messages) = mpsc::channel(QUEUE_MESSAGES);
        let (failing, failed) = oneshot::channel();
        let wall = Wall::new(wall_offset());
        let screen = (!limits.filter.is_empty()).then(Screen::default);
        let mut table = Table::with_filter(limits.live_connections, limits.filter);
        if context.is_some() {
            table.note_ends();
        }
        let state = State {
            table,
            screen,
            context: context.clone(),
            said: BTreeSet::new(),
            dns: DnsCounts::default(),
            clients: Clients::new(limits.clients, began_at).numbered_above(first_number(began_at)),
            turns: Turns::default(),
            requests,
            waiting: Vec::new(),
            passed_at: began_at,
            freshness_ns: limits.freshness_ns,
            counts: StateCounts::default(),
            kernel: KernelCounts::default(),
            costs: ProgramCosts::default(),
            support: None,
            failing: Some(failing),
            instance: instance.to_owned(),
            started_at: WallTime::of(began_at, wall.offset(wall_offset())),
            wall,
            listed_limits: limits.listed,
            about: limits.about,
        };
        let thread = std::thread::Builder::new()
            .name("state".into())
            .spawn(move || state.run(messages))
            .context("cannot start the state thread")?;
        Ok(Self { context, queue, thread, failed })
    }

    /// Where the collector puts its reports; waits while the queue is full, and ends with the state.
    pub fn sink(&self) -> impl FnMut(Report) -> ControlFlow<()> + Send + 'static {
        let mut messages = self.messages();
        move |report| messages(Message::Report(report))
    }

    /// The same for all messages.
    pub(crate) fn messages(&self) -> impl FnMut(Message) -> ControlFlow<()> + Send + 'static {
        let queue = self.queue.clone();
        move |message| match queue.blocking_send(message) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// The way for the API, once it is known what the kernel took. `config` is the configuration that holds, as TOML;
    /// `maps` are there to be looked at.
    pub fn open(
        &self,
        instance: &str,
        config: String,
        support: &Support,
        maps: Option<Arc<KernelMaps>>,
    ) -> StateQueue {
        // The queue is as good as empty: the collector has waited for its start.
        let _ = self.queue.blocking_send(Message::Started(support.clone()));
        let degraded = support.capabilities.iter().filter(|state| state.degradation.is_some());
        let degraded = degraded.map(|state| state.capability.name().to_owned()).collect();
        let identity = Arc::new(Identity { instance: instance.to_owned(), config });
        StateQueue { queue: self.queue.clone(), identity, degraded, maps, context: self.context.clone() }
    }

    /// Waits for the end of the thread, which comes when every other sender is gone.
    pub fn join(self) {
        drop(self.queue);
        // A panic of the thread has been printed; there is nothing to add.
        let _ = self.thread.join();
    }
}

struct State {
    table: Table,
    /// Where not all connections are told.
    screen: Option<Screen>,
    context: Option<Arc<Behind>>,
    /// What of the context was said to be missing.
    said: BTreeSet<&'static str>,
    /// As of the last lookups.
    dns: DnsCounts,
    clients: Clients,
    turns: Turns,
    requests: PassRequests,
    waiting: Vec<Waiting>,
    /// When the last complete pass began.
    passed_at: KernelTime,
    /// A poll may be answered from a pass that began so long ago.
    freshness_ns: u64,
    counts: StateCounts,
    kernel: KernelCounts,
    costs: ProgramCosts,
    support: Option<Support>,
    failing: Option<oneshot::Sender<CollectError>>,
    instance: String,
    /// Of the wall clock at the start: it does not move when that clock is set.
    started_at: WallTime,
    wall: Wall,
    listed_limits: Vec<(&'static str, u64)>,
    about: Option<About>,
}

/// A question that waits for a pass.
struct Waiting {
    request: u64,
    question: Question,
}

enum Question {
    Poll(Ticket),
    Listeners(Reply<ListenersAnswer>),
    Everything(Reply<Result<Everything, Refusal>>),
}

impl State {
    fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        while let Some(message) = messages.blocking_recv() {
            match message {
                Message::Report(Report::Events(events)) => self.apply(events),
                // Who is behind connections is not of the state.
                Message::Report(Report::Processes(_) | Report::Payloads(_)) => {}
                Message::LookedUp(lookups, counts) => {
                    self.keep_lookups(lookups);
                    self.dns = *counts;
                }
                Message::Report(Report::PassEnded { request, counts, costs }) => {
                    self.costs = costs;
                    self.end_pass(request, counts);
                }
                Message::Report(Report::Failed(error)) => self.fail(error),
                Message::Started(support) => self.support = Some(support),
                Message::Query(query) => self.answer(query),
            }
            // Each of these can let a poll begin.
            while let Some(ticket) = self.turns.next_begun() {
                match self.is_fresh() {
                    true => self.answer_poll(&ticket),
                    false => self.wait_for_pass(Question::Poll(ticket)),
                }
            }
        }
    }

    fn apply(&mut self, events: Vec<Event>) {
        for event in events {
            if let Event::PassEnded { at } = event {
                self.passed_at = at;
            }
            self.table.apply(event);
        }
        if let Some(context) = &self.context {
            context.note(&self.table.take_ends());
        }
        for connection in self.table.take_closed() {
            self.screen.iter_mut().for_each(|screen| screen.note_ended(connection.id()));
            self.clients.keep_closed(connection);
        }
        for rollup in self.table.take_rolled_up() {
            self.clients.keep_rolled_up(rollup);
        }
        self.clients.expire(kernel_now());
    }

    fn keep_lookups(&mut self, lookups: Vec<Lookup>) {
        let Self { screen, table, clients, .. } = self;
        for lookup in lookups {
            let told = match screen {
                Some(screen) => screen.keep(lookup, |id| table.shows(id)),
                None => Some(lookup),
            };
            told.iter().for_each(|lookup| clients.keep_lookup(lookup));
        }
    }

    fn end_pass(&mut self, request: u64, counts: KernelCounts) {
        if let Some(screen) = &mut self.screen {
            let told = screen.decide(|id| self.table.shows(id));
            told.iter().for_each(|lookup| self.clients.keep_lookup(lookup));
        }
        self.say_what_is_missing();
        self.kernel = counts;
        self.counts.passes += 1;
        let served = self.waiting.extract_if(.., |waiting| waiting.request <= request).collect::<Vec<_>>();
        for Waiting { question, .. } in served {
            match question {
                Question::Poll(ticket) => self.answer_poll(&ticket),
                Question::Listeners(reply) => self.answer_listeners(reply),
                Question::Everything(reply) => {
                    let _ = reply.send(self.everything());
                }
            }
        }
    }

    /// Each thing once, when it is found to be missing.
    fn say_what_is_missing(&mut self) {
        for (capability, degradation) in self.context.iter().flat_map(|context| context.degradations()) {
            if self.said.insert(capability) {
                tracing::warn!(capability, "{degradation}");
            }
        }
    }

    fn fail(&mut self, error: CollectError) {
        let failing = self.failing.take();
        for Waiting { question, .. } in std::mem::take(&mut self.waiting) {
            self.wait_for_pass(question);
        }
        if let Some(failing) = failing {
            let _ = failing.send(error);
        }
    }

    fn answer(&mut self, query: Query) {
        let now = kernel_now();
        match query {
            Query::Register { id, peer, settings, reply } => {
                let _ = reply.send(self.register(&id, peer, settings, now));
            }
            Query::Client { id, peer, reply } => {
                self.clients.expire(now);
                let client = self.clients.state(&id, peer);
                let _ = reply.send(client.map(|client| ClientAnswer { client, wall: self.wall() }));
            }
            Query::Clients { peer, reply } => {
                self.clients.expire(now);
                let clients = self.clients.list_for(peer);
                let _ = reply.send(ClientsAnswer { clients, wall: self.wall() });
            }
            Query::Remove { id, peer, reply } => {
                let _ = reply.send(self.clients.remove(&id, peer, now));
                self.turns.advance(&mut self.clients, now);
            }
            Query::Poll(poll) => self.turns.begin(&mut self.clients, poll, now),
            Query::Resolve { ticket, delivered } => {
                self.turns.end(&mut self.clients, &ticket, delivered, now);
            }
            Query::Listeners { reply } => self.wait_for_pass(Question::Listeners(reply)),
            Query::Everything { reply } => self.wait_for_pass(Question::Everything(reply)),
            Query::Remembered { id, peer, reply } => {
                self.clients.expire(now);
                let _ = reply.send(self.clients.remembered(&id, peer, &self.table));
            }
            Query::Status { reply } => {
                let _ = reply.send(status::status(&self.facts()));
            }
        }
    }

    fn register(
        &mut self,
        id: &ClientId,
        peer: Peer,
        settings: Settings,
        now: KernelTime,
    ) -> Result<Registered, Refusal> {
        let registration = self.clients.register(id, peer, settings, now)?;
        let client = self.clients.state(id, peer)?;
        Ok(Registered { registration, client, wall: self.wall() })
    }

    /// True when the last pass is young enough to answer from.
    fn is_fresh(&self) -> bool {
        let age_ns = kernel_now().nanoseconds_since(self.passed_at);
        self.counts.passes > 0 && age_ns < self.freshness_ns
    }

    fn wait_for_pass(&mut self, question: Question) {
        if self.failing.is_some() {
            let request = self.requests.request();
            self.waiting.push(Waiting { request, question });
            return;
        }
        // After a failure no pass comes: dropping the question tells who asked.
        if let Question::Poll(ticket) = question {
            self.turns.give_up(&mut self.clients, &ticket, kernel_now());
        }
    }

    fn wall(&self) -> WallOffset {
        self.wall.offset(wall_offset())
    }

    fn answer_listeners(&self, reply: Reply<ListenersAnswer>) {
        let listeners = self.table.listeners().iter().copied().collect();
        // Who does not wait any more needs no answer.
        let _ = reply.send(ListenersAnswer { listeners, at: self.passed_at, wall: self.wall() });
    }

    fn everything(&mut self) -> Result<Everything, Refusal> {
        let health = self.health();
        let delta = self.clients.everything(&self.table, health, self.passed_at)?;
        Ok(Everything { delta, wall: self.wall() })
    }

    fn answer_poll(&mut self, ticket: &Ticket) {
        let pass = Pass { table: &self.table, health: self.health(), at: self.passed_at, wall: self.wall() };
        self.turns.answer(&mut self.clients, ticket, &pass, kernel_now());
    }

    /// Questions that wait for a pass; a poll that is over waits no more.
    fn waiting_count(&self) -> usize {
        let waits = |waiting: &&Waiting| match &waiting.question {
            Question::Poll(ticket) => self.turns.waits(ticket),
            Question::Listeners(_) | Question::Everything(_) => true,
        };
        self.waiting.iter().filter(waits).count()
    }

    fn health(&self) -> Health {
        // The limits that are reached without a loss are for the status.
        let KernelCounts {
            table_full,
            spilled,
            spilled_now,
            closed_unclaimed,
            attempts_full,
            ends_lost,
            ends_emptied,
            stale_untold,
            udp: UdpCounts { foreign, late, .. },
            malformed,
            payloads_lost,
            ..
        } = self.kernel;
        let TableCounts {
            closed: _,
            untracked,
            without_room,
            rolled_up,
            ring_full,
            anomalies,
            close_not_seen,
            excluded,
        } = self.table.counts();
        // A socket without any slot is counted when it is refused one, and again when it closes; one that
        // adoption missed only when it closes.
        let unclaimed = table_full.saturating_sub(spilled).max(closed_unclaimed);
        // Of those whose end was not told, the followed ones are missed by a pass.
        let ends = ends_lost.saturating_sub(close_not_seen.connections) + ends_emptied;
        Health {
            losses: Losses { ring_full, close_not_seen, closed_log_full: Loss::default() },
            // A datagram that was not counted is one of a connection of which a part is unknown.
            untracked: untracked + unclaimed + attempts_full + ends + stale_untold + foreign + late,
            untracked_now: without_room + spilled_now,
            rolled_up,
            excluded,
            anomalies: anomalies + malformed,
            messages_lost: payloads_lost,
            audit: self.table.audit(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            instance: &self.instance,
            started_at: self.started_at,
            support: self.support.as_ref(),
            limits: &self.listed_limits,
            about: self.about.as_ref(),
            table: self.table.counts(),
            live_connections: self.table.live_count(),
            audit: self.table.audit(),
            wall: self.wall(),
            kernel: self.kernel,
            costs: &self.costs,
            clients: &self.clients,
            now: kernel_now(),
            context: self.context.as_deref(),
            dns: self.dns,
            // Each client counts for itself what it was not told in time; here each connection counts once.
            losses: Losses { closed_log_full: self.clients.given_up(), ..self.health().losses },
            state: self.counts,
            turns: self.turns.counts(),
            polls_waiting: self.waiting_count(),
        }
    }
}

/// Answers have larger numbers: the milliseconds since 1970 when tracing began. At less than 1000 answers a second no number
/// of an earlier run comes again, unless the wall clock was set back.
fn first_number(began_at: KernelTime) -> u64 {
    u64::try_from(wall_offset().unix_nanoseconds(began_at) / 1_000_000).unwrap_or(0)
}
