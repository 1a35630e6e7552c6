//! Filters of the configuration, with the real daemon and real traffic.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use serde_json::Value;

use crate::curl;
use crate::daemon::Daemon;
use crate::ledger::status_counter;
use crate::needs::runs_here;
use crate::wait::until;
use crate::world::NetNs;

const SENT: &[u8] = b"twelve bytes";

/// A client, and a namespace in which the tests make connections to servers of their own.
struct Scene {
    daemon: Daemon,
    space: NetNs,
}

/// Bytes sent and connections closed, as they are told of the namespace.
#[derive(Debug, Default, PartialEq)]
struct Sums {
    connections: u64,
    sent_bytes: u64,
}

impl Scene {
    fn with(variables: &[(&str, &str)]) -> Self {
        let scene = Self { daemon: Daemon::with(variables), space: NetNs::new() };
        curl::request(&scene.daemon.socket(), 0, "PUT", "/v1/clients/a");
        scene.space.ip(&["address", "add", "fd00:77::1/128", "dev", "lo", "nodad"]);
        scene
    }

    /// A connection that sends twelve bytes to a server at this address, and ends; two ends that close.
    fn exchange(&self, address: &str, port: u16) {
        let to = SocketAddr::new(address.parse::<IpAddr>().expect("an address"), port);
        self.space.inside(|| {
            let listener = TcpListener::bind(to).expect("the port is free");
            let mut near = TcpStream::connect(to).expect("somebody listens");
            let (mut far, _) = listener.accept().expect("it came");
            near.write_all(SENT).expect("it is open");
            drop(near);
            far.read_to_end(&mut Vec::new()).expect("it ends");
        });
    }

    fn counter(&self, name: &str) -> u64 {
        status_counter(&self.daemon.socket(), name)
    }

    /// Until so many more connections of the namespace have ended.
    fn ended(&self, before: u64, connections: u64) {
        until("the closes", || (self.counter("connections_closed") >= before + connections).then_some(()));
    }

    fn poll(&self) -> (Sums, Value) {
        let answer = curl::get(&self.daemon.socket(), "/v1/clients/a/connections").json();
        let mut sums = Sums::default();
        for told in answer["connections"].as_array().expect("a list") {
            if told["netns"] == self.space.inode() {
                sums.connections += told["rolled_up"].as_u64().expect("a number");
                sums.sent_bytes += told["delta"]["sent_bytes"].as_u64().expect("a number");
            }
        }
        (sums, answer["coverage"].clone())
    }

    /// One exchange at each of these, and what is told of them all. What is excluded of the host besides is counted too.
    fn told_of(&self, ends: &[(&str, u16)], excluded: u64) -> Sums {
        let before = self.counter("connections_closed");
        for (address, port) in ends {
            self.exchange(address, *port);
        }
        self.ended(before, 2 * ends.len() as u64);
        let (sums, coverage) = self.poll();
        let counted = coverage["excluded"]["connections"].as_u64().expect("a number");
        assert!(counted >= excluded, "{coverage}");
        assert!(self.counter("connections_excluded") >= counted, "{coverage}");
        assert_eq!((&coverage["complete"], &coverage["lost"]), (&true.into(), &serde_json::json!({})));
        sums
    }
}

/// Of so many exchanges, both ends.
fn both_ends(exchanges: u64) -> Sums {
    Sums { connections: 2 * exchanges, sent_bytes: exchanges * SENT.len() as u64 }
}

#[test]
fn what_is_excluded_by_port_is_counted_and_the_rest_is_told_in_full() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let scene =
        Scene::with(&[("SOCKEYE_FILTERS__EXCLUDE", "[{ protocol = \"tcp\", port = \"7000-7010\" }]")]);
    let ends = [("127.0.0.1", 7000), ("127.0.0.1", 7011), ("127.0.0.1", 7010), ("::1", 7005)];
    assert_eq!(scene.told_of(&ends, 6), both_ends(1));
    let metrics = curl::get(&scene.daemon.socket(), "/metrics").body;
    let line = metrics.lines().find(|line| line.starts_with("sockeye_connections_excluded_total "));
    let total = line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    assert!(total.is_some_and(|total| total >= 6.0), "{line:?}");
}

#[test]
fn a_live_connection_that_is_excluded_is_in_no_answer() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let scene = Scene::with(&[("SOCKEYE_FILTERS__EXCLUDE", "[{ local_port = 7100 }]")]);
    let to: SocketAddr = ([127, 0, 0, 1], 7100).into();
    let pair = scene.space.inside(|| {
        let listener = TcpListener::bind(to).expect("the port is free");
        let mut near = TcpStream::connect(to).expect("somebody listens");
        near.write_all(SENT).expect("it is open");
        (near, listener.accept().expect("it came"))
    });
    // The end that connected has another port of its own.
    assert_eq!(scene.poll().0, Sums { connections: 1, sent_bytes: SENT.len() as u64 });
    assert_eq!(scene.poll().0, Sums::default());
    drop(pair);
}

#[test]
fn ranges_of_both_families_exclude_by_the_end_that_they_name() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let dest = (
        "SOCKEYE_FILTERS__DEST_EXCLUDES",
        "{ \"127.7.0.0/16\" = [\"tcp *\"], \"fd00:77::/32\" = [\"7200\"] }",
    );
    let source =
        ("SOCKEYE_FILTERS__SOURCE_EXCLUDES", "{ \"127.7.0.0/16\" = [\"*\"], \"fd00:77::1\" = [\"*\"] }");
    let scene = Scene::with(&[dest, source]);
    // Of 127.0.0.1 nothing is said; the ends that connect to 127.7.0.1 have 127.0.0.1, those to fd00:77::1 that address.
    let ends = [("127.7.0.1", 7200), ("127.0.0.1", 7200), ("fd00:77::1", 7200), ("::1", 7200)];
    assert_eq!(scene.told_of(&ends, 4), both_ends(2));
    let only_dest = Scene::with(&[dest]);
    let sums = only_dest.told_of(&[("fd00:77::1", 7201), ("127.7.0.1", 7201)], 1);
    // Of the second the end that accepted is told, which has sent nothing.
    assert_eq!(sums, Sums { connections: 3, sent_bytes: SENT.len() as u64 });
}

#[test]
fn only_what_is_included_is_told_and_a_process_is_known_by_its_name() {
    if !runs_here(&["curl", "ip", "bash"]) {
        return;
    }
    let send = |scene: &Scene| {
        let server = scene.space.inside(|| UdpSocket::bind("127.0.0.1:7300")).expect("the port is free");
        let script = "echo hello > /dev/udp/127.0.0.1/7300";
        let status = scene.space.inside(|| std::process::Command::new("bash").args(["-c", script]).status());
        assert!(status.expect("the shell starts").success());
        server
    };
    let sent = |answer: &Value, scene: &Scene| {
        let all = answer["connections"].as_array().expect("a list").iter();
        let here = all.filter(|told| told["netns"] == scene.space.inode());
        here.map(|told| told["owner"]["command"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let included =
        Scene::with(&[("SOCKEYE_FILTERS__INCLUDE", "[{ process = \"bash\", protocol = \"udp\" }]")]);
    let before = included.counter("connections_closed");
    let server = send(&included);
    included.exchange("127.0.0.1", 7301);
    drop(server);
    included.ended(before, 4);
    let answer = curl::get(&included.daemon.socket(), "/v1/clients/a/connections").json();
    assert_eq!(sent(&answer, &included), ["bash"], "{answer}");

    let excluded = Scene::with(&[("SOCKEYE_FILTERS__EXCLUDE", "[{ process = \"bash\" }]")]);
    let before = excluded.counter("connections_closed");
    drop(send(&excluded));
    excluded.exchange("127.0.0.1", 7301);
    excluded.ended(before, 4);
    let answer = curl::get(&excluded.daemon.socket(), "/v1/clients/a/connections").json();
    let commands = sent(&answer, &excluded);
    assert!(commands.len() == 3 && !commands.contains(&"bash".to_owned()), "{answer}");
}
