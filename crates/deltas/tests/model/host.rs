//! The host, and what happens to it and to the clients.

use std::collections::BTreeMap;

use connections::{
    ConnectionId, Counters, Ending, Event, KernelTime, Observation, RawCounters, State, Table,
};
use deltas::{
    Ask, Begun, ClientId, ClientLimits, Clients, Delta, Health, Peer, Refusal, Registration, Settings, Ticket,
};
use proptest::prelude::*;

use crate::fixtures::{datagrams, observation};

const SOCKETS: usize = 5;
/// The sockets from this one on are of UDP.
const FIRST_UDP: usize = 3;
const ECONNREFUSED: u16 = 111;
pub(crate) const READERS: usize = 3;
const SECOND: u64 = 1_000_000_000;
/// The time to live of who asks for none, and of who asks for another.
pub(crate) const TTL: u64 = 20 * SECOND;
pub(crate) const TTL_ASKED: u64 = 12 * SECOND;
pub(crate) const UNBOUNDED: usize = 1000;
pub(crate) const USER: Peer = Peer { uid: 1000 };

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Traffic on the connection of a socket; begins one if there is none. No reading sees it yet.
    Grow {
        socket: usize,
        sent: u32,
        received: u32,
    },
    /// The other end closes its half; of UDP, its host says that nobody listens.
    HalfClose(usize),
    /// A reading.
    Read(usize),
    /// The connection ends with a final record.
    Close(usize),
    /// The connection ends without one: three passes in a row read all others.
    Vanish(usize),
    Register {
        reader: usize,
        asks_ttl: bool,
    },
    Remove(usize),
    /// A poll begins; no pass answers it yet.
    Begin {
        reader: usize,
        after: After,
    },
    /// A poll begins, and is answered.
    Poll {
        reader: usize,
        after: After,
    },
    /// The poll in flight is answered.
    Answer(usize),
    /// The poll in flight ends.
    End {
        reader: usize,
        delivered: bool,
    },
    /// Old tickets come again.
    Replay {
        reader: usize,
        delivered: bool,
    },
    Wait(u64),
}

/// What a poll says that its client has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum After {
    /// Nothing: it acknowledges itself.
    Itself,
    Pending,
    Acknowledged,
    /// This number, whatever it is.
    Number(u64),
}

impl Step {
    /// The client that takes this step; absent for what happens to the host.
    pub(crate) fn reader(self) -> Option<usize> {
        match self {
            Step::Register { reader, .. } | Step::Remove(reader) | Step::Answer(reader) => Some(reader),
            Step::Begin { reader, .. } | Step::Poll { reader, .. } => Some(reader),
            Step::End { reader, .. } | Step::Replay { reader, .. } => Some(reader),
            Step::Grow { .. } | Step::HalfClose(_) | Step::Read(_) => None,
            Step::Close(_) | Step::Vanish(_) | Step::Wait(_) => None,
        }
    }
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let socket = || 0..SOCKETS;
    let reader = || 0..READERS;
    let after = || {
        prop_oneof![
            4 => Just(After::Itself),
            3 => Just(After::Pending),
            2 => Just(After::Acknowledged),
            1 => (0..12u64).prop_map(After::Number),
        ]
    };
    let step = prop_oneof![
        6 => (socket(), 0..1000u32, 0..1000u32)
            .prop_map(|(socket, sent, received)| Step::Grow { socket, sent, received }),
        1 => socket().prop_map(Step::HalfClose),
        6 => socket().prop_map(Step::Read),
        4 => socket().prop_map(Step::Close),
        1 => socket().prop_map(Step::Vanish),
        2 => (reader(), any::<bool>())
            .prop_map(|(reader, asks_ttl)| Step::Register { reader, asks_ttl }),
        1 => reader().prop_map(Step::Remove),
        2 => (reader(), after()).prop_map(|(reader, after)| Step::Begin { reader, after }),
        8 => (reader(), after()).prop_map(|(reader, after)| Step::Poll { reader, after }),
        2 => reader().prop_map(Step::Answer),
        7 => (reader(), any::<bool>()).prop_map(|(reader, delivered)| Step::End { reader, delivered }),
        1 => (reader(), any::<bool>()).prop_map(|(reader, delivered)| Step::Replay { reader, delivered }),
        2 => (0..8u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..150)
}

pub(crate) fn closed_records() -> impl Strategy<Value = usize> {
    prop_oneof![Just(UNBOUNDED), 1..5usize]
}

#[derive(Debug, Clone, Copy)]
struct Socket {
    id: ConnectionId,
    counters: RawCounters,
    state: State,
    failed: Option<(u16, KernelTime)>,
}

/// The host, the table and the clients under test.
pub(crate) struct Host {
    pub(crate) now: u64,
    pass_at: u64,
    sockets: [Option<Socket>; SOCKETS],
    pub(crate) table: Table,
    pub(crate) clients: Clients,
    /// Final totals, of the closed.
    pub(crate) finals: BTreeMap<ConnectionId, Counters>,
    /// Of every poll that began.
    pub(crate) tickets: [Vec<Ticket>; READERS],
}

impl Host {
    pub(crate) fn new(closed_records: usize) -> Self {
        let limits = ClientLimits { closed_records, ttl_ns: TTL, ..ClientLimits::default() };
        Self {
            now: 0,
            pass_at: 0,
            sockets: [None; SOCKETS],
            table: Table::new(UNBOUNDED),
            clients: Clients::new(limits, KernelTime(0)),
            finals: BTreeMap::new(),
            tickets: [vec![], vec![], vec![]],
        }
    }

    /// Does what is no business of a client; gives the connections that closed.
    pub(crate) fn take(&mut self, step: Step) -> Vec<ConnectionId> {
        self.now += 1;
        match step {
            Step::Grow { socket, sent, received } => {
                let id = ConnectionId { cookie: socket as u64, claimed_at: KernelTime(self.now) };
                let state = if socket < FIRST_UDP { State::Established } else { State::Open };
                let new = Socket { id, counters: RawCounters::default(), state, failed: None };
                let socket = self.sockets[socket].get_or_insert(new);
                socket.counters.sent_bytes += u64::from(sent);
                socket.counters.received_bytes += u64::from(received);
                socket.counters.sent_packets += 1;
            }
            Step::HalfClose(socket) => {
                for socket in self.sockets[socket].iter_mut() {
                    match socket.state {
                        State::Open => socket.failed = Some((ECONNREFUSED, KernelTime(self.now))),
                        _ => socket.state = State::CloseWait,
                    }
                }
            }
            Step::Read(socket) => self.read(socket),
            Step::Close(socket) => {
                if let Some(socket) = self.sockets[socket].take() {
                    let ending = ending(socket, self.now);
                    self.table.apply(Event::Closed(observed(socket), ending));
                }
            }
            Step::Vanish(socket) => self.vanish(socket),
            Step::Wait(seconds) => self.now += seconds * SECOND,
            _ => {}
        }
        self.clients.expire(KernelTime(self.now));
        let closed = self.table.take_closed();
        for connection in &closed {
            self.finals.insert(connection.id, connection.total);
            self.clients.keep_closed(*connection);
        }
        closed.iter().map(|connection| connection.id).collect()
    }

    fn read(&mut self, socket: usize) {
        if let Some(socket) = self.sockets[socket] {
            self.table.apply(Event::Read(observed(socket)));
        }
    }

    fn vanish(&mut self, socket: usize) {
        self.sockets[socket] = None;
        for _ in 0..4 {
            (0..SOCKETS).for_each(|other| self.read(other));
            self.pass_at += 5 * SECOND;
            self.table.apply(Event::PassEnded { at: KernelTime(self.pass_at) });
        }
    }

    pub(crate) fn register(&mut self, reader: usize, asks_ttl: bool) -> Result<Registration, Refusal> {
        let settings = Settings { ttl_ns: asks_ttl.then_some(TTL_ASKED), ..Settings::default() };
        self.clients.register(&client(reader), USER, settings, KernelTime(self.now))
    }

    pub(crate) fn begin(&mut self, reader: usize, after: Option<u64>) -> Result<Begun, Refusal> {
        let ask = Ask { after, ..Ask::default() };
        let begun = self.clients.begin(&client(reader), USER, ask, KernelTime(self.now))?;
        self.tickets[reader].push(begun.ticket.clone());
        Ok(begun)
    }

    pub(crate) fn answer(&mut self, ticket: &Ticket) -> Result<Delta, Refusal> {
        self.clients.answer(ticket, &self.table, Health::default(), KernelTime(self.now))
    }

    pub(crate) fn end(&mut self, ticket: &Ticket, delivered: bool) {
        self.clients.end(ticket, delivered, KernelTime(self.now));
    }
}

fn observed(socket: Socket) -> Observation {
    let Socket { id, counters, state, failed } = socket;
    let observation = if state == State::Open { datagrams(id.cookie, 0) } else { observation(id.cookie, 0) };
    Observation { id, counters, state, failed, ..observation }
}

fn ending(socket: Socket, now: u64) -> Ending {
    let (state_before, errno) = match socket.state {
        State::Open => (State::Open, socket.failed.map_or(0, |(errno, _)| errno)),
        _ => (State::LastAck, 0),
    };
    Ending { closed_at: KernelTime(now), state_before, errno }
}

pub(crate) fn client(reader: usize) -> ClientId {
    ClientId::parse(&format!("reader-{reader}")).expect("a valid id")
}
