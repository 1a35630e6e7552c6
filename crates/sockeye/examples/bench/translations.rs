//! What following translated addresses takes of the daemon: 5000 connections in a second begin that are translated, and end
//! again after some seconds. They are connections of the host too, so the daemon that follows no translations is beside it.

use std::net::UdpSocket;

use crate::acquainted;
use crate::namespace::NetNs;
use crate::paced::{MOST_PERCENT, PER_SECOND, Paced};
use crate::table::{Limit, Values};

/// Within the measurement most that begin also end.
const TIMEOUT_SECONDS: u32 = 3;

pub fn measure(world: &NetNs) -> anyhow::Result<Values> {
    acquainted::prepare(world, 0, TIMEOUT_SECONDS)?;
    let mut work = |number| {
        let (from, to) = acquainted::translated(number);
        UdpSocket::bind(from)?.send_to(b"x", to)?;
        Ok(())
    };
    let off = [("SOCKEYE_CONTEXT__NAT", "false")];
    let without = Paced::run(world, &off, &mut work)?;
    let with = Paced::run(world, &[], &mut work)?;
    let without_again = Paced::run(world, &off, &mut work)?;
    let idle = f64::midpoint(without.percent, without_again.percent);
    let what = |what: &str| format!("translated connections: {what}");
    let mut table = Values::default();
    let rate = Limit::AtLeast(f64::from(PER_SECOND) * 0.98);
    table.add(what("rate"), "connections/s", with.per_second, rate);
    table.add(what("the daemon, without translations"), "% of a core", idle, Limit::None);
    table.add(what("the daemon, with translations"), "% of a core", with.percent, Limit::None);
    table.add(what("translations"), "% of a core", with.percent - idle, Limit::AtMost(MOST_PERCENT));
    let events = with.grown("nat_events")?;
    table.add(what("beginnings and ends that were told, of each"), "", events, Limit::None);
    let overflows = with.grown("nat_overflows")? * f64::from(PER_SECOND);
    table.add(what("times that the kernel had no room"), "1/s", overflows, Limit::None);
    Ok(table)
}
