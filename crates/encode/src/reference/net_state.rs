//! What a client was told, in the form of the reference's `debug/net_state`.

use std::io;

use connections::{ConnectionId, Remembered, ToldOf};
use serde::{Serialize, Serializer};

/// Writes what was told of each connection that lives, by its id, as one JSON object.
///
/// # Errors
/// Those of `out`; nothing else can fail. What was written before is then an incomplete object.
pub fn write_net_state(out: &mut impl io::Write, remembered: &Remembered) -> io::Result<()> {
    Ok(serde_json::to_writer(out, &State(remembered))?)
}

struct State<'a>(&'a Remembered);

impl Serialize for State<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = self.0.iter();
        serializer.collect_map(told.map(|(id, told)| (IdKey(id), TotalsWire::new(told))))
    }
}

/// The id as the key of a map.
struct IdKey(ConnectionId);

impl Serialize for IdKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[derive(Serialize)]
struct TotalsWire {
    total_sent: u64,
    total_recv: u64,
    total_retransmits: u64,
    total_tcp_established: u8,
    /// Those that have closed are not remembered.
    total_tcp_closed: u8,
}

impl TotalsWire {
    fn new(told: ToldOf) -> Self {
        let ToldOf { total, established } = told;
        Self {
            total_sent: total.sent_bytes,
            total_recv: total.received_bytes,
            total_retransmits: total.retransmits,
            total_tcp_established: established.into(),
            total_tcp_closed: 0,
        }
    }
}
