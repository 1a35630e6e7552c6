//! What learning names takes of the daemon: name servers are asked 5000 times in a second, each time from another port, as
//! resolvers do. Those datagrams are connections too, so the daemon that learns no names is beside it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;

use crate::dns;
use crate::namespace::NetNs;
use crate::paced::{MOST_PERCENT, PER_SECOND, Paced};
use crate::table::{Limit, Values};

const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 53), 53);
const NAMES: u32 = 5000;
const WAIT: Duration = Duration::from_millis(100);
/// The first that is not one of the name server.
const FIRST_ADDRESS: u32 = 0x0a01_0000;

pub fn measure(world: &NetNs) -> anyhow::Result<Values> {
    let server = world.inside(|| Ok(UdpSocket::bind(SERVER)?))?;
    server.set_read_timeout(Some(WAIT))?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&server, &stop));
        let table = compare(world);
        stop.store(true, Ordering::Relaxed);
        table
    })
}

fn compare(world: &NetNs) -> anyhow::Result<Values> {
    let mut work = |number| exchange(number).with_context(|| format!("exchange {number}"));
    let off = [("SOCKEYE_COLLECT__DNS", "false")];
    let without = Paced::run(world, &off, &mut work)?;
    let with = Paced::run(world, &[], &mut work)?;
    let without_again = Paced::run(world, &off, &mut work)?;
    let idle = f64::midpoint(without.percent, without_again.percent);
    let what = |what: &str| format!("DNS exchanges: {what}");
    let mut table = Values::default();
    let rate = Limit::AtLeast(f64::from(PER_SECOND) * 0.98);
    table.add(what("rate"), "exchanges/s", with.per_second, rate);
    table.add(what("the daemon, without names"), "% of a core", idle, Limit::None);
    table.add(what("the daemon, with names"), "% of a core", with.percent, Limit::None);
    table.add(what("names"), "% of a core", with.percent - idle, Limit::AtMost(MOST_PERCENT));
    let answers = with.grown("dns_answers")?;
    table.add(what("answers that were taken in, of each"), "", answers, Limit::None);
    // Of an exchange two messages are copied.
    let counted = answers + with.grown("kernel_payloads_lost")?;
    table.add(what("taken in or counted as lost, of each"), "", counted, Limit::AtLeast(1.0));
    Ok(table)
}

fn exchange(number: u32) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.connect(SERVER)?;
    let id = u16::try_from(number % 65_536)?;
    socket.send(&dns::query(id, &format!("server-{}.example.com", number % NAMES)))?;
    socket.recv(&mut [0; 512])?;
    Ok(())
}

/// Answers each query with an address, one after the other.
fn serve(server: &UdpSocket, stop: &AtomicBool) {
    let (mut buffer, mut number) = ([0; 512], 0);
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = server.recv_from(&mut buffer) else { continue };
        let address = Ipv4Addr::from_bits(FIRST_ADDRESS + number % NAMES);
        number += 1;
        let to: SocketAddr = from;
        // Who asked may have gone.
        let _ = server.send_to(&dns::answer(&buffer[..length], address), to);
    }
}
