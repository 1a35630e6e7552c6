//! Queries that nobody answers are told when their connections were told already, unless filters exclude those: then they
//! are told as little as their connections.

use std::time::{Duration, Instant};

use crate::curl::get;
use crate::daemon::Daemon;
use crate::ledger::{Way, number};
use crate::needs::runs_here;
use crate::resolvers::{self, NameServer, PROGRAMS, dig};
use crate::told_lookups::{Client, Tally, list, reference};
use crate::wait::{until, within};
use crate::world::{RIGHT_V4, VethPair};

const OTHER: &str = "10.9.0.71";

/// Both wait for a quarter of a minute, and so they wait together.
#[test]
fn a_query_without_an_answer_is_told_after_its_connection_if_that_is_told_at_all() {
    if runs_here(PROGRAMS) {
        std::thread::scope(|scope| {
            scope.spawn(told_after_its_connection);
            scope.spawn(not_told_of_excluded_connections);
        });
    }
}

fn told_after_its_connection() {
    let world = VethPair::new();
    let _silent = resolvers::silent(&world.right, RIGHT_V4, 53);
    let daemon = Daemon::start();
    let mut client = Client::register(daemon.socket(), "a", Way::Itself);
    assert_eq!(get(&daemon.socket(), "/network_tracer/register?client_id=b").status, 200);
    let mut command = std::process::Command::new("dig");
    command.args(["-r", "+tries=1", "+timeout=1", &format!("@{RIGHT_V4}"), "silent.test", "A"]);
    let begin = std::time::Instant::now();
    let output = world.left.inside(|| command.output()).expect("dig is installed");
    assert!(!output.status.success(), "nobody answers");

    let connection = until("the connection", || {
        let answer = client.poll(&world.left);
        let all = list(&answer["connections"]).iter();
        let mut here = all.filter(|told| told["netns"] == world.left.inode() && told["state"] == "closed");
        here.find(|told| told["remote"]["port"] == 53).cloned()
    });
    let _ = reference(&daemon.socket(), "b");
    assert_eq!((client.tally.answered(), client.tally.timed_out()), (0, 0), "nothing is known so early");
    let waiting = Duration::from_secs(25);
    within(waiting, || {
        client.poll(&world.left);
        (client.tally.timed_out() > 0).then_some(())
    })
    .expect("it is told");
    let after = begin.elapsed();
    assert!(after >= Duration::from_secs(15), "{after:?}");
    let [one] = &client.tally.alone[..] else { panic!("one, apart: {:#?}", client.tally) };
    assert_eq!(
        (&one["domain"], &one["query_type"], number(&one["timed_out"])),
        (&"silent.test".into(), &"A".into(), 1)
    );
    for field in ["/local", "/remote/address", "/remote/port", "/protocol"] {
        assert_eq!(one.pointer(field), connection.pointer(field), "{field}: {one} of {connection}");
    }
    assert_eq!((&one["connection"], &one["pid"]), (&connection["id"], &connection["owner"]["pid"]));
    assert_eq!(one["responses"].as_object().map(serde_json::Map::len), Some(0), "{one}");
    let mut old = Tally::default();
    old.add_reference(&reference(&daemon.socket(), "b"), &world.left);
    assert_eq!(old.timed_out, client.tally.timed_out);
    client.poll(&world.left);
    assert_eq!(client.tally.timed_out(), 1, "once");
}

fn not_told_of_excluded_connections() {
    let world = VethPair::new();
    world.right.ip(&["address", "add", &format!("{OTHER}/24"), "dev", "cable"]);
    let zone = "host-record=seen.test,10.9.0.72\nhost-record=hidden.test,10.9.0.73";
    let _server = NameServer::dnsmasq(&world.right, &[RIGHT_V4, OTHER], zone);
    let _silent = [RIGHT_V4, OTHER].map(|address| resolvers::silent(&world.right, address, 5454));
    let ports = ("SOCKEYE_COLLECT__DNS_PORTS", "[53, 5454]");
    let exclude = ("SOCKEYE_FILTERS__EXCLUDE", format!("[{{ remote = \"{OTHER}/32\" }}]"));
    let daemon = Daemon::with(&[ports, (exclude.0, &exclude.1)]);
    let mut client = Client::register(daemon.socket(), "a", Way::Itself);
    let begin = Instant::now();
    for (server, name) in [(RIGHT_V4, "seen.test"), (OTHER, "hidden.test")] {
        dig(&world.left, &[&format!("@{server}")], &[(name, "A")]);
        let mut unanswered = std::process::Command::new("dig");
        unanswered.args(["-r", "+tries=1", "+timeout=1", "-p", "5454", &format!("@{server}"), name, "A"]);
        let output = world.left.inside(|| unanswered.output()).expect("dig is installed");
        assert!(!output.status.success(), "nobody answers");
    }
    until("the lookup", || {
        client.poll(&world.left);
        (client.tally.answered() > 0).then_some(())
    });
    // The excluded one is the later of the two.
    let both = within(Duration::from_secs(30), || {
        client.poll(&world.left);
        let is_over = begin.elapsed() > Duration::from_secs(18);
        (is_over && client.tally.timed_out() > 0).then_some(())
    });
    assert!(both.is_some(), "{:#?}", client.tally);
    client.poll(&world.left);
    let key = ("seen.test".to_owned(), "A".to_owned());
    assert_eq!(client.tally.answers, [(key.clone(), [("NOERROR".to_owned(), 1)].into())].into());
    assert_eq!(client.tally.timed_out, [(key, 1)].into());
}
