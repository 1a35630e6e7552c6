//! One client: what it has, and the answer that is on its way to it. Its polls are in `polls`.

use std::sync::Arc;

use connections::{Closed, KernelTime, RollUp, Table};

use crate::baseline::{Baseline, Ends};
use crate::changes::Changes;
use crate::client_id::Peer;
use crate::delta::{Coverage, Health};
use crate::ended::{Ended, Merged};
use crate::looked_up::{LookedUp, Lookups};
use crate::polls::Flight;
use crate::registration::View;
use crate::roll_ups::RollUps;

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
    /// What it is known to have.
    pub(crate) baseline: Baseline,
    /// What it has if the answer arrives of which that is not known yet.
    pub(crate) pending: Option<Baseline>,
}

/// An answer in the making: what to tell, and its coverage.
pub(crate) struct Answer {
    pub(crate) changes: Changes,
    pub(crate) roll_ups: RollUps,
    pub(crate) lookups: Lookups,
    pub(crate) coverage: Coverage,
    /// What the client has when it arrives.
    pub(crate) baseline: Baseline,
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
        }
    }

    /// True when nothing was heard for the time to live and no poll is in flight.
    pub(crate) fn expired(&self, now: KernelTime) -> bool {
        self.in_flight.is_none() && now.nanoseconds_since(self.heard_at) > self.ttl_ns
    }

    /// Builds the next answer from the acknowledged baseline.
    pub(crate) fn answer(
        &self,
        table: &Table,
        (ended, looked_up): (&Ended, &LookedUp),
        to: KernelTime,
        health: Health,
    ) -> Answer {
        let baseline = &self.baseline;
        let news = table.news_since(&baseline.told);
        let closed = ended.closed.from(baseline.closed);
        let merged = ended.merged_from(baseline.closed);
        let of_kernel = ended.of_kernel.from(baseline.of_kernel);
        let roll_ups = RollUps::new(merged, Arc::clone(&baseline.offsets), of_kernel);
        let mut coverage = baseline.coverage(&health, to);
        coverage.rolled_up += roll_ups.merged_connections();
        let mut arrived = Baseline::empty(to, Ends::of(ended, looked_up));
        (arrived.sequence, arrived.health, arrived.told) = (self.sequence + 1, health, table.told());
        let changes = Changes::new(news, closed, &baseline.told);
        let lookups = looked_up.from(baseline.lookups);
        Answer { changes, roll_ups, lookups, coverage, baseline: arrived }
    }

    /// The answer is on its way.
    pub(crate) fn send(&mut self, baseline: Baseline) {
        self.sequence = baseline.sequence;
        self.pending = Some(baseline);
    }

    /// The pending answer arrived: it becomes the baseline.
    pub(crate) fn acknowledge(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.baseline = pending;
        }
    }

    /// The pending answer was lost: the next one starts from the same baseline.
    pub(crate) fn roll_back(&mut self) {
        self.pending = None;
    }

    /// True when it was told what is before this position of the log of closed connections and not what is there, or will
    /// have been if the pending answer arrives.
    pub(crate) fn reads_from(&self, position: u64) -> bool {
        std::iter::once(&self.baseline).chain(&self.pending).any(|baseline| baseline.closed == position)
    }

    /// The connection at `position` of the log was added to the roll-up at `merged`. What of that is news depends on the fate
    /// of the pending answer, which may have told it live, or closed. Gives the bytes of it that no acknowledged answer told,
    /// if it was not told as closed.
    pub(crate) fn note_rolled_up(&mut self, position: u64, merged: u64, closed: &Closed) -> Option<u64> {
        self.note(position, |baseline| baseline.note_rolled_up(merged, closed))
    }

    /// The connection at `position` of the log is lost. As before.
    pub(crate) fn note_lost(&mut self, position: u64, closed: &Closed) -> Option<u64> {
        self.note(position, |baseline| baseline.note_lost(closed))
    }

    fn note(&mut self, position: u64, note: impl Fn(&mut Baseline) -> u64) -> Option<u64> {
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.closed <= position) {
            note(pending);
        }
        (self.baseline.closed <= position).then(|| note(&mut self.baseline))
    }

    /// The roll-up at `position` is given up. As before.
    pub(crate) fn note_lost_merged(&mut self, position: u64, merged: &Merged) -> Option<u64> {
        self.note(merged.first, |baseline| baseline.note_lost_merged(position, &merged.rollup))
    }

    /// So many lookups at `position` of their log are given up. As before.
    pub(crate) fn note_lost_lookups(&mut self, position: u64, lookups: u64) {
        for baseline in std::iter::once(&mut self.baseline).chain(&mut self.pending) {
            if baseline.lookups <= position {
                baseline.lookups_lost += lookups;
            }
        }
    }

    /// The roll-up of the kernel side at `position` is given up.
    pub(crate) fn note_lost_of_kernel(&mut self, position: u64, rollup: &RollUp) {
        for baseline in std::iter::once(&mut self.baseline).chain(&mut self.pending) {
            if baseline.of_kernel <= position {
                baseline.note_lost_roll_up(rollup);
            }
        }
    }
}

impl Ends {
    pub(crate) fn of(ended: &Ended, looked_up: &LookedUp) -> Self {
        Self { closed: ended.closed.end(), of_kernel: ended.of_kernel.end(), lookups: looked_up.end() }
    }
}
