//! A registered client as its owner sees it.

use deltas::ClientState;
use serde::Serialize;

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientView {
    id: String,
    /// User id of the user that it belongs to.
    owner_uid: u32,
    /// Number of the last answer made.
    sequence: u64,
    /// Number of the newest answer that it is known to have; 0 for none.
    acknowledged: u64,
    /// Live connections that it was told of.
    baselines: u64,
    /// Closed connections that it was not told of yet.
    closed_waiting: u64,
}

impl ClientView {
    /// The view of a client's state.
    #[must_use]
    pub fn new(state: &ClientState) -> Self {
        let ClientState { id, owner, sequence, acknowledged, baselines, closed_waiting } = state;
        Self {
            id: id.to_string(),
            owner_uid: owner.uid,
            sequence: *sequence,
            acknowledged: *acknowledged,
            baselines: u64::try_from(*baselines).unwrap_or(u64::MAX),
            closed_waiting: *closed_waiting,
        }
    }
}
