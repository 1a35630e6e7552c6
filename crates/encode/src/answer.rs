//! What both dialects are written from. Decides nothing about their form.

use std::fmt;

use connections::{Annotate, WallOffset};
use deltas::Delta;

/// An answer to a poll with what the delta itself does not know.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// What the client has not seen yet.
    pub delta: &'a Delta,
    /// Distance of the kernel's clock to the wall clock, for all times of this answer.
    pub wall: WallOffset,
    /// Names this run of the tracer; totals count from its start.
    pub instance: &'a str,
    /// Names of what this run of the tracer cannot do.
    pub degradations: &'a [String],
    /// Who knows what is behind connections.
    pub context: &'a dyn Annotate,
}

impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delta, wall, instance, degradations, context: _ } = self;
        let mut debug = f.debug_struct("Answer");
        debug.field("delta", delta).field("wall", wall).field("instance", instance);
        debug.field("degradations", degradations).finish_non_exhaustive()
    }
}
