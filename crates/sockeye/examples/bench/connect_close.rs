//! Connections opened, accepted and closed, both ends, on loopback.
//!
//! Closed in the ordinary way, so that the client's end stays in TIME_WAIT: a close that resets instead
//! (`SO_LINGER` 0) would take another path through the kernel and through the tracer than nearly every
//! connection does. So that ports do not run out, and the search for a free one stays as short as it is at
//! first, connections go to many addresses of 127.0.0.0/8 in turn: each has ports of its own.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use crate::driver;
use crate::namespace::NetNs;
use crate::pairs;
use crate::table::Comparisons;

const PER_PIECE: u32 = 12;
const ADDRESSES: u8 = 250;

pub fn measure(world: &NetNs, rounds: u32) -> anyhow::Result<Comparisons> {
    let listener = world.inside(|| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?))?;
    let port = listener.local_addr()?.port();
    let mut last = 0;
    let mut connect_and_close = || {
        last = last % ADDRESSES + 1;
        let client = TcpStream::connect((Ipv4Addr::new(127, 0, 0, last), port))?;
        let (server, _) = listener.accept()?;
        drop(client);
        drop(server);
        Ok(())
    };
    let compared = pairs::compare(rounds, || driver::cpu_ns(world, PER_PIECE, &mut connect_and_close))?;
    let mut table = Comparisons::default();
    table.add("TCP, connect + accept + close of both ends", "ns", compared);
    Ok(table)
}
