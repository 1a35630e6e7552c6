//! Everything that the API asks of the state, and who answers.
//!
//! The state is owned by one thread that takes one [`Query`] after the other; what a query does to it is not
//! decided here.

use std::io;

use connections::{Annotate, KernelTime, Listener, Remembered, WallOffset};
use deltas::{Ask, ClientId, ClientState, Delta, Peer, Refusal, Registration, Settings, Ticket};
use encode::Status;
use tokio::sync::oneshot;

/// Where an answer goes. Sending does not wait. Dropped unsent, the request is answered with 503.
pub type Reply<T> = oneshot::Sender<T>;

/// What is remembered of who is behind connections, as the reference shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Translations of addresses that are remembered.
    ConntrackCached,
    /// All that the kernel tracks.
    ConntrackHost,
    /// Processes.
    ProcessCache,
}

/// A question to the state. The state must take them in the order in which they were asked.
#[derive(Debug)]
pub enum Query {
    /// Register a client, or put off its expiry.
    Register {
        /// The client.
        id: ClientId,
        /// Who asks.
        peer: Peer,
        /// What it asks for.
        settings: Settings,
        /// The client afterwards.
        reply: Reply<Result<Registered, Refusal>>,
    },
    /// The state of a client. No sign of life of it.
    Client {
        /// The client.
        id: ClientId,
        /// Who asks.
        peer: Peer,
        /// The client now.
        reply: Reply<Result<ClientAnswer, Refusal>>,
    },
    /// The states of all clients that this user may use. No sign of life of any.
    Clients {
        /// Who asks.
        peer: Peer,
        /// The clients now.
        reply: Reply<ClientsAnswer>,
    },
    /// Remove a client.
    Remove {
        /// The client.
        id: ClientId,
        /// Who asks.
        peer: Peer,
        /// Sent when it is gone.
        reply: Reply<Result<(), Refusal>>,
    },
    /// What a client has not seen yet. For every answer that could be sent exactly one
    /// [`Query::Resolve`] follows, also when nobody waits for it any more.
    Poll(Poll),
    /// The end of a poll that was answered.
    Resolve {
        /// The ticket in that answer.
        ticket: Ticket,
        /// True when the other end has read all of it; false when it may have read none or a part.
        delivered: bool,
    },
    /// The listening sockets of the host, from a pass that begins after the question.
    Listeners {
        /// The answer.
        reply: Reply<ListenersAnswer>,
    },
    /// All live connections, from a pass that begins after the question. No sign of life of any client.
    Everything {
        /// The answer.
        reply: Reply<Result<Everything, Refusal>>,
    },
    /// What a client was told of the connections that live. No sign of life of it.
    Remembered {
        /// The client.
        id: ClientId,
        /// Who asks.
        peer: Peer,
        /// What it was told.
        reply: Reply<Result<Remembered, Refusal>>,
    },
    /// The state of the tracer.
    Status {
        /// The answer.
        reply: Reply<Status>,
    },
}

/// A poll of a client.
#[derive(Debug)]
pub struct Poll {
    /// The client.
    pub id: ClientId,
    /// Who asks.
    pub peer: Peer,
    /// True when an unknown client is to be registered first.
    pub create: bool,
    /// What it says.
    pub ask: Ask,
    /// Told when the poll does not wait for another of its client any more.
    pub begun: oneshot::Sender<()>,
    /// The answer. Dropped by who waits for it, the poll is over, in line too.
    pub reply: Reply<Result<PollAnswer, Refusal>>,
}

/// A registered client.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Whether it is new.
    pub registration: Registration,
    /// Its state now.
    pub client: ClientState,
    /// Distance of the kernel's clock to the wall clock.
    pub wall: WallOffset,
}

/// The answer to the question for a client.
#[derive(Debug, Clone)]
pub struct ClientAnswer {
    /// Its state now.
    pub client: ClientState,
    /// Distance of the kernel's clock to the wall clock.
    pub wall: WallOffset,
}

/// The answer to the question for all clients.
#[derive(Debug, Clone)]
pub struct ClientsAnswer {
    /// Their states now, in the order of their ids.
    pub clients: Vec<ClientState>,
    /// Distance of the kernel's clock to the wall clock.
    pub wall: WallOffset,
}

/// The answer to a poll.
#[derive(Debug)]
pub struct PollAnswer {
    /// Names the poll; the state is to be told of its end.
    pub ticket: Ticket,
    /// What the client has not seen yet.
    pub delta: Delta,
    /// Distance of the kernel's clock to the wall clock.
    pub wall: WallOffset,
    /// Told when a later poll puts an end to this one: what was not delivered by then is to be cut. Dropped without
    /// a word when that will not be.
    pub superseded: oneshot::Receiver<()>,
}

/// All live connections.
#[derive(Debug)]
pub struct Everything {
    /// What a client would be told that is new.
    pub delta: Delta,
    /// Distance of the kernel's clock to the wall clock.
    pub wall: WallOffset,
}

/// The listening sockets of the host.
#[derive(Debug)]
pub struct ListenersAnswer {
    /// All of them, in no order.
    pub listeners: Vec<Listener>,
    /// When the pass began that read them.
    pub at: KernelTime,
    /// Distance of the kernel's clock to the wall clock.
    pub wall: WallOffset,
}

/// What names this run of the tracer in every answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The run: totals count from its start.
    pub instance: String,
    /// The configuration that holds, as TOML, without secrets.
    pub config: String,
}

/// The state takes no queries any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the state takes no queries")]
pub struct Unavailable;

/// The way to the state.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Hands a query over, waiting while the queue of the state is full.
    ///
    /// # Errors
    /// [`Unavailable`] when the state has ended.
    fn ask(&self, query: Query) -> impl Future<Output = Result<(), Unavailable>> + Send;

    /// What names this run of the tracer.
    fn identity(&self) -> &Identity;

    /// Names of what this run of the tracer cannot do at the moment.
    fn degradations(&self) -> Vec<String>;

    /// True when polls are answered from a tracer that has begun.
    fn ready(&self) -> bool;

    /// Writes what is in the maps of the kernel with these names, without names in all, for a person. Blocks.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_maps(&self, names: &[String], out: &mut dyn io::Write) -> io::Result<()>;

    /// True when this page of what is remembered can be written: what it shows is not off.
    fn has_page(&self, page: Page) -> bool;

    /// Writes what is remembered, in the form of the reference. Blocks, for at most 30 s.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_page(&self, page: Page, out: &mut dyn io::Write) -> io::Result<()>;

    /// Who knows what is behind the connections of one answer. What it is asked may take a bounded time.
    fn context(&self) -> Box<dyn Annotate + '_>;
}
