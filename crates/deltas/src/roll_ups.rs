//! The roll-ups of an answer, one after the other, each without what of it was told before.

use std::collections::HashMap;
use std::sync::Arc;

use connections::{Counters, RollUp};
use foldhash::fast::RandomState;

use crate::delta::RollUpId;
use crate::ended::Merged;
use crate::log::Slice;

/// Closed connections of which only sums are told, each sum in full and once.
#[derive(Debug, Default)]
pub struct RollUps {
    merged: Slice<Merged>,
    offsets: Arc<Offsets>,
    of_kernel: Slice<RollUp>,
    listed: Vec<(RollUpId, RollUp)>,
}

/// By position of roll-ups of the log, what of them a client was told already, of connections while they lived.
pub(crate) type Offsets = HashMap<u64, Offset, RandomState>;

/// What was told already of a roll-up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Offset {
    pub(crate) total: Counters,
    pub(crate) established: u64,
}

impl RollUps {
    pub(crate) fn new(merged: Slice<Merged>, offsets: Arc<Offsets>, of_kernel: Slice<RollUp>) -> Self {
        Self { merged, offsets, of_kernel, listed: Vec::new() }
    }

    /// Each of them. The order is the same every time, and means nothing.
    pub fn iter(&self) -> impl Iterator<Item = (RollUpId, RollUp)> {
        let merged = self.merged.iter().map(|(position, merged)| {
            (RollUpId::Log(position), without(&merged.rollup, self.offsets.get(&position)))
        });
        let of_kernel = self.of_kernel.iter();
        let of_kernel = of_kernel.map(|(position, rollup)| (RollUpId::Kernel(position), rollup.clone()));
        merged.chain(of_kernel).chain(self.listed.iter().cloned())
    }

    /// How many connections were added up in the process.
    pub(crate) fn merged_connections(&self) -> u64 {
        self.merged.iter().map(|(_, merged)| merged.rollup.connections).sum()
    }

    /// The memory that they share with all others of one moment, in bytes.
    pub(crate) fn shared_bytes(&self) -> usize {
        self.merged.bytes() + self.of_kernel.bytes()
    }
}

impl From<Vec<(RollUpId, RollUp)>> for RollUps {
    fn from(listed: Vec<(RollUpId, RollUp)>) -> Self {
        Self { listed, ..Self::default() }
    }
}

/// A roll-up without what of it was told.
pub(crate) fn without(rollup: &RollUp, told: Option<&Offset>) -> RollUp {
    let Offset { total, established } = told.copied().unwrap_or_default();
    RollUp {
        total: rollup.total.since(total).0,
        established: rollup.established.map(|count| count.saturating_sub(established)),
        ..rollup.clone()
    }
}
