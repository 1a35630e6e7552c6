//! Lookups of connections that filters exclude are told as little as the connections.

use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::ledger::Way;
use crate::needs::runs_here;
use crate::resolvers::{self, NameServer, PROGRAMS, dig};
use crate::told_lookups::Client;
use crate::wait::{until, within};
use crate::world::{RIGHT_V4, VethPair};

const OTHER: &str = "10.9.0.71";

#[test]
fn lookups_are_told_of_connections_that_the_filters_show() {
    if !runs_here(PROGRAMS) {
        return;
    }
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
