//! UDP facts in our own JSON form.

use connections::UdpFacts;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct UdpWire {
    /// Of the socket, all its peers together.
    drops: u64,
    assured: bool,
}

impl UdpWire {
    pub(super) fn new(facts: UdpFacts) -> Self {
        let UdpFacts { drops, assured } = facts;
        Self { drops, assured }
    }
}
