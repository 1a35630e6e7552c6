//! Connections opened, accepted and closed, both ends, on loopback.
//!
//! Closed in the ordinary way, so that the client's end stays in TIME_WAIT: a close that resets instead
//! (`SO_LINGER` 0) would take another path through the kernel and through the tracer than nearly every
//! connection does. So that ports do not run out, and the search for a free one stays as short as it is at
//! first, connections go to many addresses of 127.0.0.0/8 in turn: each has ports of its own. The client's end
//! closes first.

use std::net::{Ipv4Addr, TcpListener};

use crate::contenders::{self, SOCKEYE, WITHOUT_UDP};
use crate::driver;
use crate::loopback::Connection;
use crate::namespace::NetNs;
use crate::pairs;
use crate::table::{Comparisons, Limit};

const PER_PIECE: u32 = 12;
const ADDRESSES: u8 = 250;

/// Each work has rows of its own: what accounts for data has nothing to do with connections that carry none.
const WORKS: [(&str, &[usize]); 2] = [
    ("TCP, connect + accept + close of both ends", &[]),
    ("TCP, connect + accept + 64 bytes there and back + close of both ends", &[64]),
];

pub fn measure(world: &NetNs, rounds: u32) -> anyhow::Result<Comparisons> {
    let listener = world.inside(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?))?;
    let contenders = contenders::all_with_attempts(world)?;
    let mut table = Comparisons::default();
    let mut last = 0;
    for (work, messages) in WORKS {
        let mut connect_and_close = || {
            last = last % ADDRESSES + 1;
            let mut connection = Connection::through(&listener, Ipv4Addr::new(127, 0, 0, last))?;
            messages.iter().try_for_each(|bytes| connection.round_trip(&mut vec![7; *bytes]))
        };
        let compared =
            pairs::compare(rounds, &contenders, || driver::cpu_ns(world, PER_PIECE, &mut connect_and_close))?;
        let toll = pairs::median_above(&compared, SOCKEYE, WITHOUT_UDP)?;
        table.note(format!("{work}: ns that UDP adds"), toll, Limit::None);
        table.add(work, "ns", compared);
    }
    Ok(table)
}
