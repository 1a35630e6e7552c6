//! The registered clients: registration, removal, expiry, and the closed log that they share. Their polls are in
//! `polls`.

use std::collections::HashMap;

use connections::{Closed, KernelTime, Lookup, Loss, Remembered, RollUp, Table};
use foldhash::fast::RandomState;

use crate::baseline::{Baseline, Ends};
use crate::client::Client;
use crate::client_id::{ClientId, ClientKey, Peer};
use crate::ended::Ended;
use crate::in_flight::InFlight;
use crate::looked_up::LookedUp;
use crate::refusal::Refusal;
use crate::registration::{ClientState, Registration, Settings};

/// Bounds on clients and on what is kept for them.
#[derive(Debug, Clone, Copy)]
pub struct ClientLimits {
    /// Clients in all.
    pub clients: usize,
    /// Clients of one user other than root.
    pub clients_per_user: usize,
    /// Closed connections kept one by one until every client has been told; beyond, they are rolled up.
    pub closed_records: usize,
    /// Roll-ups kept until every client has been told, of the process and of the kernel side so many each; beyond, the oldest
    /// are lost. With 0 what is closed and has no room is lost at once.
    pub rollups: usize,
    /// Sums of lookups of names (by connection, name and type of query) kept until every client has been told; beyond, the
    /// oldest are lost. At least one.
    pub lookups: usize,
    /// Bytes of all answers that are being encoded and sent. One is possible however large it is.
    pub answer_bytes: usize,
    /// A client expires when nothing was heard from it for this long, in nanoseconds, unless it asked for another
    /// time.
    pub ttl_ns: u64,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            clients: 64,
            clients_per_user: 16,
            closed_records: 131_072,
            rollups: 65_536,
            lookups: 32_768,
            answer_bytes: 256 << 20,
            ttl_ns: 120_000_000_000,
        }
    }
}

/// All clients.
#[derive(Debug)]
pub struct Clients {
    pub(crate) clients: HashMap<ClientKey, Client, RandomState>,
    pub(crate) ended: Ended,
    pub(crate) looked_up: LookedUp,
    pub(crate) in_flight: InFlight,
    limits: ClientLimits,
    began_at: KernelTime,
    generation: u64,
    /// The largest number that an answer has had.
    pub(crate) newest: u64,
    expired: u64,
    refused: u64,
    rolled_up: u64,
    given_up: Loss,
    lookups_lost: u64,
}

impl Clients {
    /// No clients; tracing began at `began_at`.
    #[must_use]
    pub fn new(limits: ClientLimits, began_at: KernelTime) -> Self {
        Self {
            clients: HashMap::default(),
            ended: Ended::new(limits.closed_records, limits.rollups),
            looked_up: LookedUp::new(limits.lookups),
            in_flight: InFlight::new(limits.answer_bytes),
            limits,
            began_at,
            generation: 0,
            newest: 0,
            expired: 0,
            refused: 0,
            rolled_up: 0,
            given_up: Loss::default(),
            lookups_lost: 0,
        }
    }

    /// Gives answers numbers above this one: those of an earlier run of the tracer, which a client may still have, are then
    /// none of this run.
    #[must_use]
    pub fn numbered_above(self, sequence: u64) -> Self {
        Self { newest: sequence, ..self }
    }

    /// When tracing began.
    pub(crate) fn began_at(&self) -> KernelTime {
        self.began_at
    }

    /// Registers a client, or puts off the expiry of a known one; either way with these settings.
    ///
    /// # Errors
    /// [`Refusal::NotOwner`] when it belongs to another user; `TooMany…` when a limit is reached: no other
    /// client is expired to make room.
    pub fn register(
        &mut self,
        id: &ClientId,
        peer: Peer,
        settings: Settings,
        now: KernelTime,
    ) -> Result<Registration, Refusal> {
        self.expire(now);
        let key = ClientKey::new(id, peer);
        if let Some(client) = self.clients.get_mut(&key) {
            allow(peer, client)?;
            client.heard_at = now;
            client.set(settings);
            return Ok(Registration::Known);
        }
        self.room_for(peer).inspect_err(|_| self.refused += 1)?;
        self.generation += 1;
        // What ends from now on is to be told, and nothing before.
        let start = Baseline::empty(self.began_at, Ends::of(&self.ended, &self.looked_up));
        self.looked_up.seal();
        let mut client = Client::new(peer, self.generation, self.limits.ttl_ns, now, start);
        // An answer to an earlier registration has another number than all of this one.
        client.sequence = self.newest;
        client.set(settings);
        self.clients.insert(key, client);
        Ok(Registration::New)
    }

    /// Removes a client and what was kept for it. A poll in flight is void.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`] or [`Refusal::NotOwner`].
    pub fn remove(&mut self, id: &ClientId, peer: Peer, now: KernelTime) -> Result<(), Refusal> {
        self.expire(now);
        let key = ClientKey::new(id, peer);
        allow(peer, self.clients.get(&key).ok_or(Refusal::UnknownClient)?)?;
        self.clients.remove(&key);
        self.trim();
        Ok(())
    }

    /// Keeps a closed connection until every client has been told of it. At the limit the oldest is added up with
    /// others that differ only in the ephemeral port, and beyond the limit of those it is lost, for the clients that were
    /// not told of it.
    pub fn keep_closed(&mut self, closed: Closed) {
        if self.clients.is_empty() {
            return;
        }
        if let Some((position, oldest)) = self.ended.make_room() {
            self.roll_up(position, &oldest);
        }
        self.ended.closed.append(closed);
    }

    /// Adds a closed connection up with others, for the clients that were not told of it.
    fn roll_up(&mut self, position: u64, closed: &Closed) {
        if self.clients.values().any(|client| client.reads_from(position)) {
            self.ended.seal();
        }
        let merged = self.ended.merge(position, closed).or_else(|| {
            self.give_up_merged();
            self.ended.merge(position, closed)
        });
        let untold = self.clients.values_mut().filter_map(|client| match merged {
            Some(merged) => client.note_rolled_up(position, merged, closed),
            None => client.note_lost(position, closed),
        });
        let most = untold.max();
        match merged {
            Some(_) => self.rolled_up += 1,
            None => self.given_up.add(most.unwrap_or(0)),
        }
    }

    /// Keeps a roll-up of the kernel side until every client has been told of it.
    pub fn keep_rolled_up(&mut self, rollup: RollUp) {
        if self.clients.is_empty() {
            return;
        }
        if let Some((position, oldest)) = self.ended.make_room_of_kernel() {
            let (connections, bytes) = (oldest.connections, oldest.total.payload_bytes());
            self.given_up = self.given_up.plus(Loss { connections, bytes });
            self.clients.values_mut().for_each(|client| client.note_lost_of_kernel(position, &oldest));
        }
        self.ended.of_kernel.append(rollup);
    }

    /// Keeps what came of a lookup until every client has been told. At the limit the oldest are lost to the clients that
    /// were not told of them.
    pub fn keep_lookup(&mut self, lookup: &Lookup) {
        if self.clients.is_empty() {
            return;
        }
        if let Some((position, lookups)) = self.looked_up.keep(lookup) {
            self.lookups_lost += lookups;
            self.clients.values_mut().for_each(|client| client.note_lost_lookups(position, lookups));
        }
    }

    /// Makes room for another roll-up; the oldest is lost to the clients that were not told of it.
    fn give_up_merged(&mut self) {
        let Some((position, oldest)) = self.ended.give_up_merged() else {
            return;
        };
        let untold =
            self.clients.values_mut().filter_map(|client| client.note_lost_merged(position, &oldest));
        let (connections, bytes) = (oldest.rollup.connections, untold.max().unwrap_or(0));
        self.given_up = self.given_up.plus(Loss { connections, bytes });
    }

    /// Removes the clients from which nothing was heard for their time to live.
    pub fn expire(&mut self, now: KernelTime) {
        let before = self.clients.len();
        self.clients.retain(|_, client| !client.expired(now));
        let expired = before - self.clients.len();
        if expired > 0 {
            self.expired += expired as u64;
            self.trim();
        }
    }

    /// All clients, in the order of their ids.
    #[must_use]
    pub fn list(&self) -> Vec<ClientState> {
        let mut entries: Vec<_> = self.clients.iter().collect();
        entries.sort_by_key(|(key, _)| *key);
        entries.into_iter().map(|(key, client)| client.describe(key, &self.ended)).collect()
    }

    /// The clients of this user, or all of them for root, in the order of their ids.
    #[must_use]
    pub fn list_for(&self, peer: Peer) -> Vec<ClientState> {
        let mut states = self.list();
        states.retain(|state| peer.may_use(state.owner));
        states
    }

    /// One client.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`] or [`Refusal::NotOwner`].
    pub fn state(&self, id: &ClientId, peer: Peer) -> Result<ClientState, Refusal> {
        let key = ClientKey::new(id, peer);
        let client = self.clients.get(&key).ok_or(Refusal::UnknownClient)?;
        allow(peer, client)?;
        Ok(client.describe(&key, &self.ended))
    }

    /// What one client was told of the connections that live, by the newest answer that it is known to have.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`] or [`Refusal::NotOwner`].
    pub fn remembered(&self, id: &ClientId, peer: Peer, table: &Table) -> Result<Remembered, Refusal> {
        let client = self.clients.get(&ClientKey::new(id, peer)).ok_or(Refusal::UnknownClient)?;
        allow(peer, client)?;
        Ok(table.remembered(&client.baseline.told))
    }

    /// Closed connections kept for clients.
    #[must_use]
    pub fn closed_kept(&self) -> usize {
        self.ended.closed.len()
    }

    /// Clients that expired since tracing began.
    #[must_use]
    pub fn expired_count(&self) -> u64 {
        self.expired
    }

    /// Sums of lookups kept for clients.
    #[must_use]
    pub fn lookups_kept(&self) -> usize {
        self.looked_up.len()
    }

    /// Lookups of which it was not told what came of them, because too many were kept, since tracing began.
    #[must_use]
    pub fn lookups_lost(&self) -> u64 {
        self.lookups_lost
    }

    /// Registrations refused because a limit was reached, since tracing began.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.refused
    }

    /// Roll-ups kept for clients.
    #[must_use]
    pub fn rollups_kept(&self) -> usize {
        self.ended.rollups_kept()
    }

    /// Closed connections that were added up with others because the log was full, since tracing began.
    #[must_use]
    pub fn rolled_up_count(&self) -> u64 {
        self.rolled_up
    }

    /// Bytes of the answers that are being encoded and sent, as counted for their limit.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        self.in_flight.bytes()
    }

    /// Closed connections for which there was no room, not even in a roll-up, since tracing began. Of the bytes of each,
    /// as many as the client missed that was told least; an answer on its way counts as lost.
    #[must_use]
    pub fn given_up(&self) -> Loss {
        self.given_up
    }

    fn room_for(&self, peer: Peer) -> Result<(), Refusal> {
        if self.clients.len() >= self.limits.clients {
            return Err(Refusal::TooManyClients { limit: self.limits.clients });
        }
        let of_user = self.clients.values().filter(|client| client.owner == peer).count();
        if peer != Peer::ROOT && of_user >= self.limits.clients_per_user {
            return Err(Refusal::TooManyClientsOfUser { limit: self.limits.clients_per_user });
        }
        Ok(())
    }

    pub(crate) fn trim(&mut self) {
        let baselines = || self.clients.values().map(|client| &client.baseline);
        let closed = baselines().map(|baseline| baseline.closed).min();
        let roll_ups = baselines().map(|baseline| baseline.of_kernel).min();
        let lookups = baselines().map(|baseline| baseline.lookups).min();
        self.looked_up.trim(lookups.unwrap_or(u64::MAX));
        self.ended.trim(closed.unwrap_or(u64::MAX), roll_ups.unwrap_or(u64::MAX));
    }
}

pub(crate) fn allow(peer: Peer, client: &Client) -> Result<(), Refusal> {
    if peer.may_use(client.owner) { Ok(()) } else { Err(Refusal::NotOwner) }
}
