//! No room for final records in the kernel: they are added up there, and what clients are told still adds up
//! to what was sent.
//!
//! While the daemon is stopped nobody takes anything out of the ring, so that every bound is reached.

use std::net::{Ipv4Addr, TcpStream};

use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::exchange::{Exchange, Pair};
use crate::ledger::{Ledger, Told, number, status_counter};
use crate::limits::when_quiet;
use crate::needs::runs_here;
use crate::wait::until;

const BYTES: usize = 50;

/// Room for 15 final records in the ring, and for 4 beside it.
const TIGHT: [(&str, &str); 2] =
    [("SOCKEYE_LIMITS__RING_BYTES", "4096"), ("SOCKEYE_LIMITS__OVERFLOW_RECORDS", "4")];

/// What was made: connections of both ends, and payload bytes of both ends.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sums {
    connections: u64,
    bytes: u64,
    refused: u64,
}

/// Of these connections and roll-ups.
fn sums<'a>(told: impl Iterator<Item = &'a Told>) -> Sums {
    told.filter(|told| told.closed()).fold(Sums::default(), |sums, told| Sums {
        connections: sums.connections + told.connections(),
        bytes: sums.bytes + told.payload(),
        refused: sums.refused + refused(&told.last),
    })
}

fn refused(record: &Value) -> u64 {
    let alone = u64::from(record["failure"]["kind"] == "refused");
    let several = record["failures"].as_array().into_iter().flatten();
    let several = several.filter(|failures| failures["kind"] == "refused");
    alone + several.map(|failures| number(&failures["connections"])).sum::<u64>()
}

/// Connections that were told live and grew, short ones that nobody was told of, and refused ones.
struct Traffic {
    live: Vec<Pair>,
    short: usize,
    refused: u16,
}

impl Traffic {
    fn begin(exchange: &Exchange, live: usize) -> Self {
        let mut live = exchange.open(live);
        live.iter_mut().for_each(|pair| pair.send(BYTES));
        Self { live, short: 60, refused: 10 }
    }

    /// What a client must have been told in the end.
    fn sums(&self) -> Sums {
        let (live, short) = (self.live.len() as u64, self.short as u64);
        let refused = u64::from(self.refused);
        Sums {
            connections: 2 * (live + short) + refused,
            bytes: 2 * (2 * live + short) * BYTES as u64,
            refused,
        }
    }

    /// Everything grows and ends.
    fn end(mut self, exchange: &Exchange) {
        self.live.iter_mut().for_each(|pair| pair.send(BYTES));
        exchange.run(self.short, BYTES);
        exchange.space.inside(|| {
            for port in 1..=self.refused {
                TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect_err("nobody listens");
            }
        });
        self.live.into_iter().for_each(Pair::close);
    }
}

#[test]
fn what_the_kernel_side_adds_up_and_what_was_told_before_make_the_exact_sums() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::with(&TIGHT);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    // Three times: what is kept of one time must not be in the way of the next.
    for round in 1..=3 {
        let traffic = Traffic::begin(&exchange, 40);
        ledger.poll();
        let expected = traffic.sums();
        let before = sums(ledger.of(&exchange.space).map(|(_, told)| told));
        daemon.signal(Signal::STOP);
        traffic.end(&exchange);
        daemon.signal(Signal::CONT);
        let mut rolled_up = 0;
        until("the sums", || {
            let answer = ledger.poll();
            rolled_up += number(&answer["coverage"]["rolled_up"]["connections"]);
            assert_eq!(answer["coverage"]["lost"], serde_json::json!({}), "nothing is lost");
            let now = sums(ledger.of(&exchange.space).map(|(_, told)| told));
            assert!(now.connections - before.connections <= expected.connections, "{now:?} of {expected:?}");
            (now.connections - before.connections == expected.connections).then_some(())
        });
        let now = sums(ledger.of(&exchange.space).map(|(_, told)| told));
        assert_eq!(now.bytes - before.bytes, expected.bytes, "round {round}");
        assert_eq!(now.refused - before.refused, expected.refused, "round {round}");
        assert!(rolled_up > 0, "all found room, which proves nothing");
        for (id, told) in ledger.of(&exchange.space) {
            assert_eq!(told.closes, u32::from(told.closed()), "{id} closes once");
            let times = ["opened_at", "closed_at"].map(|name| told.last[name].as_str());
            assert!(told.is_roll_up() || !told.closed() || times[0] <= times[1], "{id}: {told:?}");
            let owner = &told.last["owner"]["pid"];
            assert!(!told.is_roll_up() || *owner == std::process::id(), "{id} has an owner: {told:?}");
        }
    }
    assert_eq!(status_counter(&daemon.socket(), "kernel_rolled_up_in_rest"), 0);
    assert_eq!(status_counter(&daemon.socket(), "connections_close_not_seen"), 0);
    assert_eq!(status_counter(&daemon.socket(), "anomalies"), 0);
}

#[test]
fn beyond_the_last_key_the_rest_is_added_up_and_the_sums_are_still_exact() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let limits = [TIGHT.as_slice(), &[("SOCKEYE_LIMITS__KERNEL_ROLLUPS", "1")]].concat();
    let daemon = Daemon::with(&limits);
    when_quiet(|attempt| {
        let mut ledger = Ledger::register(daemon.socket(), &format!("a{attempt}"));
        let exchange = Exchange::new();
        let traffic = Traffic::begin(&exchange, 40);
        ledger.poll();
        let expected = traffic.sums();
        let claimed = status_counter(&daemon.socket(), "kernel_claimed");
        daemon.signal(Signal::STOP);
        traffic.end(&exchange);
        daemon.signal(Signal::CONT);
        let here = |ledger: &Ledger| {
            let rest = ledger.told.values().filter(|told| told.last["netns"].is_null());
            sums(ledger.of(&exchange.space).map(|(_, told)| told).chain(rest))
        };
        let told = until("the sums", || {
            ledger.poll();
            Some(here(&ledger)).filter(|told| told.connections >= expected.connections)
        });
        let others = status_counter(&daemon.socket(), "kernel_claimed") - claimed;
        let rest: Vec<_> = ledger.told.values().filter(|told| told.last["netns"].is_null()).collect();
        assert!(!rest.is_empty(), "every key found room, which proves nothing");
        assert!(rest.iter().all(|told| told.last["owner"].is_null() && told.last["direction"] == "unknown"));
        ledger.remove();
        // The rest is that of the host.
        if others > expected.connections - 80 {
            return None;
        }
        assert_eq!(told, expected);
        Some(())
    });
}

#[test]
fn slots_that_keep_the_names_of_rolled_up_connections_are_given_back() {
    const PAIRS: usize = 30;
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    // Room for all of one time, and not for those of two.
    let daemon = Daemon::with(&[TIGHT.as_slice(), &[("SOCKEYE_LIMITS__TCP_SLOTS", "128")]].concat());
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    for _ in 0..3 {
        let live = exchange.open(PAIRS);
        ledger.poll();
        daemon.signal(Signal::STOP);
        live.into_iter().for_each(Pair::close);
        daemon.signal(Signal::CONT);
        until("the next time to find room", || {
            ledger.poll();
            let full = status_counter(&daemon.socket(), "kernel_table_full");
            let live = exchange.open(PAIRS);
            live.into_iter().for_each(Pair::close);
            // The counters are those of the last pass.
            ledger.poll();
            (status_counter(&daemon.socket(), "kernel_table_full") == full).then_some(())
        });
    }
    assert!(status_counter(&daemon.socket(), "kernel_rolled_up") > 0, "all found room, which proves nothing");
}
