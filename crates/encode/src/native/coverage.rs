//! How far an answer can be trusted, as a message of ours.

use connections::{Audit, Loss, WallOffset};
use deltas::Coverage;

use super::{proto, unix_ns};

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

impl proto::Coverage {
    pub(super) fn new(coverage: &Coverage, degradations: &[String], wall: WallOffset) -> Self {
        // What was not counted shows in what the audit found.
        let Coverage {
            interval_ns,
            losses,
            untracked,
            rolled_up,
            excluded,
            anomalies,
            not_counted: _,
            lookups_lost,
            messages_lost,
            audit,
        } = *coverage;
        let lost = losses.by_cause().into_iter().filter(|(_, loss)| *loss != Loss::default());
        Self {
            interval_ms: interval_ns / NANOSECONDS_PER_MILLISECOND,
            lost: lost.map(|(cause, loss)| (cause.to_owned(), loss.into())).collect(),
            rolled_up: Some(proto::RolledUp { connections: rolled_up }),
            excluded: Some(proto::Excluded { connections: excluded }),
            untracked,
            anomalies,
            degradations: degradations.to_vec(),
            audit: audit.map(|audit| proto::Audit::new(audit, wall)),
            complete: coverage.complete(),
            lookups_lost: Some(proto::LookupsLost { lookups: lookups_lost, messages: messages_lost }),
        }
    }
}

impl From<Loss> for proto::Loss {
    fn from(loss: Loss) -> Self {
        let Loss { connections, bytes } = loss;
        Self { connections, bytes }
    }
}

impl proto::Audit {
    fn new(audit: Audit, wall: WallOffset) -> Self {
        let Audit { at, audits, cpu_ns, namespaces, unread, sockets, missing, found, stale, drift } = audit;
        let differing = drift.by_name().into_iter().filter(|(_, amount)| *amount != 0);
        Self {
            at_unix_ns: unix_ns(at, wall),
            audits,
            cpu_ns,
            namespaces,
            unread,
            sockets,
            missing,
            found,
            stale,
            drift: differing.map(|(name, amount)| (name.to_owned(), amount)).collect(),
        }
    }
}
