//! UDP facts as a message of ours.

use connections::UdpFacts;

use super::proto;

impl From<UdpFacts> for proto::UdpFacts {
    fn from(facts: UdpFacts) -> Self {
        let UdpFacts { drops, assured } = facts;
        Self { drops, assured }
    }
}
