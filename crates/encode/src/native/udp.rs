//! UDP facts as a message of ours.

use connections::UdpFacts;

use super::proto;

impl From<UdpFacts> for proto::UdpFacts {
    fn from(facts: UdpFacts) -> Self {
        // Without counting there are no counters: the caller leaves those out.
        let UdpFacts { counted: _, drops, assured } = facts;
        Self { drops, assured }
    }
}
