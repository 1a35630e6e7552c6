//! Clients of two users that are interrupted in the middle of large answers, one by its death, the other by a cut: what they
//! have in the end is what there was, connection by connection.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;

use crate::curl;
use crate::daemon::Daemon;
use crate::exchange::{Exchange, Pair};
use crate::ledger::{Counters, Ledger, Way, counters, number};
use crate::needs::runs_here;
use crate::raw::Raw;
use crate::wait::until;

const ALICE: u32 = 1000;
const BOB: u32 = 1001;

const LIVE: usize = 5000;
/// So many of them end in each round; in the last, all but so many.
const ENDING: usize = 150;
const SHORT: usize = 30;
/// As much of an answer is read before it is interrupted.
const PART: usize = 300_000;
/// More than that and all buffers on the way.
const LARGE: usize = 2 << 20;

#[test]
fn clients_that_are_interrupted_and_acknowledge_by_reading_have_all_in_the_end() {
    if runs_here(&["curl", "ip"]) {
        interrupt_and_add_up(Way::Itself);
    }
}

#[test]
fn clients_that_are_interrupted_and_say_what_they_have_have_all_in_the_end() {
    if runs_here(&["curl", "ip"]) {
        interrupt_and_add_up(Way::After);
    }
}

fn interrupt_and_add_up(way: Way) {
    let files = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit").1;
    setrlimit(Resource::RLIMIT_NOFILE, files, files).expect("the limit can be reached");
    let daemon = Daemon::with(&[("SOCKEYE_LISTEN__MODE", "0666")]);
    let socket = daemon.socket();
    let mut alice = Ledger::register_as(ALICE, socket.clone(), "alice", way);
    let mut bob = Ledger::register_as(BOB, socket.clone(), "bob", way);
    let mut traffic = Traffic::begin();
    for round in 1..=3 {
        let ending = if round == 3 { LIVE - 3 * ENDING } else { ENDING };
        traffic.go_on(ending);
        kill_in_the_middle(&socket, ALICE, &alice.path());
        cut_in_the_middle(&socket, BOB, &bob.path());
        traffic.go_on(0);
        for ledger in [&mut alice, &mut bob] {
            let lost = (way == Way::After).then(|| ledger.try_poll().json());
            traffic.short();
            let answer = ledger.poll();
            let length = answer.to_string().len();
            assert!(length > LARGE, "{length} bytes fit into buffers, and nothing was interrupted");
            assert!(
                number(&answer["sequence"]) >= ledger.nth(2 * round),
                "each round made an answer that was lost"
            );
            lost.into_iter().for_each(|lost| assert_superset(&answer, &lost));
            check_state(ledger, way);
        }
    }
    for ledger in [&mut alice, &mut bob] {
        until("a quiet end", || {
            let connections = ledger.poll()["connections"].clone();
            let of_traffic = |connection: &&Value| connection["netns"] == traffic.exchange.space.inode();
            let still = connections.as_array().expect("a list").iter().filter(of_traffic).count();
            (still == 0 && ledger.closed(&traffic.exchange.space) == traffic.closed()).then_some(())
        });
        assert!(ledger.lost_nothing());
        traffic.check(ledger);
    }
    let sums = |ledger: &Ledger| -> BTreeMap<String, (Counters, u32)> {
        let told = ledger.of(&traffic.exchange.space);
        told.map(|(id, told)| (id.clone(), (told.sum.clone(), told.closes))).collect()
    };
    assert!(sums(&alice) == sums(&bob), "both were told the same in the end");
}

/// Connections of which each byte is known.
struct Traffic {
    exchange: Exchange,
    live: Vec<(Pair, u64)>,
    /// Port of the near end and bytes, of those that have ended.
    ended: Vec<(u64, u64)>,
}

impl Traffic {
    fn begin() -> Self {
        let exchange = Exchange::new();
        let live = exchange.open(LIVE).into_iter().map(|pair| (pair, 0)).collect();
        Self { exchange, live, ended: Vec::new() }
    }

    /// Every connection grows by a number of bytes of its own, and so many of them end.
    fn go_on(&mut self, ending: usize) {
        for (number, (pair, bytes)) in self.live.iter_mut().enumerate() {
            let more = 1 + number % 7;
            pair.send(more);
            *bytes += more as u64;
        }
        for (pair, bytes) in self.live.drain(..ending) {
            self.ended.push((pair.near_port(), bytes));
            pair.close();
        }
    }

    /// Some that begin and end.
    fn short(&mut self) {
        for bytes in 1..=SHORT {
            let mut pair = self.exchange.open(1).remove(0);
            pair.send(bytes);
            self.ended.push((pair.near_port(), bytes as u64));
            pair.close();
        }
    }

    /// How many ends were closed.
    fn closed(&self) -> usize {
        2 * self.ended.len()
    }

    /// What the client has is what there was, on both ends. A port may have been used twice.
    fn check(&self, ledger: &Ledger) {
        let live = self.live.iter().map(|(pair, bytes)| (pair.near_port(), *bytes, 0));
        let ended = self.ended.iter().map(|(port, bytes)| (*port, *bytes, 1));
        let mut expected: Vec<_> = live.chain(ended).collect();
        expected.sort_unstable();
        for (direction, end) in [("outgoing", "local"), ("incoming", "remote")] {
            let told = ledger.of(&self.exchange.space).map(|(_, told)| told);
            let told = told.filter(|told| told.last["direction"] == direction);
            let mut told: Vec<_> = told.map(|told| (told.port(end), told.payload(), told.closes)).collect();
            told.sort_unstable();
            let differs = expected.iter().zip(&told).find(|(expected, told)| expected != told);
            assert_eq!((differs, told.len()), (None, expected.len()), "{direction}");
        }
    }
}

/// A client that dies with a part of its answer.
fn kill_in_the_middle(socket: &Path, uid: u32, path: &str) {
    let mut client = curl::command(socket, uid, "GET", path);
    let mut client = client.stdout(Stdio::piped()).spawn().expect("curl is installed");
    let mut answer = client.stdout.take().expect("it is a pipe");
    answer.read_exact(&mut vec![0; PART]).expect("the answer goes on");
    client.kill().expect("it is our child");
    let status = client.wait().expect("it is our child");
    assert_eq!(status.signal(), Some(rustix::process::Signal::KILL.as_raw()), "it had not ended by itself");
}

/// A client whose connection is shut down in the middle of its answer.
fn cut_in_the_middle(socket: &Path, uid: u32, path: &str) {
    let mut client = Raw::ask_as(uid, socket, path);
    client.read_some(PART);
    client.cut();
}

/// The client is known to have what it has.
fn check_state(ledger: &Ledger, way: Way) {
    let state =
        until("the end of the poll", || Some(ledger.state()).filter(|state| state["polling"] == false));
    let sequence = ledger.sequence();
    assert_eq!(state["sequence"], sequence, "{state}");
    match way {
        Way::Itself => {
            assert_eq!((&state["acknowledged"], state.get("pending")), (&sequence.into(), None), "{state}");
        }
        Way::After => {
            assert_eq!(state["pending"], sequence, "{state}");
            assert!(number(&state["acknowledged"]) < sequence, "{state}");
        }
    }
}

/// The answer tells everything that one told that was lost.
fn assert_superset(answer: &Value, lost: &Value) {
    assert_eq!((&answer["acknowledged"], &answer["from"]), (&lost["acknowledged"], &lost["from"]));
    assert!(number(&answer["sequence"]) > number(&lost["sequence"]));
    let connections = |answer: &Value| -> BTreeMap<String, Counters> {
        let connections = answer["connections"].as_array().expect("a list").iter();
        connections.map(|told| (told["id"].to_string(), counters(&told["delta"]))).collect()
    };
    let told = connections(answer);
    for (id, lost) in connections(lost) {
        let told = told.get(&id).unwrap_or_else(|| panic!("{id} is missing"));
        assert!(lost.iter().all(|(name, delta)| told[name] >= *delta), "{id}: {lost:?} {told:?}");
    }
}
