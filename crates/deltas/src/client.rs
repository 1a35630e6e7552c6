//! One client: its baselines and its pending answer.

use std::collections::HashMap;

use connections::{Audit, Connection, ConnectionId, KernelTime, Loss, News, RollUp, Table};
use foldhash::fast::RandomState;

use crate::client_id::Peer;
use crate::closed_log::{ClosedLog, Ended};
use crate::delta::{Change, Coverage, Health};
use crate::polls::Flight;
use crate::registration::View;

/// A registered client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) owner: Peer,
    /// Tells registrations under one id apart.
    pub(crate) generation: u64,
    pub(crate) ttl_ns: u64,
    /// How it wants closed connections told.
    pub(crate) view: View,
    pub(crate) heard_at: KernelTime,
    /// How many polls it has begun.
    pub(crate) polls: u64,
    /// The one that has not ended.
    pub(crate) in_flight: Option<Flight>,
    /// Number of the last answer made.
    pub(crate) sequence: u64,
    pub(crate) baseline: Baseline,
    pub(crate) pending: Option<Pending>,
    /// What this client lost because the closed log was full.
    pub(crate) lost_in_log: Loss,
    /// Counters that went backwards in its deltas.
    pub(crate) anomalies: u64,
}

/// What the client is known to have.
#[derive(Debug)]
pub(crate) struct Baseline {
    /// Number of the acknowledged answer.
    pub(crate) sequence: u64,
    /// End of the acknowledged answer.
    pub(crate) to: KernelTime,
    pub(crate) health: Health,
    /// Position in the closed log of the first connection that was not told.
    pub(crate) closed_position: u64,
    /// How many changes of live connections it knows of.
    changes: u64,
    /// What was told of each live connection: 96 bytes.
    told: HashMap<ConnectionId, News, RandomState>,
}

/// An answer that was made and whose fate is not known yet.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) sequence: u64,
    to: KernelTime,
    health: Health,
    closed_position: u64,
    changes: u64,
    live: HashMap<ConnectionId, News, RandomState>,
    closed: Vec<ConnectionId>,
    /// What left the log meanwhile, and is lost if this answer arrives.
    lost_if_delivered: Loss,
    /// What left the log meanwhile, and is lost if this answer does not arrive.
    lost_if_undelivered: Loss,
}

/// An answer in the making: what to tell, and its coverage.
pub(crate) struct Answer {
    pub(crate) changes: Vec<Change>,
    pub(crate) roll_ups: Vec<(u64, RollUp)>,
    pub(crate) coverage: Coverage,
}

impl Client {
    pub(crate) fn new(owner: Peer, generation: u64, ttl_ns: u64, now: KernelTime, start: Baseline) -> Self {
        Self {
            owner,
            generation,
            ttl_ns,
            view: View::default(),
            heard_at: now,
            polls: 0,
            in_flight: None,
            sequence: 0,
            baseline: start,
            pending: None,
            lost_in_log: Loss::default(),
            anomalies: 0,
        }
    }

    /// True when nothing was heard for the time to live and no poll is in flight.
    pub(crate) fn expired(&self, now: KernelTime) -> bool {
        self.in_flight.is_none() && now.nanoseconds_since(self.heard_at) > self.ttl_ns
    }

    /// How many baselines are kept.
    pub(crate) fn told_count(&self) -> usize {
        self.baseline.told.len()
    }

    /// Builds the next answer from the acknowledged baseline and makes it pending.
    pub(crate) fn answer(
        &mut self,
        table: &Table,
        log: &ClosedLog,
        to: KernelTime,
        mut health: Health,
    ) -> Answer {
        health.losses.closed_log_full = self.lost_in_log;
        self.sequence += 1;
        let mut changes = Vec::new();
        let mut live = HashMap::default();
        for connection in table.changed_since(self.baseline.changes) {
            let told = connection.news();
            let before = self.baseline.told.get(&connection.id);
            if before != Some(&told) {
                changes.push(change(connection, before, &mut self.anomalies));
                live.insert(connection.id, told);
            }
        }
        let mut closed = Vec::new();
        let mut roll_ups = Vec::new();
        for (position, ended) in log.from(self.baseline.closed_position) {
            let connection = match ended {
                Ended::One(connection) => connection,
                Ended::Several(rollup) => {
                    roll_ups.push((position, rollup.clone()));
                    continue;
                }
            };
            let before = self.baseline.told.get(&connection.id);
            closed.extend(before.is_some().then_some(connection.id));
            changes.push(change(connection, before, &mut self.anomalies));
        }
        health.anomalies = health.anomalies.saturating_add(self.anomalies);
        let coverage = health.since(&self.baseline.health, to.nanoseconds_since(self.baseline.to));
        self.pending = Some(Pending {
            sequence: self.sequence,
            to,
            health,
            closed_position: log.end(),
            changes: table.changes(),
            live,
            closed,
            lost_if_delivered: Loss::default(),
            lost_if_undelivered: Loss::default(),
        });
        Answer { changes, roll_ups, coverage }
    }

    /// The pending answer arrived: it becomes the baseline.
    pub(crate) fn acknowledge(&mut self) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let baseline = &mut self.baseline;
        baseline.sequence = pending.sequence;
        baseline.to = pending.to;
        baseline.health = pending.health;
        baseline.closed_position = baseline.closed_position.max(pending.closed_position);
        baseline.changes = pending.changes;
        baseline.told.extend(pending.live);
        for id in pending.closed {
            baseline.told.remove(&id);
        }
        if baseline.told.capacity() > 1024 && baseline.told.len() < baseline.told.capacity() / 4 {
            baseline.told.shrink_to(baseline.told.len() * 2);
        }
        self.lost_in_log = self.lost_in_log.plus(pending.lost_if_delivered);
    }

    /// The pending answer was lost: the next one starts from the same baseline.
    pub(crate) fn roll_back(&mut self) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.lost_in_log = self.lost_in_log.plus(pending.lost_if_undelivered);
    }

    /// What is at `position` leaves the log; this client has not acknowledged it. What of it is lost depends on
    /// the fate of the pending answer, which may have told it live, or closed. Gives the bytes of it that no
    /// acknowledged answer told.
    pub(crate) fn give_up(&mut self, position: u64, ended: &Ended) -> u64 {
        self.baseline.closed_position = position + 1;
        let told = self.baseline.told_of(ended);
        let untold = untold(ended, told.as_ref());
        let Some(pending) = &mut self.pending else {
            self.lost_in_log = self.lost_in_log.plus(untold);
            return untold.bytes;
        };
        pending.lost_if_undelivered = pending.lost_if_undelivered.plus(untold);
        if position >= pending.closed_position {
            let told = pending.told_of(ended).or(told);
            pending.lost_if_delivered = pending.lost_if_delivered.plus(self::untold(ended, told.as_ref()));
        }
        untold.bytes
    }
}

impl Pending {
    /// Takes out what it told of a connection that has ended.
    fn told_of(&mut self, ended: &Ended) -> Option<News> {
        match ended {
            Ended::One(connection) => self.live.remove(&connection.id),
            Ended::Several(_) => None,
        }
    }
}

impl Baseline {
    /// The baseline of a client that was told nothing: live connections count from the start of tracing,
    /// closed ones from now on.
    pub(crate) fn empty(began_at: KernelTime, closed_position: u64) -> Self {
        Self {
            sequence: 0,
            to: began_at,
            health: Health::default(),
            closed_position,
            changes: 0,
            told: HashMap::default(),
        }
    }

    /// Takes out what was told of a connection that has ended.
    fn told_of(&mut self, ended: &Ended) -> Option<News> {
        match ended {
            Ended::One(connection) => self.told.remove(&connection.id),
            Ended::Several(_) => None,
        }
    }
}

impl Health {
    fn since(&self, earlier: &Self, interval_ns: u64) -> Coverage {
        Coverage {
            interval_ns,
            losses: self.losses.since(&earlier.losses),
            untracked: self.untracked.saturating_sub(earlier.untracked).saturating_add(self.untracked_now),
            rolled_up: self.rolled_up.saturating_sub(earlier.rolled_up),
            anomalies: self.anomalies.saturating_sub(earlier.anomalies),
            not_counted: not_counted(self.audit).saturating_sub(not_counted(earlier.audit)),
            audit: self.audit,
        }
    }
}

fn not_counted(audit: Option<Audit>) -> u64 {
    audit.map_or(0, |audit| audit.not_counted())
}

fn untold(ended: &Ended, told: Option<&News>) -> Loss {
    let amount = ended.amount();
    let told = told.map(|told| told.total.payload_bytes());
    Loss { bytes: amount.bytes.saturating_sub(told.unwrap_or(0)), ..amount }
}

fn change(connection: &Connection, before: Option<&News>, anomalies: &mut u64) -> Change {
    let told = before.map(|told| told.total).unwrap_or_default();
    let (delta, backwards) = connection.total.since(told);
    *anomalies = anomalies.saturating_add(backwards);
    Change { connection: *connection, delta }
}
