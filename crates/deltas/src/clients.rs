//! The registered clients: registration, removal, expiry, and the closed log that they share. Their polls are in
//! `polls`.

use std::collections::HashMap;

use connections::{Connection, KernelTime, Loss, RollUp};
use foldhash::fast::RandomState;

use crate::client::{Baseline, Client};
use crate::client_id::{ClientId, ClientKey, Peer};
use crate::closed_log::{ClosedLog, Ended};
use crate::refusal::Refusal;
use crate::registration::{ClientState, Registration, Settings};

/// Bounds on clients and on what is kept for them.
#[derive(Debug, Clone, Copy)]
pub struct ClientLimits {
    /// Clients in all.
    pub clients: usize,
    /// Clients of one user other than root.
    pub clients_per_user: usize,
    /// Closed connections kept until every client has been told.
    pub closed_records: usize,
    /// A client expires when nothing was heard from it for this long, in nanoseconds, unless it asked for another
    /// time.
    pub ttl_ns: u64,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { clients: 64, clients_per_user: 16, closed_records: 131_072, ttl_ns: 120_000_000_000 }
    }
}

/// All clients.
#[derive(Debug)]
pub struct Clients {
    pub(crate) clients: HashMap<ClientKey, Client, RandomState>,
    pub(crate) log: ClosedLog,
    limits: ClientLimits,
    began_at: KernelTime,
    generation: u64,
    expired: u64,
    refused: u64,
    given_up: Loss,
}

impl Clients {
    /// No clients; tracing began at `began_at`.
    #[must_use]
    pub fn new(limits: ClientLimits, began_at: KernelTime) -> Self {
        Self {
            clients: HashMap::default(),
            log: ClosedLog::default(),
            limits,
            began_at,
            generation: 0,
            expired: 0,
            refused: 0,
            given_up: Loss::default(),
        }
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
        let start = Baseline::empty(self.began_at, self.log.end());
        let mut client = Client::new(peer, self.generation, self.limits.ttl_ns, now, start);
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

    /// Keeps a closed connection until every client has been told of it. At the limit the oldest record is
    /// given up, and counted as lost for each client that was not told.
    pub fn keep_closed(&mut self, connection: Connection) {
        self.keep(Ended::One(connection));
    }

    /// Keeps a roll-up, as one record, until every client has been told of it.
    pub fn keep_rolled_up(&mut self, rollup: RollUp) {
        self.keep(Ended::Several(rollup));
    }

    fn keep(&mut self, ended: Ended) {
        if self.clients.is_empty() {
            return;
        }
        if self.log.len() >= self.limits.closed_records {
            self.give_up_oldest();
        }
        self.log.append(ended);
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
        entries.into_iter().map(|(key, client)| client.describe(key, self.log.end())).collect()
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
        Ok(client.describe(&key, self.log.end()))
    }

    /// Closed connections kept for clients.
    #[must_use]
    pub fn closed_kept(&self) -> usize {
        self.log.len()
    }

    /// Clients that expired since tracing began.
    #[must_use]
    pub fn expired_count(&self) -> u64 {
        self.expired
    }

    /// Registrations refused because a limit was reached, since tracing began.
    #[must_use]
    pub fn refused_count(&self) -> u64 {
        self.refused
    }

    /// Closed connections that left the full log before every client had been told, since tracing began. Of the
    /// bytes of each, as many as the client missed that was told least; an answer on its way counts as lost.
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

    fn give_up_oldest(&mut self) {
        let Some((position, ended)) = self.log.remove_oldest() else {
            return;
        };
        let behind = self.clients.values_mut().filter(|client| client.baseline.closed_position <= position);
        let most = behind.map(|client| client.give_up(position, &ended)).max();
        let connections = ended.amount().connections;
        self.given_up = self.given_up.plus(Loss { connections, bytes: most.unwrap_or_default() });
    }

    pub(crate) fn trim(&mut self) {
        let end = self.log.end();
        let told_to_all = self.clients.values().map(|client| client.baseline.closed_position).min();
        self.log.trim(told_to_all.unwrap_or(end));
    }
}

pub(crate) fn allow(peer: Peer, client: &Client) -> Result<(), Refusal> {
    if peer.may_use(client.owner) { Ok(()) } else { Err(Refusal::NotOwner) }
}
