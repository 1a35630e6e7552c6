//! What a client is known to have, or has if the answer on its way arrives.
//!
//! Owns the difference between that and what there is now. Does not know the polls (`polls`), nor what is kept of closed
//! connections (`ended`).

use std::sync::Arc;

use connections::{Audit, Closed, KernelTime, Loss, RollUp, Told};

use crate::delta::{Coverage, Health};
use crate::roll_ups::{Offsets, without};

/// What a client has as of one answer.
#[derive(Debug)]
pub(crate) struct Baseline {
    /// Number of that answer; 0 for none.
    pub(crate) sequence: u64,
    /// Its end.
    pub(crate) to: KernelTime,
    pub(crate) health: Health,
    /// What it and the ones before it told of live connections: 80 bytes of each at most, shared with the table and other
    /// clients as long as nothing changes.
    pub(crate) told: Told,
    /// Position in the log of closed connections of the first that was not told.
    pub(crate) closed: u64,
    /// The same in the log of roll-ups of the kernel side.
    pub(crate) of_kernel: u64,
    /// The same of the sums of lookups.
    pub(crate) lookups: u64,
    /// By position of roll-ups that were not told: what of them was told already, of connections while they lived.
    pub(crate) offsets: Arc<Offsets>,
    /// What was lost and is not told yet.
    pub(crate) lost: Loss,
    /// Lookups that were lost, the same.
    pub(crate) lookups_lost: u64,
}

/// How far the logs have come that clients read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    pub(crate) closed: u64,
    pub(crate) of_kernel: u64,
    pub(crate) lookups: u64,
}

impl Baseline {
    /// What a client has that was told nothing: live connections count from the start of tracing, closed ones from now on.
    pub(crate) fn empty(began_at: KernelTime, ends: Ends) -> Self {
        let Ends { closed, of_kernel, lookups } = ends;
        Self {
            sequence: 0,
            to: began_at,
            health: Health::default(),
            told: Told::default(),
            closed,
            of_kernel,
            lookups,
            offsets: Arc::default(),
            lost: Loss::default(),
            lookups_lost: 0,
        }
    }

    /// How complete an answer is that goes from here to there.
    pub(crate) fn coverage(&self, health: &Health, to: KernelTime) -> Coverage {
        let earlier = &self.health;
        let mut losses = health.losses.since(&earlier.losses);
        losses.closed_log_full = self.lost;
        Coverage {
            interval_ns: to.nanoseconds_since(self.to),
            losses,
            untracked: health
                .untracked
                .saturating_sub(earlier.untracked)
                .saturating_add(health.untracked_now),
            rolled_up: health.rolled_up.saturating_sub(earlier.rolled_up),
            excluded: health.excluded.saturating_sub(earlier.excluded),
            lookups_lost: self.lookups_lost,
            messages_lost: health.messages_lost.saturating_sub(earlier.messages_lost),
            anomalies: health.anomalies.saturating_sub(earlier.anomalies),
            not_counted: not_counted(health.audit).saturating_sub(not_counted(earlier.audit)),
            audit: health.audit,
        }
    }

    /// A connection was added to the roll-up at `merged`. Gives the bytes of it that were not told.
    pub(crate) fn note_rolled_up(&mut self, merged: u64, closed: &Closed) -> u64 {
        let Some(told) = closed.told_in(&self.told) else {
            return closed.total().payload_bytes();
        };
        let offset = Arc::make_mut(&mut self.offsets).entry(merged).or_default();
        offset.total = offset.total.plus(told.total);
        offset.established += u64::from(told.established);
        closed.total().since(told.total).0.payload_bytes()
    }

    /// A connection could not be kept at all. Gives the bytes of it that were not told.
    pub(crate) fn note_lost(&mut self, closed: &Closed) -> u64 {
        let told = closed.told_in(&self.told).unwrap_or_default();
        let untold = closed.total().since(told.total).0.payload_bytes();
        self.lost.add(untold);
        untold
    }

    /// The roll-up at `merged` is lost. Gives the bytes of it that were not told.
    pub(crate) fn note_lost_merged(&mut self, merged: u64, rollup: &RollUp) -> u64 {
        let told = self.offsets.get(&merged).copied();
        if told.is_some() {
            Arc::make_mut(&mut self.offsets).remove(&merged);
        }
        self.note_lost_roll_up(&without(rollup, told.as_ref()))
    }

    /// A roll-up of which nothing was told is lost. Gives the bytes of it.
    pub(crate) fn note_lost_roll_up(&mut self, rollup: &RollUp) -> u64 {
        let bytes = rollup.total.payload_bytes();
        self.lost = self.lost.plus(Loss { connections: rollup.connections, bytes });
        bytes
    }
}

fn not_counted(audit: Option<Audit>) -> u64 {
    audit.map_or(0, |audit| audit.not_counted())
}
