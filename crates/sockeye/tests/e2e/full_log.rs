//! The log of closed connections, full: what a client was told one by one, what it was told added up and what it lost make
//! what there was.
//!
//! A witness who polls all the time is told each connection by itself, so it knows what there was, also of others on this
//! host.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::curl::get;
use crate::daemon::Daemon;
use crate::exchange::{Exchange, Pair};
use crate::ledger::{Ledger, Told, lost, number, status_counter};
use crate::limits::when_quiet;
use crate::needs::runs_here;

const CLOSED_RECORDS: usize = 100;
/// Bursts of connections, and how many there are in each. The witness is told of a burst before the next, and half of
/// the log is left for others on this host.
const BURSTS: usize = 40;
const BURST: usize = 25;

#[test]
fn beyond_the_log_a_client_is_told_the_exact_sums_and_others_each_connection() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    attempt(&[], |told| {
        assert_eq!((told.lost, told.complete), ((0, 0), true), "nothing is lost");
        let (here, mine) = (told.here, 2 * (BURSTS * BURST + 1));
        assert_eq!(here, mine as u64, "the client is told of all of them in one way or the other");
    });
}

#[test]
fn beyond_the_roll_ups_what_is_lost_is_counted_in_connections_and_bytes() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    attempt(&[("SOCKEYE_LIMITS__ROLLUPS", "1")], |told| {
        // One of four kinds has a roll-up, two ends of two ports, if no other on this host has it.
        assert!(told.lost.0 >= (BURSTS * BURST) as u64 && !told.complete, "{:?}", told.lost);
    });
}

/// What a slow client was told beyond single connections.
struct Beyond {
    lost: (u64, u64),
    complete: bool,
    /// Closed connections of the traffic, single or added up.
    here: u64,
}

fn attempt(limits: &[(&str, &str)], check: impl Fn(&Beyond)) {
    let closed_records = CLOSED_RECORDS.to_string();
    let daemon = Daemon::with(&[&[("SOCKEYE_LIMITS__CLOSED_RECORDS", &*closed_records)], limits].concat());
    when_quiet(|attempt| {
        let mut readers = Readers::register(&daemon, attempt);
        let beyond = compare(&daemon, &mut readers);
        let Readers { witness, slow } = readers;
        witness.remove();
        slow.remove();
        beyond.as_ref().map(&check)
    });
}

struct Readers {
    witness: Ledger,
    slow: Ledger,
}

impl Readers {
    fn register(daemon: &Daemon, attempt: u32) -> Self {
        let register = |name: &str| Ledger::register(daemon.socket(), &format!("{name}{attempt}"));
        Self { witness: register("witness"), slow: register("slow") }
    }
}

/// `None` when others on this host closed connections at a time that tells the two readers apart.
fn compare(daemon: &Daemon, readers: &mut Readers) -> Option<Beyond> {
    let Readers { witness, slow } = readers;
    let socket = daemon.socket();
    let given_up_before = given_up(&socket);
    let mut exchange = Exchange::new();
    // One that the slow one is told of while it lives: only the rest of it is added up, or can be lost.
    let mut live = exchange.open(1);
    live.iter_mut().for_each(|pair| pair.send(500));
    let closed = closed_count(&socket);
    witness.poll();
    slow.poll();
    let first = (closed_told(witness), closed_told(slow));
    if first.0 != first.1 || closed_count(&socket) != closed {
        return None;
    }
    live.iter_mut().for_each(|pair| pair.send(70));
    live.into_iter().for_each(Pair::close);
    witness.wait_closed(&exchange.space, 2);
    for burst in 1..=BURSTS {
        exchange.run(BURST, burst);
        witness.wait_closed(&exchange.space, 2 + 2 * BURST * burst);
        if burst == BURSTS / 2 {
            exchange.move_server();
        }
    }
    let closed = closed_count(&socket);
    let answer = slow.poll();
    let given_up_after = given_up(&socket);
    let given_up = (given_up_after.0 - given_up_before.0, given_up_after.1 - given_up_before.1);
    let was_told_all = witness.lost_nothing() && !witness.told.values().any(Told::is_roll_up);
    if closed_count(&socket) != closed || !was_told_all {
        return None;
    }
    check_sums(witness, slow, &answer, &first.1);
    assert_eq!(given_up, lost(&answer, "closed_log_full"), "the status counts them too");
    let next = slow.poll();
    assert_eq!(next["coverage"]["complete"], true, "a loss is told once: {}", next["coverage"]);
    assert_eq!(next["coverage"]["rolled_up"]["connections"], 0, "and so is a roll-up: {}", next["coverage"]);
    Some(Beyond {
        lost: given_up,
        complete: answer["coverage"]["complete"] == true,
        here: slow
            .of(&exchange.space)
            .map(|(_, told)| told)
            .filter(|told| told.closed())
            .map(Told::connections)
            .sum(),
    })
}

/// In connections and bytes; of the slow one's closed connections, `before` were told before the log was full.
fn check_sums(witness: &Ledger, slow: &Ledger, answer: &Value, before: &BTreeSet<String>) {
    let (all, one_by_one) = (closed_told(witness), closed_told(slow));
    let lost = lost(answer, "closed_log_full");
    let rolled_up: Vec<&Told> = slow.told.values().filter(|told| told.is_roll_up()).collect();
    let in_roll_ups: u64 = rolled_up.iter().map(|told| told.connections()).sum();
    assert!(one_by_one.is_subset(&all));
    assert_eq!(one_by_one.len() - before.len(), CLOSED_RECORDS, "the newest ones are kept");
    assert_eq!(answer["coverage"]["rolled_up"]["connections"], in_roll_ups, "{}", answer["coverage"]);
    assert_eq!(one_by_one.len() as u64 + in_roll_ups + lost.0, all.len() as u64, "in connections");
    let in_roll_ups: u64 = rolled_up.iter().map(|told| told.payload()).sum();
    assert_eq!(payload(slow, &all) + in_roll_ups + lost.1, payload(witness, &all), "in bytes");
    for told in rolled_up {
        let serves = if told.last["direction"] == "incoming" { "local" } else { "remote" };
        assert!(told.last[serves]["port"].is_u64(), "{told:?}");
    }
}

/// What the status says was lost for this reason, in connections and bytes.
fn given_up(socket: &Path) -> (u64, u64) {
    let status = get(socket, "/v1/status").json();
    let lost = &status["lost"]["closed_log_full"];
    assert_eq!(lost["connections"], status["counters"]["closed_records_given_up"], "{status}");
    (number(&lost["connections"]), number(&lost["bytes"]))
}

fn closed_count(socket: &Path) -> u64 {
    status_counter(socket, "connections_closed")
}

/// The connections that were told as closed, one by one.
fn closed_told(ledger: &Ledger) -> BTreeSet<String> {
    let closed = ledger.told.iter().filter(|(_, told)| told.closed() && !told.is_roll_up());
    closed.map(|(id, _)| id.clone()).collect()
}

/// Bytes that were told of these connections, live or closed.
fn payload(ledger: &Ledger, of: &BTreeSet<String>) -> u64 {
    of.iter().filter_map(|id| ledger.told.get(id)).map(Told::payload).sum()
}
