//! The polls of the clients: how one begins, is answered, and ends. What an answer tells is in `client`.
//!
//! Of one client one poll is in flight. A poll without `after` acknowledges itself when it was delivered; one with
//! `after` says what the client has, and its own answer stays pending until a later poll says so or does not.

use connections::{KernelTime, Table};

use crate::client::{Answer, Client};
use crate::client_id::{ClientId, ClientKey, Peer};
use crate::clients::{Clients, allow};
use crate::delta::{Delta, Health};
use crate::refusal::Refusal;
use crate::registration::View;

/// What a poll says beside the client that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ask {
    /// Number of the answer that the client has, of which it acknowledges all; absent for a poll that acknowledges
    /// itself.
    pub after: Option<u64>,
    /// How closed connections are told in this answer; absent for as the client is registered.
    pub view: Option<View>,
}

/// Names one poll of one registration, until its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ticket {
    key: ClientKey,
    generation: u64,
    number: u64,
}

/// A poll that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Names it. Exactly one [`Clients::end`] has to follow.
    pub ticket: Ticket,
    /// The poll that this one has put an end to: its ticket is void.
    pub superseded: Option<Ticket>,
}

/// The poll of a client that has begun and not ended.
#[derive(Debug)]
pub(crate) struct Flight {
    number: u64,
    acknowledges_itself: bool,
    view: View,
}

impl Clients {
    /// Begins a poll, and counts as hearing from the client.
    ///
    /// Without `after` it drops an answer that is pending. With `after` it acknowledges that one or drops it, and
    /// puts an end to the poll in flight, if there is one.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`]; [`Refusal::NotOwner`]; [`Refusal::Busy`] without `after`, while another poll of
    /// the client is in flight; [`Refusal::OutOfSequence`] when `after` is neither the pending answer nor the
    /// acknowledged one.
    pub fn begin(&mut self, id: &ClientId, peer: Peer, ask: Ask, now: KernelTime) -> Result<Begun, Refusal> {
        self.expire(now);
        let key = ClientKey::new(id, peer);
        let client = self.clients.get_mut(&key).ok_or(Refusal::UnknownClient)?;
        allow(peer, client)?;
        let pending = client.pending.as_ref().map(|pending| pending.sequence);
        match ask.after {
            None if client.in_flight.is_some() => return Err(Refusal::Busy),
            Some(after) if Some(after) == pending => client.acknowledge(),
            Some(after) if after != client.baseline.sequence => {
                return Err(Refusal::OutOfSequence { acknowledged: client.baseline.sequence, pending });
            }
            _ => client.roll_back(),
        }
        client.heard_at = now;
        client.polls += 1;
        let flight = Flight {
            number: client.polls,
            acknowledges_itself: ask.after.is_none(),
            view: ask.view.unwrap_or(client.view),
        };
        let ticket = |number| Ticket { key: key.clone(), generation: client.generation, number };
        let begun = Begun {
            ticket: ticket(flight.number),
            superseded: client.in_flight.as_ref().map(|flight| ticket(flight.number)),
        };
        client.in_flight = Some(flight);
        self.trim();
        Ok(begun)
    }

    /// Answers a poll from the table as of a pass that began at `to`. The answer is pending from now on.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`] when the registration is gone, [`Refusal::Superseded`] when the poll is no longer
    /// in flight, [`Refusal::AnswersTooLarge`] when the answers on their way leave no room for this one.
    pub fn answer(
        &mut self,
        ticket: &Ticket,
        table: &Table,
        health: Health,
        to: KernelTime,
    ) -> Result<Delta, Refusal> {
        let client = self.clients.get_mut(&ticket.key).ok_or(Refusal::UnknownClient)?;
        if client.generation != ticket.generation {
            return Err(Refusal::UnknownClient);
        }
        let flight = client.in_flight.as_ref().filter(|flight| flight.number == ticket.number);
        let view = flight.ok_or(Refusal::Superseded)?.view;
        // There is one only if this poll was answered before.
        client.roll_back();
        let kept = (&self.ended, &self.looked_up);
        let Answer { changes, roll_ups, lookups, coverage, baseline } =
            client.answer(table, kept, to, health);
        let own = changes.own_bytes() + if view == View::Ports { changes.view_bytes() } else { 0 };
        let shared = changes.shared_bytes() + roll_ups.shared_bytes() + lookups.shared_bytes();
        let share = self.in_flight.take(own, table.moment(), shared).ok_or(Refusal::AnswersTooLarge)?;
        client.send(baseline);
        self.looked_up.seal();
        self.newest = self.newest.max(client.sequence);
        Ok(Delta {
            client: ticket.key.id().clone(),
            sequence: client.sequence,
            acknowledged: client.baseline.sequence,
            from: client.baseline.to,
            to,
            view,
            coverage,
            changes,
            roll_ups,
            lookups,
            share,
        })
    }

    /// The poll is over, answered or not. If it acknowledges itself, its answer is acknowledged when it was
    /// `delivered`, and dropped otherwise; else its answer stays pending. Counts as hearing from the client. Does
    /// nothing when the poll is no longer in flight.
    pub fn end(&mut self, ticket: &Ticket, delivered: bool, now: KernelTime) {
        let Some(client) = self.clients.get_mut(&ticket.key) else {
            return;
        };
        let Some(flight) = client.land(ticket) else {
            return;
        };
        client.heard_at = now;
        match (flight.acknowledges_itself, delivered) {
            (true, true) => client.acknowledge(),
            (true, false) => client.roll_back(),
            (false, _) => return,
        }
        self.trim();
    }
}

impl Client {
    /// Takes out the poll in flight, if it is the one of the ticket.
    fn land(&mut self, ticket: &Ticket) -> Option<Flight> {
        let of_this_registration = self.generation == ticket.generation;
        self.in_flight.take_if(|flight| of_this_registration && flight.number == ticket.number)
    }
}
