//! What both dialects are written from. Decides nothing about their form.

use connections::WallOffset;
use deltas::Delta;

/// An answer to a poll with what the delta itself does not know.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// What the client has not seen yet.
    pub delta: &'a Delta,
    /// Distance of the kernel's clock to the wall clock, for all times of this answer.
    pub wall: WallOffset,
    /// Names this run of the tracer; totals count from its start.
    pub instance: &'a str,
    /// Names of what this run of the tracer cannot do.
    pub degradations: &'a [String],
}
