//! Thousands of lookups at once: each is told, or it is told that something is missing, to the last message.
//!
//! The tests are client and server themselves, each on a port that no other has, so that its daemon sees nothing else.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::curl::get;
use crate::daemon::Daemon;
use crate::ledger::{Way, number};
use crate::needs::runs_here;
use crate::told_lookups::{Client, Tally};
use crate::wait::until;
use crate::world::{RIGHT_V4, VethPair};

const LOOKUPS: u16 = 5000;
const NAMES: u16 = 50;
/// Query and answer, each at both ends.
const MESSAGES: u64 = 4 * LOOKUPS as u64;
/// Queries that are sent before their answers are read; a socket holds more.
const AT_ONCE: u16 = 50;

/// A query of type A.
fn query(id: u16, name: &str) -> Vec<u8> {
    let mut query = [id.to_be_bytes(), [1, 0], [0, 1], [0; 2], [0; 2], [0; 2]].concat();
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).expect("labels are short"));
        query.extend(label.bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    query
}

/// Answers each query with one address.
fn serve(server: &UdpSocket) {
    let mut buffer = [0; 512];
    for _ in 0..LOOKUPS {
        let (bytes, from) = server.recv_from(&mut buffer).expect("it comes");
        let mut answer = buffer[..bytes].to_vec();
        // An answer, with one record that has the name of the question.
        answer[2] |= 0x80;
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
        server.send_to(&answer, from).expect("it can be sent");
    }
}

fn name(of: u16) -> String {
    format!("name-{}.burst.test", of % NAMES)
}

/// All lookups, from one socket. Gives how long they took.
fn burst(world: &VethPair, port: u16) -> Duration {
    let server = world.right.inside(|| UdpSocket::bind((RIGHT_V4, port))).expect("the port is free");
    let client = world.left.inside(|| {
        let client = UdpSocket::bind("0.0.0.0:0")?;
        client.connect((RIGHT_V4, port)).map(|()| client)
    });
    let client = client.expect("there is a route");
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has a time-out");
    }
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| serve(&server));
        for first in (0..LOOKUPS).step_by(AT_ONCE.into()) {
            for id in first..first + AT_ONCE {
                client.send(&query(id, &name(id))).expect("it can be sent");
            }
            for _ in 0..AT_ONCE {
                let received = client.recv(&mut [0; 512]);
                received.unwrap_or_else(|error| panic!("an answer: {error}"));
            }
        }
    });
    begin.elapsed()
}

fn daemon(port: u16, variables: &[(&str, &str)]) -> Daemon {
    let ports = format!("[{port}]");
    Daemon::with(&[&[("SOCKEYE_COLLECT__DNS_PORTS", ports.as_str())], variables].concat())
}

/// Polls until every message was seen or counted as lost; gives the last answer and the counters of the status.
fn poll_all(client: &mut Client, world: &VethPair, socket: &Path) -> (Value, Value) {
    until("every message", || {
        let answer = client.poll(&world.left);
        let counters = get(socket, "/v1/status").json()["counters"].take();
        let of = |name: &str| number(&counters[name]);
        let seen = of("dns_messages") + of("dns_served");
        let all = seen + of("kernel_payloads_lost");
        assert!(all <= MESSAGES, "{all} of {MESSAGES} messages: {counters}");
        (all == MESSAGES).then_some((answer, counters))
    })
}

#[test]
fn thousands_of_lookups_at_once_are_all_told() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let world = VethPair::new();
    // Room for all messages: whether there is enough does not depend on who else has the processors.
    let daemon = daemon(5301, &[("SOCKEYE_LIMITS__PAYLOAD_RING_BYTES", "8388608")]);
    let mut client = Client::register(daemon.socket(), "a", Way::Itself);
    let took = burst(&world, 5301);
    let (answer, counters) = poll_all(&mut client, &world, &daemon.socket());
    assert_eq!(number(&counters["kernel_payloads_lost"]), 0, "{counters}");
    let Tally { answers, success_us, failure_us, .. } = &client.tally;
    let each = u64::from(LOOKUPS / NAMES);
    for id in 0..NAMES {
        let told = answers.get(&(name(id), "A".to_owned()));
        assert_eq!(told, Some(&[("NOERROR".to_owned(), each)].into()), "{}", name(id));
    }
    assert_eq!((answers.len(), *failure_us), (NAMES.into(), 0));
    let at_once = took * u32::from(AT_ONCE);
    assert!(*success_us > 0 && u128::from(*success_us) < at_once.as_micros(), "{success_us} of {took:?}");
    let lost = &answer["coverage"]["lookups_lost"];
    assert_eq!((number(&lost["lookups"]), number(&lost["messages"])), (0, 0), "{lost}");
    eprintln!("{LOOKUPS} lookups took {took:?}, on average {} µs each", success_us / u64::from(LOOKUPS));
}

#[test]
fn of_lookups_that_find_no_room_the_missing_messages_are_told_exactly() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let world = VethPair::new();
    let daemon = daemon(5302, &[]);
    let mut client = Client::register(daemon.socket(), "a", Way::Itself);
    // Nobody takes messages out of the ring meanwhile.
    daemon.signal(Signal::STOP);
    let _ = burst(&world, 5302);
    daemon.signal(Signal::CONT);
    let (answer, counters) = poll_all(&mut client, &world, &daemon.socket());
    let of = |name: &str| number(&counters[name]);
    let lost = &answer["coverage"]["lookups_lost"];
    assert!(of("kernel_payloads_lost") > 0, "more than the ring holds: {counters}");
    assert_eq!(
        (number(&lost["messages"]), number(&lost["lookups"])),
        (of("kernel_payloads_lost"), 0),
        "{lost}"
    );
    assert!(client.tally.answered() > 0, "what found room is told");
    assert_eq!(client.tally.answered() + client.tally.timed_out(), of("dns_answers") + of("dns_timed_out"));
    assert_eq!(
        of("dns_queries"),
        of("dns_answers") + of("dns_timed_out") + of("dns_pending"),
        "each is told or waits: {counters}"
    );
}

#[test]
fn of_more_lookups_than_are_kept_the_oldest_are_told_as_lost() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let world = VethPair::new();
    let daemon =
        daemon(5303, &[("SOCKEYE_LIMITS__PAYLOAD_RING_BYTES", "8388608"), ("SOCKEYE_LIMITS__LOOKUPS", "10")]);
    let mut client = Client::register(daemon.socket(), "a", Way::Itself);
    burst(&world, 5303);
    let (answer, _) = poll_all(&mut client, &world, &daemon.socket());
    let lost = &answer["coverage"]["lookups_lost"];
    let told = client.tally.answered();
    assert!(told > 0 && client.tally.answers.len() >= 10, "{:#?}", client.tally);
    assert_eq!(told + number(&lost["lookups"]), u64::from(LOOKUPS), "{lost}");
    assert_eq!(number(&lost["messages"]), 0, "{lost}");
}
