//! The wire form of an amount that was lost, the same in `coverage` and in the status.

use connections::Loss;
use serde::Serialize;

/// An amount that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LossView {
    /// Connections of which something was lost.
    pub connections: u64,
    /// Payload bytes, both ways, that were not told.
    pub bytes: u64,
}

impl From<Loss> for LossView {
    fn from(loss: Loss) -> Self {
        let Loss { connections, bytes } = loss;
        Self { connections, bytes }
    }
}
