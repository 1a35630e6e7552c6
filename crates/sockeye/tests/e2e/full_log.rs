//! The log of closed connections, full: what a client was told and what it lost add up to what there was.
//!
//! A witness who polls after each close loses nothing, so it knows what there was, also of others on this host.

use std::collections::BTreeSet;
use std::path::Path;

use crate::curl::get;
use crate::daemon::Daemon;
use crate::exchange::{Exchange, Pair};
use crate::ledger::{Ledger, Told, lost, number, status_counter};
use crate::limits::when_quiet;
use crate::needs::runs_here;

const CLOSED_RECORDS: usize = 10;
const PAIRS: usize = 30;

#[test]
fn what_is_told_and_what_is_lost_of_a_full_log_add_up_in_connections_and_bytes() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::with(&[("SOCKEYE_LIMITS__CLOSED_RECORDS", &CLOSED_RECORDS.to_string())]);
    when_quiet(|attempt| {
        let mut readers = Readers::register(&daemon, attempt);
        let done = compare(&daemon, &mut readers);
        let Readers { witness, slow } = readers;
        witness.remove();
        slow.remove();
        done
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
fn compare(daemon: &Daemon, readers: &mut Readers) -> Option<()> {
    let Readers { witness, slow } = readers;
    let socket = daemon.socket();
    let given_up_before = given_up(&socket);
    let exchange = Exchange::new();
    // One that the slow one is told of while it lives: only the rest of it can be lost.
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
    for pair in 1..=PAIRS {
        exchange.run(1, pair);
        witness.wait_closed(&exchange.space, 2 + 2 * pair);
    }
    let closed = closed_count(&socket);
    let answer = slow.poll();
    let given_up_after = given_up(&socket);
    let given_up = (given_up_after.0 - given_up_before.0, given_up_after.1 - given_up_before.1);
    if closed_count(&socket) != closed || !witness.lost_nothing() {
        return None;
    }

    let (all, told) = (closed_told(witness), closed_told(slow));
    let lost = lost(&answer, "closed_log_full");
    assert!(told.is_subset(&all));
    assert_eq!(told.len() - first.1.len(), CLOSED_RECORDS, "the newest ones are kept");
    assert_eq!(told.len() as u64 + lost.0, all.len() as u64, "in connections");
    assert_eq!(payload(slow, &all) + lost.1, payload(witness, &all), "in bytes");
    assert!(lost.0 >= (2 * PAIRS + 2 - CLOSED_RECORDS) as u64);
    assert_eq!(answer["coverage"]["complete"], false);
    assert_eq!(given_up, lost, "the status counts them too");
    let next = slow.poll();
    assert_eq!(next["coverage"]["complete"], true, "a loss is told once: {}", next["coverage"]);
    Some(())
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

/// The connections that were told as closed.
fn closed_told(ledger: &Ledger) -> BTreeSet<String> {
    let closed = ledger.told.iter().filter(|(_, told)| told.closed());
    closed.map(|(id, _)| id.clone()).collect()
}

/// Bytes that were told of these connections, live or closed.
fn payload(ledger: &Ledger, of: &BTreeSet<String>) -> u64 {
    of.iter().filter_map(|id| ledger.told.get(id)).map(Told::payload).sum()
}
