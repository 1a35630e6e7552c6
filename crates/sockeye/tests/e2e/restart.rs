//! A daemon that was killed and started again: the gap is plain to see, and nothing old is told as new.

use std::rc::Rc;

use crate::curl;
use crate::daemon::{Daemon, socket_in};
use crate::exchange::{Exchange, Pair};
use crate::ledger::{Ledger, bytes, counters};
use crate::needs::runs_here;
use crate::place::Place;

#[test]
fn after_a_kill_and_a_restart_older_bytes_are_apart_and_the_instance_is_new() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let place = Rc::new(Place::new());
    let exchange = Exchange::new();
    let first = Daemon::start_in(&place, &[]);
    let mut ledger = Ledger::register(first.socket(), "a");
    let mut live: Vec<Pair> = exchange.open(2);
    live.iter_mut().for_each(|pair| pair.send(1000));
    let first_answer = ledger.poll();
    let port = live[0].near_port();
    let near = ledger.find(&exchange.space, "local", port).expect("it was told");
    assert_eq!((near.bytes(), &near.last["pre_existing"]), ((1000, 0), &false.into()));
    first.kill();
    assert!(socket_in(&place).exists(), "a killed daemon leaves its socket behind");
    // Nobody counts these.
    live.iter_mut().for_each(|pair| pair.send(200));

    let second = Daemon::start_in(&place, &[]);
    let forgotten = curl::get(&second.socket(), &ledger.path());
    assert_eq!((forgotten.status, forgotten.problem().as_str()), (404, "/problems/unknown-client"));
    let mut ledger = Ledger::register(second.socket(), "a");
    let answer = ledger.poll();
    assert!(answer["instance"].is_string());
    assert_ne!(answer["instance"], first_answer["instance"]);
    for (end, before) in [("local", (1200, 0)), ("remote", (0, 1200))] {
        let told = ledger.find(&exchange.space, end, port).expect("it was adopted");
        assert_eq!(bytes(&counters(&told.last["before"])), before, "{told:?}");
        assert_eq!((&told.last["pre_existing"], told.bytes()), (&true.into(), (0, 0)), "{told:?}");
        assert!(told.last["opened_at"].is_null(), "unknown is absent: {told:?}");
        let pid = &told.last["owner"]["pid"];
        assert_eq!(pid, &std::process::id(), "{told:?}");
    }

    live.iter_mut().for_each(|pair| pair.send(34));
    ledger.poll();
    live.into_iter().for_each(Pair::close);
    ledger.wait_closed(&exchange.space, 4);
    for (id, told) in ledger.of(&exchange.space) {
        assert_eq!((told.payload(), told.closes), (34, 1), "{id}: {told:?}");
    }
}

#[test]
fn every_run_has_an_instance_of_its_own() {
    if !runs_here(&["curl"]) {
        return;
    }
    let place = Rc::new(Place::new());
    let mut instances = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let daemon = Daemon::start_in(&place, &[]);
        let status = curl::get(&daemon.socket(), "/v1/status").json();
        let answer = Ledger::register(daemon.socket(), "a").poll();
        assert_eq!(answer["instance"], status["instance"], "one name everywhere");
        instances.insert(answer["instance"].as_str().expect("a name").to_owned());
    }
    assert_eq!(instances.len(), 3);
}
