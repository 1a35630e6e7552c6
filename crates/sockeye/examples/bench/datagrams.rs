//! UDP messages of 64 bytes, there and back, on loopback: over a pair of sockets, and with one of many peers;
//! and a lookup at a name server, whose messages are copied.
//!
//! The sockets are the same in every reading, so that pairs differ in the tracer alone. What is judged is what
//! Sockeye adds above programs that do nothing: what the hooks alone cost is the kernel's. Where Sockeye counts
//! in functions of UDP instead, which the notes say, those programs are not its hooks.

use crate::contender::Contender;
use crate::contenders::{self, SOCKEYE, WITHOUT_DNS};
use crate::driver;
use crate::empty::EMPTY;
use crate::namespace::NetNs;
use crate::pairs::{self, Comparison};
use crate::table::{Comparisons, Limit};
use crate::tracer::Tracer;
use crate::udp_sockets::{Many, PASSAGES_PER_ROUND_TRIP, Pair};

const MESSAGE_BYTES: usize = 64;
const ROUND_TRIPS_PER_PIECE: u32 = 100;
const PEERS: usize = 1000;
/// A question and an answer as they mostly are: of two of the three sizes of copies.
const QUESTION_BYTES: usize = 48;
const ANSWER_BYTES: usize = 160;
/// Of a datagram, in one direction, above a program that does nothing.
const MOST_NS: f64 = 120.0;

pub fn measure(world: &NetNs, rounds: u32) -> anyhow::Result<Comparisons> {
    let hook = hook()?;
    let contenders = contenders::of_datagrams(world)?;
    let mut table = Comparisons::default();
    for (work, mut pair) in [
        ("UDP, 64 bytes there and back, connected", world.inside(Pair::connected)?),
        ("UDP, 64 bytes there and back, unconnected", world.inside(Pair::unconnected)?),
    ] {
        let compared = pairs::compare(rounds, &contenders, || {
            driver::cpu_ns(world, ROUND_TRIPS_PER_PIECE, || pair.round_trip(&mut [7; MESSAGE_BYTES]))
        })?;
        judge(&mut table, work, &hook, Limit::AtMost(MOST_NS), compared)?;
    }
    let compared = with_many_peers(world, rounds, &contenders)?;
    let work = format!("UDP, 64 bytes there and back, {PEERS} peers in turn");
    judge(&mut table, &work, &hook, Limit::None, compared)?;
    let mut pair = world.inside(Pair::name_server)?;
    let compared = pairs::compare(rounds, &contenders, || {
        driver::cpu_ns(world, ROUND_TRIPS_PER_PIECE, || {
            pair.lookup(&mut [7; QUESTION_BYTES], &mut [7; ANSWER_BYTES])
        })
    })?;
    judge(&mut table, "DNS, a question of 48 bytes and an answer of 160", &hook, Limit::None, compared)?;
    Ok(table)
}

/// All peers are known before the time is read: a piece of work passes only some of them.
fn with_many_peers(
    world: &NetNs,
    rounds: u32,
    contenders: &[Box<dyn Contender>],
) -> anyhow::Result<Vec<Comparison>> {
    let mut many = world.inside(|| Many::open(PEERS))?;
    pairs::compare(rounds, contenders, || {
        many.round(&mut [7; MESSAGE_BYTES])?;
        driver::cpu_ns(world, ROUND_TRIPS_PER_PIECE, || many.round_trip(&mut [7; MESSAGE_BYTES]))
    })
}

/// The rows, and what Sockeye adds to each passage of a datagram above the programs that do nothing.
fn judge(
    table: &mut Comparisons,
    work: &str,
    hook: &str,
    limit: Limit,
    compared: Vec<Comparison>,
) -> anyhow::Result<()> {
    let above = pairs::median_above(&compared, SOCKEYE, EMPTY)? / f64::from(PASSAGES_PER_ROUND_TRIP);
    let what = format!("{work}: ns per datagram and direction, Sockeye ({hook}) above {EMPTY}");
    table.note(what, above, limit);
    let copies = pairs::median_above(&compared, SOCKEYE, WITHOUT_DNS)?;
    table.note(format!("{work}: ns per round trip, {SOCKEYE} above {WITHOUT_DNS}"), copies, Limit::None);
    table.add(work, "ns", compared);
    Ok(())
}

/// Where this kernel lets Sockeye count.
fn hook() -> anyhow::Result<String> {
    let tracer = Tracer::start()?;
    let hook = tracer.udp_hook().unwrap_or("not counted").to_owned();
    tracer.stop()?;
    Ok(hook)
}
