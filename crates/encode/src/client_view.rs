//! A registered client as its owner sees it.

use connections::{KernelTime, WallOffset};
use deltas::{ClientState, Peer, View};
use serde::Serialize;

use crate::wall_time::WallTime;

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// The answer to a registration, and to the question for a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientView {
    id: String,
    /// User id of the user that it belongs to; absent if it belongs to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_uid: Option<u32>,
    /// What else it belongs to; absent if it belongs to a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'static str>,
    /// Number of the last answer made.
    sequence: u64,
    /// Number of the newest answer that it is known to have; 0 for none.
    acknowledged: u64,
    /// Number of the answer that is neither acknowledged nor dropped; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<u64>,
    /// Live connections that it was told of.
    baselines: u64,
    /// Closed connections that it was not told of yet.
    closed_waiting: u64,
    /// It expires when nothing was heard from it for so many seconds.
    ttl_s: u64,
    /// Name of the way in which closed connections are told together.
    rollup: &'static str,
    /// True while one of its polls is in flight.
    polling: bool,
    /// When it expires unless something is heard from it; absent while it polls, for then it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<WallTime>,
}

/// The answer to the question for all clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientsView {
    clients: Vec<ClientView>,
}

impl ClientView {
    /// The view of a client's state.
    #[must_use]
    pub fn new(state: &ClientState, wall: WallOffset) -> Self {
        let ClientState {
            id,
            owner,
            sequence,
            acknowledged,
            pending,
            baselines,
            closed_waiting,
            ttl_ns,
            view,
            heard_at,
            in_flight,
        } = state;
        let (owner_uid, owner) = match owner {
            Peer::User(uid) => (Some(*uid), None),
            Peer::Token => (None, Some("token")),
        };
        let expires_at = KernelTime(heard_at.0.saturating_add(*ttl_ns));
        Self {
            id: id.to_string(),
            owner_uid,
            owner,
            sequence: *sequence,
            acknowledged: *acknowledged,
            pending: *pending,
            baselines: u64::try_from(*baselines).unwrap_or(u64::MAX),
            closed_waiting: *closed_waiting,
            ttl_s: ttl_ns / NANOSECONDS_PER_SECOND,
            rollup: rollup_name(*view),
            polling: *in_flight,
            expires_at: (!in_flight).then(|| WallTime::of(expires_at, wall)),
        }
    }
}

impl ClientsView {
    /// The view of several clients, in their order.
    #[must_use]
    pub fn new(states: &[ClientState], wall: WallOffset) -> Self {
        Self { clients: states.iter().map(|state| ClientView::new(state, wall)).collect() }
    }
}

/// How the ways to tell closed connections are called.
const ROLLUPS: [(&str, View); 2] = [("ports", View::Ports), ("none", View::Each)];

/// What a value of `rollup` must be.
pub const ROLLUP_ALLOWED: &str = "ports or none";

/// The way to tell closed connections that is called so.
#[must_use]
pub fn view_named(rollup: &str) -> Option<View> {
    ROLLUPS.iter().find(|(name, _)| *name == rollup).map(|(_, view)| *view)
}

fn rollup_name(view: View) -> &'static str {
    match view {
        View::Each => "none",
        View::Ports => "ports",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_rollup_is_read_as_it_is_written() {
        for view in [View::Each, View::Ports] {
            assert_eq!(view_named(rollup_name(view)), Some(view));
            assert!(ROLLUP_ALLOWED.contains(rollup_name(view)));
        }
        assert_eq!(view_named("Ports"), None);
        assert_eq!(view_named(""), None);
    }
}
