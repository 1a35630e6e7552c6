//! How far an answer can be trusted, in our own JSON form.

use connections::{Loss, Losses, WallOffset};
use deltas::Coverage;
use serde::{Serialize, Serializer};

use crate::audit_view::AuditView;
use crate::loss_view::LossView;

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

/// The coverage of one answer.
#[derive(Serialize)]
pub(super) struct CoverageWire<'a> {
    interval_ms: u64,
    lost: LostWire,
    rolled_up: RolledUpWire,
    untracked: u64,
    anomalies: u64,
    degradations: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<AuditView>,
    complete: bool,
}

impl<'a> CoverageWire<'a> {
    pub(super) fn new(coverage: &Coverage, degradations: &'a [String], wall: WallOffset) -> Self {
        // What was not counted shows in what the audit found.
        let Coverage { interval_ns, losses, untracked, rolled_up, anomalies, not_counted: _, audit } =
            *coverage;
        Self {
            interval_ms: interval_ns / NANOSECONDS_PER_MILLISECOND,
            lost: LostWire(losses),
            rolled_up: RolledUpWire { connections: rolled_up },
            untracked,
            anomalies,
            degradations,
            audit: audit.map(|audit| AuditView::new(audit, wall)),
            complete: coverage.complete(),
        }
    }
}

#[derive(Serialize)]
struct RolledUpWire {
    connections: u64,
}

/// The causes by which something was lost; a cause without a loss is absent.
struct LostWire(Losses);

impl Serialize for LostWire {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let causes = self.0.by_cause().into_iter().filter(|(_, loss)| *loss != Loss::default());
        serializer.collect_map(causes.map(|(cause, loss)| (cause, LossView::from(loss))))
    }
}
