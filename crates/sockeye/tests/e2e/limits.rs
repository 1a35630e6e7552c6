//! Every bound of the configuration, reached: what happens there, and where it is counted. That of the log of
//! closed connections is in `full_log`, that of one user's clients in `users`, and what the kernel side adds up
//! when it has no room in `roll_ups`.

use std::io::Write;

use serde_json::Value;

use crate::curl::{get, request};
use crate::daemon::Daemon;
use crate::exchange::{Exchange, Pair};
use crate::ledger::{Ledger, number, status_counter};
use crate::needs::runs_here;
use crate::raw::Raw;
use crate::wait::until;

const BYTES: usize = 50;

/// Some counters hold the whole host. When others were active meanwhile the attempt gives nothing, and the next
/// one begins anew.
pub fn when_quiet<T>(attempt: impl FnMut(u32) -> Option<T>) -> T {
    (0..10).find_map(attempt).expect("the host has no other traffic for once in ten times")
}

fn complete(answer: &Value) -> bool {
    answer["coverage"]["complete"].as_bool().expect("every answer says it")
}

#[test]
fn clients_beyond_the_limit_are_refused_and_none_is_expired_for_them() {
    if !runs_here(&["curl"]) {
        return;
    }
    let daemon = Daemon::with(&[("SOCKEYE_LIMITS__CLIENTS", "3")]);
    let socket = daemon.socket();
    let mut ledgers = ["a", "b", "c"].map(|id| Ledger::register(daemon.socket(), id));
    let refused = request(&socket, 0, "PUT", "/v1/clients/d");
    assert_eq!((refused.status, refused.problem().as_str()), (429, "/problems/too-many-clients"));
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    let refused = get(&socket, "/network_tracer/connections?client_id=d");
    assert_eq!(refused.status, 429, "a poll that would register is refused as well: {refused:?}");
    for ledger in &mut ledgers {
        ledger.poll();
    }
    let status = get(&socket, "/v1/status").json();
    assert_eq!((&status["clients"], &status["limits"]["clients"]), (&3.into(), &3.into()));
    assert_eq!(status["counters"]["clients_refused"], 2);
    let [first, ..] = ledgers;
    first.remove();
    Ledger::register(socket, "d").poll();
}

#[test]
fn polls_beyond_the_limit_are_refused_until_one_is_done() {
    if !runs_here(&["curl"]) {
        return;
    }
    let daemon = Daemon::with(&[("SOCKEYE_LIMITS__POLLS", "1")]);
    let slow = Ledger::register(daemon.socket(), "slow");
    let mut other = Ledger::register(daemon.socket(), "other");
    let unread = Raw::ask(&daemon.socket(), &slow.path());
    unread.wait_answer();
    let answer = other.try_poll();
    assert_eq!(answer.status, 200, "an answer that is in the socket has no place");
    other.add(answer.json());
    // One that waits for that answer to be read has one.
    let waiting = Raw::ask(&daemon.socket(), &slow.path());
    let refused = until("a poll that is refused", || {
        let answer = other.try_poll();
        if answer.status == 200 {
            other.add(answer.json());
            return None;
        }
        Some(answer)
    });
    assert_eq!((refused.status, refused.problem().as_str()), (429, "/problems/too-many-polls"));
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!(get(&daemon.socket(), "/readyz").status, 200, "only polls are bounded");
    drop((unread, waiting));
    let answer =
        until("the end of the first poll", || Some(other.try_poll()).filter(|answer| answer.status == 200));
    other.add(answer.json());
}

#[test]
fn sockets_for_which_the_table_has_no_slot_are_counted_and_told_whole_when_they_close() {
    const PAIRS: usize = 20;
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::with(&[("SOCKEYE_LIMITS__TCP_SLOTS", "8")]);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    ledger.poll();
    let spilled_before = status_counter(&daemon.socket(), "kernel_spilled_now");
    let mut live = exchange.open(PAIRS);
    live.iter_mut().for_each(|pair| pair.send(BYTES));
    let answer = ledger.poll();
    let followed = ledger.of(&exchange.space).count();
    assert!(followed <= 8, "{followed} followed");
    let missed = (2 * PAIRS - followed) as u64;
    let untracked = number(&answer["coverage"]["untracked"]);
    assert!(untracked >= missed && !complete(&answer), "{missed} missed: {}", answer["coverage"]);
    let again = ledger.poll();
    assert!(number(&again["coverage"]["untracked"]) >= missed, "as long as they live: {}", again["coverage"]);
    assert!(status_counter(&daemon.socket(), "kernel_spilled") >= missed);
    live.into_iter().for_each(Pair::close);
    ledger.wait_closed(&exchange.space, 2 * PAIRS);
    for (id, told) in ledger.of(&exchange.space) {
        assert_eq!((told.payload(), told.closes), (BYTES as u64, 1), "{id}: {told:?}");
        assert_eq!(told.last["owner"]["pid"], std::process::id(), "{id}: {told:?}");
    }
    until("the slots to be free again", || {
        ledger.poll();
        (status_counter(&daemon.socket(), "kernel_spilled_now") <= spilled_before).then_some(())
    });
}

#[test]
fn sockets_beyond_all_slots_are_counted_as_untracked() {
    const PAIRS: usize = 20;
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::with(&[("SOCKEYE_LIMITS__TCP_SLOTS", "8"), ("SOCKEYE_LIMITS__SPILLED_SLOTS", "5")]);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    let mut live = exchange.open(PAIRS);
    live.iter_mut().for_each(|pair| pair.send(BYTES));
    let answer = ledger.poll();
    let missed = (2 * PAIRS - 8 - 5) as u64;
    assert!(number(&answer["coverage"]["untracked"]) >= missed && !complete(&answer), "{answer}");
    assert!(status_counter(&daemon.socket(), "kernel_table_full") >= missed);
    live.into_iter().for_each(Pair::close);
    // Those that found room when they were closed are told after all, the others counted.
    until("the closes", || {
        ledger.poll();
        let unclaimed = status_counter(&daemon.socket(), "kernel_closed_unclaimed");
        (ledger.closed(&exchange.space) as u64 + unclaimed >= 2 * PAIRS as u64).then_some(())
    });
    let mut later = exchange.open(1);
    later.iter_mut().for_each(|pair| pair.send(BYTES));
    let port = later.first().expect("one was opened").near_port();
    later.into_iter().for_each(Pair::close);
    until("the new connection, for which there is room again", || {
        ledger.poll();
        ledger.find(&exchange.space, "local", port).filter(|told| told.closed()).map(|_| ())
    });
}

#[test]
fn live_connections_beyond_the_limit_are_counted_and_told_when_they_close() {
    const PAIRS: usize = 5;
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::with(&[("SOCKEYE_LIMITS__LIVE_CONNECTIONS", "4")]);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    let mut live = exchange.open(PAIRS);
    live.iter_mut().for_each(|pair| pair.send(BYTES));
    let answer = ledger.poll();
    let followed = ledger.of(&exchange.space).count();
    assert!(followed <= 4, "{followed} followed");
    let missed = (2 * PAIRS - followed) as u64;
    assert!(number(&answer["coverage"]["untracked"]) >= missed && !complete(&answer), "{answer}");
    let status = get(&daemon.socket(), "/v1/status").json();
    assert!(number(&status["live_connections"]) <= 4, "{status}");
    assert!(number(&status["counters"]["connections_without_room"]) >= missed, "{status}");
    live.iter_mut().for_each(|pair| pair.send(BYTES));
    live.into_iter().for_each(Pair::close);
    ledger.wait_closed(&exchange.space, 2 * PAIRS);
    for (id, told) in ledger.of(&exchange.space) {
        assert_eq!((told.payload(), told.closes), (2 * BYTES as u64, 1), "{id}: {told:?}");
    }
}

#[test]
fn a_reset_connection_that_finds_no_place_to_wait_is_told_at_once() {
    const PAIRS: usize = 6;
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::with(&[("SOCKEYE_LIMITS__DEFERRED_RECORDS", "1")]);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    let held: Vec<_> = exchange.open(PAIRS).into_iter().map(reset_by_the_near_end).collect();
    ledger.wait_closed(&exchange.space, 2 * PAIRS);
    let waited = status_counter(&daemon.socket(), "kernel_deferred");
    assert!(waited >= 1, "none had to wait, which proves nothing");
    assert!(waited < PAIRS as u64, "{waited} waited in one place");
    drop(held);
    ledger.poll();
    for (id, told) in ledger.of(&exchange.space) {
        assert_eq!((told.payload(), told.closes), (BYTES as u64, 1), "{id}: {told:?}");
    }
}

/// Closes the near end over bytes that it has not read, which resets the connection; gives the far end, open.
fn reset_by_the_near_end(mut pair: Pair) -> std::net::TcpStream {
    pair.far.write_all(&[b'x'; BYTES]).expect("the other end is open");
    until("the bytes to be there", || pair.near.peek(&mut [0]).ok().filter(|length| *length > 0));
    drop(pair.near);
    pair.far
}
