//! Which connections are told at all: the rules of whoever runs the tracer.
//!
//! Says of one connection, or one roll-up, whether it passes. What becomes of those that do not is decided in `table` and
//! `live`, and where the rules come from is not known here.

use crate::connection::Connection;
use crate::criteria::{Criteria, Seen};
use crate::rollup::RollUp;

/// Rules of two kinds. A connection passes if no rule of `exclude` holds for it and, where there are rules in `include`, at
/// least one of those does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Without any, everything is included.
    pub include: Vec<Criteria>,
    /// These have the last word.
    pub exclude: Vec<Criteria>,
}

impl Filter {
    /// True when everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// True when the connection is to be told.
    #[must_use]
    pub fn passes(&self, connection: &Connection) -> bool {
        self.is_empty() || self.passes_seen(&connection.into())
    }

    /// True when the roll-up is to be told. A fact that its connections do not have in common matches no rule.
    #[must_use]
    pub fn passes_roll_up(&self, rollup: &RollUp) -> bool {
        self.is_empty() || self.passes_seen(&rollup.into())
    }

    fn passes_seen(&self, seen: &Seen<'_>) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|rule| rule.hold_for_seen(seen));
        included && !self.exclude.iter().any(|rule| rule.hold_for_seen(seen))
    }
}
