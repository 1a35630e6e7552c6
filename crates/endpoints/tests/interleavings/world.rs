//! `Turns`, the clients and the table as the state owns them, one message after the other, and what each message must do.
//!
//! What a poll must come to follows from three things: what its client acknowledged, which answer is pending, and whether
//! another poll is in flight. The rest is looked at from outside.

use std::collections::BTreeMap;

use connections::{KernelTime, WallOffset};
use deltas::{Ask, ClientId, ClientLimits, Clients, Health, Peer, Refusal, Registration, Settings, Ticket};
use endpoints::{Pass, Poll, Turns};
use tokio::sync::oneshot;

use crate::interleavings::host::{Connections, Host};
use crate::interleavings::poll::{Asked, Outcome, Stage};
use crate::interleavings::reader::Reader;

pub(crate) const CLIENTS: usize = 3;
const SECOND: u64 = 1_000_000_000;
const TTL: u64 = 20 * SECOND;

/// A message, or what happens on the host. Polls are meant by their client and their place among those of it that it
/// concerns.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Send {
        socket: usize,
        bytes: u64,
    },
    Close(usize),
    Register {
        client: usize,
        who: Who,
    },
    Remove {
        client: usize,
        who: Who,
    },
    Poll {
        client: usize,
        who: Who,
        after: After,
        create: bool,
    },
    /// A pass ends that began after all messages before.
    Pass,
    /// No pass comes.
    Fail,
    /// An answer on its way was read to its end, or not.
    Resolve {
        client: usize,
        place: usize,
        delivered: bool,
    },
    /// Who asked goes away before an answer was made.
    Leave {
        client: usize,
        place: usize,
    },
    /// Nobody wants to know any more when the poll begins.
    Deafen {
        client: usize,
        place: usize,
    },
    Wait(u64),
}

impl Step {
    pub(crate) fn client(self) -> Option<usize> {
        match self {
            Step::Register { client, .. }
            | Step::Remove { client, .. }
            | Step::Poll { client, .. }
            | Step::Resolve { client, .. }
            | Step::Leave { client, .. }
            | Step::Deafen { client, .. } => Some(client),
            _ => None,
        }
    }
}

/// Who sends a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    Owner,
    Root,
    Stranger,
}

impl Who {
    fn peer(self, client: usize) -> Peer {
        match self {
            Who::Owner => Peer::User(1000 + u32::try_from(client).expect("few clients")),
            Who::Root => Peer::ROOT,
            Who::Stranger => Peer::User(2000),
        }
    }
}

/// What a poll says that its client has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum After {
    /// Nothing: it acknowledges itself.
    Itself,
    Acknowledged,
    /// The pending answer, if there is one.
    Pending,
    Number(u64),
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) host: Host,
    pub(crate) clients: Clients,
    pub(crate) turns: Turns,
    /// Have begun, and wait for the next pass.
    waiting: Vec<Ticket>,
    pub(crate) polls: Vec<Asked>,
    /// Every registration that ever was.
    pub(crate) readers: Vec<Reader>,
    /// The one that there is, of each client.
    registered: [Option<usize>; CLIENTS],
    /// What was true when each answer was made.
    passes: BTreeMap<KernelTime, Connections>,
}

impl World {
    pub(crate) fn new() -> Self {
        let limits = ClientLimits { ttl_ns: TTL, ..ClientLimits::default() };
        Self {
            now: 0,
            host: Host::new(),
            clients: Clients::new(limits, KernelTime(0)),
            turns: Turns::default(),
            waiting: Vec::new(),
            polls: Vec::new(),
            readers: Vec::new(),
            registered: [None; CLIENTS],
            passes: BTreeMap::new(),
        }
    }

    fn time(&self) -> KernelTime {
        KernelTime(self.now)
    }

    pub(crate) fn take(&mut self, step: Step) {
        self.now += 1;
        self.expire();
        let now = self.time();
        match step {
            Step::Send { socket, bytes } => self.host.send(socket, bytes, now),
            Step::Close(socket) => self.host.close(socket, &mut self.clients, now),
            Step::Register { client, who } => self.register(client, who.peer(client)),
            Step::Remove { client, who } => self.remove(client, who.peer(client)),
            Step::Poll { client, who, after, create } => {
                let peer = who.peer(client);
                let after = self.after(client, after);
                self.poll(client, peer, after, create);
            }
            Step::Pass => self.pass(|world, ticket, pass_at| {
                let pass = Pass {
                    table: &world.host.table,
                    health: Health::default(),
                    at: pass_at,
                    wall: WallOffset(0),
                };
                world.turns.answer(&mut world.clients, ticket, &pass, pass_at);
            }),
            Step::Fail => self.pass(|world, ticket, now| {
                world.turns.give_up(&mut world.clients, ticket, now);
            }),
            Step::Resolve { client, place, delivered } => {
                if let Some(poll) = self.at(client, place, &[Stage::OnItsWay, Stage::Cut]) {
                    self.resolve(poll, delivered);
                }
            }
            Step::Leave { client, place } => {
                if let Some(poll) = self.at(client, place, &[Stage::InLine, Stage::Waits]) {
                    self.leave(poll);
                }
            }
            Step::Deafen { client, place } => {
                if let Some(poll) = self.at(client, place, &[Stage::InLine]) {
                    self.polls[poll].begun = None;
                }
            }
            Step::Wait(seconds) => self.now += seconds * SECOND,
        }
        self.waiting.extend(std::iter::from_fn(|| self.turns.next_begun()));
        self.check();
    }

    /// The poll that is meant.
    fn at(&self, client: usize, place: usize, stages: &[Stage]) -> Option<usize> {
        let of_client = |poll: &usize| {
            let Asked { client: of, stage, is_left, .. } = &self.polls[*poll];
            *of == client && stages.contains(stage) && !is_left
        };
        let all: Vec<_> = (0..self.polls.len()).filter(of_client).collect();
        all.get(place % all.len().max(1)).copied()
    }

    fn after(&self, client: usize, after: After) -> Option<u64> {
        let reader = self.registered[client].map(|registration| &self.readers[registration]);
        let acknowledged = reader.map_or(0, |reader| reader.acknowledged);
        match after {
            After::Itself => None,
            After::Acknowledged => Some(acknowledged),
            After::Pending => Some(reader.and_then(|reader| reader.pending).unwrap_or(acknowledged)),
            After::Number(0) => Some(0),
            After::Number(number) => Some(reader.map_or(0, |reader| reader.first) + number),
        }
    }

    fn id(client: usize) -> ClientId {
        ClientId::parse(&format!("client-{client}")).expect("a valid id")
    }

    fn in_flight(&self, registration: usize) -> Option<usize> {
        self.polls.iter().position(|poll| poll.registration == registration && poll.is_in_flight())
    }

    /// Who polls is not forgotten.
    fn expire(&mut self) {
        self.clients.expire(self.time());
        for client in 0..CLIENTS {
            if let Some(registration) = self.registered[client]
                && self.clients.state(&Self::id(client), Peer::ROOT).is_err()
            {
                assert_eq!(self.in_flight(registration), None);
                self.registered[client] = None;
            }
        }
    }

    fn register(&mut self, client: usize, peer: Peer) {
        let now = self.time();
        let registered = self.clients.register(&Self::id(client), peer, Settings::default(), now);
        let owner = self.registered[client].map(|registration| self.readers[registration].owner);
        let expected = match owner {
            Some(owner) if !peer.may_use(owner) => Err(Refusal::NotOwner),
            Some(_) => Ok(Registration::Known),
            None => Ok(Registration::New),
        };
        assert_eq!(registered, expected);
        if registered == Ok(Registration::New) {
            self.registered[client] = Some(self.readers.len());
            self.readers.push(Reader::new(peer, now));
            self.number(client);
        }
    }

    /// The answers to a new registration have larger numbers than all before.
    fn number(&mut self, client: usize) {
        let state = self.clients.state(&Self::id(client), Peer::ROOT).expect("it was just registered");
        self.readers.last_mut().expect("and noted").number_above(state.sequence);
    }

    fn remove(&mut self, client: usize, peer: Peer) {
        let now = self.time();
        let removed = self.clients.remove(&Self::id(client), peer, now);
        self.turns.advance(&mut self.clients, now);
        if removed.is_err() {
            return;
        }
        let registration = self.registered[client].take().expect("it was there");
        for poll in self.polls.iter_mut().filter(|poll| poll.registration == registration) {
            if poll.stage == Stage::InLine {
                poll.look();
                assert_eq!(poll.outcome, Outcome::Refused(Refusal::UnknownClient));
                poll.stage = Stage::Over;
            }
        }
    }

    pub(crate) fn poll(&mut self, client: usize, peer: Peer, after: Option<u64>, create: bool) {
        let now = self.time();
        let owner = self.registered[client].map(|registration| self.readers[registration].owner);
        if create && owner.is_none() {
            self.registered[client] = Some(self.readers.len());
            self.readers.push(Reader::new(peer, now));
        }
        let reader = self.registered[client].map(|registration| &self.readers[registration]);
        let refusal = match reader {
            None => Some(Refusal::UnknownClient),
            Some(reader) if !peer.may_use(reader.owner) => Some(Refusal::NotOwner),
            Some(reader) => reader.refusal(after),
        };
        let registration = self.registered[client].unwrap_or(usize::MAX);
        let ((begun, has_begun), (reply, answer)) = (oneshot::channel(), oneshot::channel());
        let ask = Ask { after, ..Ask::default() };
        let poll = Poll { id: Self::id(client), peer, create, ask, begun, reply };
        self.turns.begin(&mut self.clients, poll, now);
        if create && owner.is_none() {
            self.number(client);
        }
        let mut asked = Asked::new((client, registration), peer, after, has_begun, answer);
        if let Some(refusal) = refusal {
            asked.look();
            assert_eq!(asked.outcome, Outcome::Refused(refusal));
            asked.stage = Stage::Over;
        } else if after.is_some() {
            if let Some(earlier) = self.in_flight(registration) {
                self.supersede(earlier);
            }
            self.readers[registration].begin(after);
            asked.stage = Stage::Waits;
        }
        self.polls.push(asked);
        self.advance();
    }

    fn supersede(&mut self, poll: usize) {
        let poll = &mut self.polls[poll];
        poll.stage = if poll.stage == Stage::OnItsWay {
            Stage::Cut
        } else {
            poll.look();
            let told = Outcome::Refused(Refusal::Superseded);
            assert!(poll.is_left || poll.outcome == told, "{:?}", poll.outcome);
            Stage::Over
        };
    }

    /// Of each client the first in line has begun if nothing of it is in flight.
    fn advance(&mut self) {
        for registration in self.registered.into_iter().flatten() {
            let first = self
                .polls
                .iter()
                .position(|poll| poll.registration == registration && poll.stage == Stage::InLine);
            if let Some(first) = first.filter(|_| self.in_flight(registration).is_none()) {
                self.polls[first].stage = Stage::Waits;
                self.readers[registration].begin(None);
            }
        }
    }

    /// Those that have begun get an answer, or learn that there is none.
    fn pass(&mut self, end: impl Fn(&mut Self, &Ticket, KernelTime)) {
        let now = self.time();
        self.passes.insert(now, self.host.truth.clone());
        for ticket in std::mem::take(&mut self.waiting) {
            end(self, &ticket, now);
        }
        for poll in self.polls.iter_mut().filter(|poll| poll.stage == Stage::Waits) {
            if let Some(delta) = poll.look() {
                self.readers[poll.registration].take(&delta, &self.passes[&delta.to]);
                poll.stage = Stage::OnItsWay;
                continue;
            }
            let is_known = self.registered.contains(&Some(poll.registration));
            let told = match poll.outcome {
                Outcome::Nothing => poll.is_left,
                Outcome::Refused(refusal) => !is_known && refusal == Refusal::UnknownClient,
                Outcome::None => true,
                Outcome::Answer(_) => false,
            };
            assert!(told, "{:?}", poll.outcome);
            poll.stage = Stage::Over;
        }
        self.advance();
    }

    pub(crate) fn resolve(&mut self, poll: usize, delivered: bool) {
        let now = self.time();
        let Asked { ticket, registration, after, stage, .. } = &mut self.polls[poll];
        let ticket = ticket.take().expect("it was answered and not resolved");
        let is_current = *stage == Stage::OnItsWay;
        *stage = Stage::Over;
        if is_current && after.is_none() {
            self.readers[*registration].resolve(delivered);
        }
        self.turns.end(&mut self.clients, &ticket, delivered, now);
        self.advance();
    }

    fn leave(&mut self, poll: usize) {
        let poll = &mut self.polls[poll];
        poll.leave();
        // One that has begun is in flight until somebody looks.
        if poll.stage == Stage::InLine {
            poll.stage = Stage::Over;
        }
    }

    /// Everybody was told what there is to tell, and the clients are as they must be.
    fn check(&mut self) {
        self.polls.iter_mut().for_each(Asked::check);
        for client in 0..CLIENTS {
            let state = self.clients.state(&Self::id(client), Peer::ROOT).ok();
            assert_eq!(state.is_some(), self.registered[client].is_some());
            let (Some(state), Some(registration)) = (state, self.registered[client]) else { continue };
            let of_client = |poll: &&Asked| poll.registration == registration;
            let in_flight = self.polls.iter().filter(of_client).filter(|poll| poll.is_in_flight()).count();
            assert_eq!((in_flight, state.in_flight), (usize::from(state.in_flight), in_flight == 1));
            let Reader { sequence, acknowledged, pending, owner, .. } = &self.readers[registration];
            let expected = (*sequence, *acknowledged, *pending, *owner);
            assert_eq!((state.sequence, state.acknowledged, state.pending, state.owner), expected);
        }
        let answers = self.polls.iter().filter(|poll| matches!(poll.outcome, Outcome::Answer(_)));
        assert_eq!(self.turns.counts().answered, answers.count() as u64, "none was made for nobody");
    }

    /// Everything is read to its end: no poll is left, and who polls again is told what it has not, and then nothing.
    pub(crate) fn settle(&mut self) {
        // With each pass the poll of a client that is in flight ends, and another one begins.
        for _ in 0..=self.polls.len() {
            self.take(Step::Pass);
            for poll in 0..self.polls.len() {
                if matches!(self.polls[poll].stage, Stage::OnItsWay | Stage::Cut) {
                    self.resolve(poll, true);
                }
            }
            self.take(Step::Wait(0));
        }
        let left: Vec<_> = self.polls.iter().filter(|poll| poll.stage != Stage::Over).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!((self.turns.unended(), self.waiting.len()), (0, 0));
        for client in (0..CLIENTS).filter(|client| self.registered[*client].is_some()).collect::<Vec<_>>() {
            let polls = [After::Itself, After::Acknowledged];
            for (number, after) in polls.into_iter().enumerate() {
                self.take(Step::Poll { client, who: Who::Root, after, create: false });
                self.take(Step::Pass);
                let Some(Asked { outcome: Outcome::Answer((_, _, changes)), .. }) = self.polls.last() else {
                    panic!("no answer");
                };
                assert!(number == 0 || changes.is_empty(), "{changes:?}");
                self.take(Step::Resolve { client, place: 0, delivered: true });
            }
        }
        assert_eq!(self.turns.unended(), 0);
    }
}
