//! Answers that did not arrive: nothing of them is missing afterwards, and nothing is told twice.

use crate::curl::get;
use crate::daemon::Daemon;
use crate::exchange::{Exchange, Pair};
use crate::ledger::{Ledger, number};
use crate::needs::runs_here;
use crate::raw::Raw;

/// So many connections make an answer that is larger than all buffers between the daemon and its reader.
const MANY: usize = 1500;
const BYTES: usize = 11;

#[test]
fn an_answer_that_was_not_read_is_told_again_with_what_came_since() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    let mut live: Vec<Pair> = exchange.open(1);
    live.iter_mut().for_each(|pair| pair.send(500));
    ledger.poll();
    assert_eq!((ledger.of(&exchange.space).count(), ledger.sequence()), (2, ledger.nth(1)));

    live.iter_mut().for_each(|pair| pair.send(60));
    exchange.run(3, BYTES);
    let unread = Raw::ask(&daemon.socket(), &ledger.path());
    unread.wait_answer();
    drop(unread);
    live.iter_mut().for_each(|pair| pair.send(7));
    exchange.run(2, BYTES);
    // The ledger checks that the first answer is the acknowledged one.
    let answer = ledger.poll();
    assert_eq!(number(&answer["sequence"]), ledger.nth(3), "the second answer was made and lost");
    assert_eq!(ledger.closed(&exchange.space), 10);
    let near = ledger.find(&exchange.space, "local", live[0].near_port()).expect("it was told");
    assert_eq!((near.bytes(), near.answers), ((567, 0), 2));
    check_sums(&ledger, &exchange);
}

#[test]
fn a_client_that_asks_and_goes_away_at_once_loses_nothing() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    for round in 1..=10 {
        exchange.run(2, BYTES);
        drop(Raw::ask(&daemon.socket(), &ledger.path()));
        ledger.poll();
        assert_eq!(ledger.closed(&exchange.space), 4 * round);
    }
    check_sums(&ledger, &exchange);
}

#[test]
fn an_answer_that_was_cut_in_the_middle_is_told_again_whole() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    exchange.run(MANY, BYTES);
    for part in [1, 1000, 400_000] {
        let mut cut = Raw::ask(&daemon.socket(), &ledger.path());
        cut.read_some(part);
        drop(cut);
    }
    exchange.run(1, BYTES);
    let answer = ledger.poll();
    assert!(number(&answer["sequence"]) >= ledger.nth(4), "three answers were made and lost");
    let body = answer.to_string().len();
    assert!(body > 1 << 20, "{body} bytes fit into buffers, and nothing was cut");
    assert_eq!(ledger.closed(&exchange.space), 2 * (MANY + 1));
    check_sums(&ledger, &exchange);
    let again = ledger.poll();
    assert!(again["coverage"]["complete"].as_bool().is_some_and(|complete| complete), "{again}");
}

#[test]
fn an_answer_that_was_read_and_not_kept_is_told_again_to_a_client_that_says_what_it_has() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let socket = daemon.socket();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let after = |sequence: u64| format!("/v1/clients/a/connections?after={sequence}");
    let exchange = Exchange::new();
    exchange.run(3, BYTES);
    let forgotten = get(&socket, &after(0)).json();
    exchange.run(2, BYTES);
    let unread = Raw::ask(&socket, &after(0));
    unread.wait_answer();
    // The one that nobody reads is no obstacle.
    let kept = ledger.add(get(&socket, &after(0)).json());
    drop(unread);
    assert_eq!((number(&forgotten["sequence"]), number(&kept["sequence"])), (ledger.nth(1), ledger.nth(3)));
    assert_eq!(ledger.closed(&exchange.space), 10);
    exchange.run(1, BYTES);
    ledger.add(get(&socket, &after(ledger.nth(3))).json());
    assert_eq!(ledger.closed(&exchange.space), 12);
    check_sums(&ledger, &exchange);
    let refused = get(&socket, &after(ledger.nth(1)));
    assert_eq!((refused.status, refused.problem().as_str()), (409, "/problems/out-of-sequence"));
    assert_eq!(
        (number(&refused.json()["acknowledged"]), number(&refused.json()["pending"])),
        (ledger.nth(3), ledger.nth(4))
    );
}

/// Every closed connection of the namespace was told once, with the bytes that it carried.
fn check_sums(ledger: &Ledger, exchange: &Exchange) {
    for (id, told) in ledger.of(&exchange.space).filter(|(_, told)| told.closed()) {
        assert_eq!((told.closes, told.answers), (1, 1), "{id}: {told:?}");
        assert_eq!(told.payload(), BYTES as u64, "{id}: {told:?}");
    }
}
