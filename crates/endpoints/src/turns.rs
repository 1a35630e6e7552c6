//! Whose turn it is: of the polls of a client one is in flight. One that acknowledges itself waits in line until it
//! is the only one, whoever made the others; one that says what its client has puts an end to the one in flight.
//!
//! The state owns this and calls it, because only the state knows what it does next: [`Turns::next_begun`] are polls
//! that need a pass, and what they are told is the business of `deltas`. How long a poll may wait in line is decided
//! where it was asked: it leaves by dropping its reply.

use std::collections::{HashMap, VecDeque};

use connections::{KernelTime, Table, WallOffset};
use deltas::{Begun, Clients, Health, Refusal, Settings, Ticket};
use tokio::sync::oneshot;

use crate::query::{Poll, PollAnswer, Reply};

/// The polls that have not ended.
#[derive(Debug, Default)]
pub struct Turns {
    /// Those that wait for another of their client, in the order in which they came.
    line: Vec<Poll>,
    in_flight: HashMap<Ticket, Stage>,
    /// Those that have begun and were not taken notice of.
    begun: VecDeque<Ticket>,
    counts: TurnCounts,
}

/// How far a poll in flight has come.
#[derive(Debug)]
enum Stage {
    /// It waits for a pass; the answer goes there.
    Waits(Reply<Result<PollAnswer, Refusal>>),
    /// Its answer is on its way; that may be cut here.
    OnItsWay(oneshot::Sender<()>),
}

/// Totals of what became of polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TurnCounts {
    /// Answers that were made.
    pub answered: u64,
    /// Answers that the other end has read.
    pub delivered: u64,
    /// Answers that it has not read to their end.
    pub rolled_back: u64,
}

/// A pass over the kernel's table, from which polls are answered.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// What is live.
    pub table: &'a Table,
    /// How complete the counting is.
    pub health: Health,
    /// When it began.
    pub at: KernelTime,
    /// Distance of the kernel's clock to the wall clock.
    pub wall: WallOffset,
}

impl Turns {
    /// A poll comes: it begins, waits in line, or is refused.
    pub fn begin(&mut self, clients: &mut Clients, poll: Poll, now: KernelTime) {
        // Whoever has left the line since it moved.
        self.line.retain(|waiting| !waiting.reply.is_closed());
        if poll.create
            && let Err(refusal) = clients.register(&poll.id, poll.peer, Settings::default(), now)
        {
            refuse(poll, refusal);
            return;
        }
        let waits = self.try_begin(clients, poll, now);
        self.line.extend(waits);
    }

    /// The next poll that has begun and needs a pass that begins from now on; each is given once.
    pub fn next_begun(&mut self) -> Option<Ticket> {
        self.begun.pop_front()
    }

    /// A poll that has begun gets its answer, unless it is over.
    pub fn answer(&mut self, clients: &mut Clients, ticket: &Ticket, pass: &Pass<'_>, now: KernelTime) {
        let Some(reply) = self.take_waiting(ticket) else {
            return;
        };
        // Who does not wait any more gets no answer that would have to be taken back.
        if reply.is_closed() {
            self.over(clients, ticket, false, now);
            return;
        }
        let delta = match clients.answer(ticket, pass.table, pass.health, pass.at) {
            Ok(delta) => delta,
            Err(refusal) => {
                self.over(clients, ticket, false, now);
                let _ = reply.send(Err(refusal));
                return;
            }
        };
        self.counts.answered += 1;
        let (cut, superseded) = oneshot::channel();
        let answer = PollAnswer { ticket: ticket.clone(), delta, wall: pass.wall, superseded };
        match reply.send(Ok(answer)) {
            Ok(()) => drop(self.in_flight.insert(ticket.clone(), Stage::OnItsWay(cut))),
            Err(_unsent) => self.end(clients, ticket, false, now),
        }
    }

    /// No pass comes for a poll that has begun: who waits for its answer learns that there is none.
    pub fn give_up(&mut self, clients: &mut Clients, ticket: &Ticket, now: KernelTime) {
        if self.take_waiting(ticket).is_some() {
            self.over(clients, ticket, false, now);
        }
    }

    /// The fate of an answer is known.
    pub fn end(&mut self, clients: &mut Clients, ticket: &Ticket, delivered: bool, now: KernelTime) {
        if delivered {
            self.counts.delivered += 1;
        } else {
            self.counts.rolled_back += 1;
        }
        self.in_flight.remove(ticket);
        self.over(clients, ticket, delivered, now);
    }

    /// Lets those in line begin that can: after a client was removed.
    pub fn advance(&mut self, clients: &mut Clients, now: KernelTime) {
        for poll in std::mem::take(&mut self.line) {
            let waits = self.try_begin(clients, poll, now);
            self.line.extend(waits);
        }
    }

    /// True while this poll waits for a pass.
    #[must_use]
    pub fn waits(&self, ticket: &Ticket) -> bool {
        matches!(self.in_flight.get(ticket), Some(Stage::Waits(_)))
    }

    /// Polls that have not ended: in line, or in flight and not superseded.
    #[must_use]
    pub fn unended(&self) -> usize {
        self.line.len() + self.in_flight.len()
    }

    /// What became of polls so far.
    #[must_use]
    pub fn counts(&self) -> TurnCounts {
        self.counts
    }

    /// Gives the poll back if it has to wait.
    fn try_begin(&mut self, clients: &mut Clients, poll: Poll, now: KernelTime) -> Option<Poll> {
        if poll.reply.is_closed() {
            return None;
        }
        match clients.begin(&poll.id, poll.peer, poll.ask, now) {
            Err(Refusal::Busy) => return Some(poll),
            Err(refusal) => refuse(poll, refusal),
            Ok(Begun { ticket, superseded }) => {
                if let Some(superseded) = superseded {
                    self.supersede(clients, &superseded, now);
                }
                let Poll { begun, reply, .. } = poll;
                // Only those that can wait in line listen for it.
                let _ = begun.send(());
                self.in_flight.insert(ticket.clone(), Stage::Waits(reply));
                self.begun.push_back(ticket);
            }
        }
        None
    }

    fn supersede(&mut self, clients: &mut Clients, ticket: &Ticket, now: KernelTime) {
        match self.in_flight.remove(ticket) {
            Some(Stage::Waits(reply)) => {
                clients.end(ticket, false, now);
                let _ = reply.send(Err(Refusal::Superseded));
            }
            // Who sends it tells of its end then.
            Some(Stage::OnItsWay(cut)) => drop(cut.send(())),
            None => {}
        }
    }

    fn take_waiting(&mut self, ticket: &Ticket) -> Option<Reply<Result<PollAnswer, Refusal>>> {
        if !self.waits(ticket) {
            return None;
        }
        match self.in_flight.remove(ticket)? {
            Stage::Waits(reply) => Some(reply),
            Stage::OnItsWay(_) => None,
        }
    }

    fn over(&mut self, clients: &mut Clients, ticket: &Ticket, delivered: bool, now: KernelTime) {
        clients.end(ticket, delivered, now);
        self.advance(clients, now);
    }
}

fn refuse(poll: Poll, refusal: Refusal) {
    let Poll { begun, reply, .. } = poll;
    // Nobody listens any more when the client went away.
    let _ = reply.send(Err(refusal));
    let _ = begun.send(());
}

#[cfg(test)]
mod tests {
    use deltas::{Ask, ClientId, ClientLimits, Peer};

    use super::*;

    fn poll() -> (Poll, oneshot::Receiver<Result<PollAnswer, Refusal>>) {
        let ((begun, _), (reply, answer)) = (oneshot::channel(), oneshot::channel());
        let id = ClientId::parse("a").expect("a valid id");
        (Poll { id, peer: Peer::ROOT, create: true, ask: Ask::default(), begun, reply }, answer)
    }

    #[test]
    fn who_has_left_the_line_takes_no_room_in_it() {
        let now = KernelTime(0);
        let (mut turns, mut clients) = (Turns::default(), Clients::new(ClientLimits::default(), now));
        let (first, _answer) = poll();
        turns.begin(&mut clients, first, now);
        for _ in 0..100 {
            let (leaver, answer) = poll();
            turns.begin(&mut clients, leaver, now);
            assert_eq!(turns.line.len(), 1);
            drop(answer);
        }
    }

    #[test]
    fn a_poll_that_is_over_leaves_nothing_behind() {
        let now = KernelTime(0);
        let (mut turns, mut clients) = (Turns::default(), Clients::new(ClientLimits::default(), now));
        let (first, answer) = poll();
        turns.begin(&mut clients, first, now);
        let ticket = turns.next_begun().expect("it has begun");
        assert!(turns.next_begun().is_none() && turns.waits(&ticket));
        turns.give_up(&mut clients, &ticket, now);
        assert!(answer.blocking_recv().is_err(), "there is no answer");
        turns.end(&mut clients, &ticket, true, now);
        assert!(turns.in_flight.is_empty() && turns.line.is_empty());
        assert!(clients.list().iter().all(|client| !client.in_flight));
    }
}
