//! What it costs to follow translations: `cargo run --release -p context --example nat_cost`, as root. Prints a table, and
//! judges nothing.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "it is for people to run and to read")]

#[path = "../../sockeye/tests/fixtures/not_run.rs"]
#[allow(dead_code, unreachable_pub, reason = "it belongs to tests too")]
mod not_run;
#[path = "../../sockeye/tests/fixtures/routed.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "it belongs to tests too")]
mod routed;
#[path = "../tests/translations/router.rs"]
#[allow(dead_code, unused_imports, reason = "it belongs to tests too")]
mod router;
#[path = "../../sockeye/tests/fixtures/world.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "it belongs to tests too")]
mod world;

use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use context::{NatLimits, Translations};

use router::{PUBLIC_PORT, ROUTER_V4, Routed, address, eventually, flush, started};

const SECONDS: u32 = 5;
const PER_SECOND: u32 = 5000;

fn main() {
    let routed = Routed::new();
    routed.client.inside(|| {
        let rules = "add table inet t; add chain inet t c { type filter hook output priority 0; }; \
                     add rule inet t c ct state new accept";
        world::run("nft", &[rules]);
    });
    let public = address(ROUTER_V4, PUBLIC_PORT);
    let nowhere = address("127.0.0.1", 9);

    println!("untranslated, nobody listens: {:?} per datagram", burst(&routed, "127.0.0.1", nowhere, 40_000));
    println!("translated, nobody listens: {:?} per datagram", burst(&routed, "10.1.0.1", public, 40_000));
    [&routed.client, &routed.router].into_iter().for_each(flush);

    let translations = started(NatLimits::default(), routed.told());
    println!("untranslated, listening: {:?} per datagram", burst(&routed, "127.0.0.1", nowhere, 40_000));
    flush(&routed.client);
    let cpu = cpu();
    paced(&routed, "127.0.0.1", nowhere);
    said("untranslated, 5000 a second", cpu, &translations);
    [&routed.client, &routed.router].into_iter().for_each(flush);
    let cpu = self::cpu();
    paced(&routed, "10.1.0.1", public);
    said("translated, 5000 a second", cpu, &translations);

    flush(&routed.router);
    std::thread::sleep(Duration::from_secs(1));
    let (cpu, before) = (self::cpu(), translations.counts());
    println!(
        "translated, listening, as fast as it goes: {:?} per datagram",
        burst(&routed, "10.1.0.1", public, 50_000)
    );
    let began = Instant::now();
    flush(&routed.router);
    println!("50000 flushed in {:?}", began.elapsed());
    eventually("all have ended", || {
        drop(translations.look());
        let mut living = false;
        translations.cached(|tracked| {
            living |= tracked.ended.is_none();
            if living { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        !living
    });
    said("a burst of 50000 and a flush", cpu, &translations);
    println!("overflows: {}", translations.counts().overflows - before.overflows);

    burst(&routed, "10.1.0.1", public, 50_000);
    drop(translations);
    let (cpu, began) = (self::cpu(), Instant::now());
    let translations = started(NatLimits::default(), routed.told());
    println!("a dump of 50000: {:?}", began.elapsed());
    said("a dump of 50000", cpu, &translations);
}

/// A new connection with each datagram, from ports one after the other.
fn burst(routed: &Routed, from: &str, to: SocketAddr, number: u16) -> Duration {
    routed.client.inside(|| {
        let began = Instant::now();
        (0..number).for_each(|port| send(from, port, to));
        began.elapsed() / u32::from(number)
    })
}

fn paced(routed: &Routed, from: &str, to: SocketAddr) {
    routed.client.inside(|| {
        let (began, mut sent) = (Instant::now(), 0);
        while sent < SECONDS * PER_SECOND {
            for _ in 0..50 {
                send(from, u16::try_from(sent).unwrap(), to);
                sent += 1;
            }
            let due = began + Duration::from_secs(1) / PER_SECOND * sent;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
}

fn send(from: &str, number: u16, to: SocketAddr) {
    let socket = UdpSocket::bind(address(from, number + 10_000)).unwrap();
    // Nobody is there: the answer may be an error already.
    let _ = socket.send_to(b"x", to);
}

fn said(what: &str, before: Duration, translations: &Translations) {
    drop(translations.look());
    println!("{what}: {:?} of CPU in {SECONDS} s where paced; {:?}", cpu() - before, translations.counts());
}

/// CPU time of the threads of translations until here.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let nat = tasks.filter(|task| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.starts_with("nat-"))
    });
    let used = nat.filter_map(|task| {
        let statistics = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        statistics.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(used.sum())
}
