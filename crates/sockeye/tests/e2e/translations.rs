//! Connections whose addresses a router translates, as both dialects tell their ends, and the debug pages of connection
//! tracking.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::curl;
use crate::daemon::Daemon;
use crate::echo::{Echo, ask, fetch};
use crate::ledger::{Ledger, Told, status_counter};
use crate::needs::runs_here;
use crate::routed::{PUBLIC_PORT, ROUTER_V4, ROUTER_V6, Routed, SERVER_V4, SERVER_V6};
use crate::wait::{until, within};
use crate::world::NetNs;

const PROGRAMS: &[&str] = &["curl", "ip", "nft", "bash", "python3"];

/// One exchange through the router: the address of the router that was asked, that of the server, and who talked to the
/// server in its eyes.
struct Spoken {
    protocol: &'static str,
    router: &'static str,
    server: &'static str,
    masked: SocketAddr,
}

/// A curl and a shell talk to the server over both families, one after the other, and end.
fn speak(routed: &Routed, echo: &Echo) -> Vec<Spoken> {
    let mut spoken = Vec::new();
    for (router, server) in [(ROUTER_V4, SERVER_V4), (ROUTER_V6, SERVER_V6)] {
        for protocol in ["tcp", "udp"] {
            match protocol {
                "tcp" => drop(fetch(&routed.client, router, PUBLIC_PORT, &[])),
                _ => ask(&routed.client, router, PUBLIC_PORT),
            }
            let masked = *echo.heard(protocol).last().expect("the server has answered");
            spoken.push(Spoken { protocol, router, server, masked });
        }
    }
    spoken
}

impl Spoken {
    /// The end of the namespace.
    fn end<'a>(&self, all: impl Iterator<Item = &'a Value>, near: &str) -> Option<&'a Value> {
        let is_it = |found: &&Value| {
            let (protocol, end) = match found["laddr"].is_null() {
                true => (&found["protocol"], &found["local"]["address"]),
                false => (&found["type"], &found["laddr"]["ip"]),
            };
            *protocol == self.protocol && *end == near
        };
        all.into_iter().find(is_it)
    }

    fn client_address(&self) -> &'static str {
        if self.router == ROUTER_V4 { "10.1.0.1" } else { "fd01::1" }
    }

    fn masked(&self) -> Value {
        json!({"address": self.masked.ip().to_string(), "port": self.masked.port()})
    }
}

fn values<'a>(ledger: &'a Ledger, space: &NetNs) -> impl Iterator<Item = &'a Value> {
    ledger.of(space).map(|(_, told)| told).map(|Told { last, .. }| last)
}

/// Both ends of all, once the client has ended.
fn both_ends<'a>(
    ledger: &'a mut Ledger,
    routed: &Routed,
    spoken: &'a [Spoken],
) -> Vec<(&'a Spoken, Value, Value)> {
    until("both ends of all", || {
        ledger.poll();
        let ends = spoken.iter().filter_map(|spoken| {
            let near = spoken.end(values(ledger, &routed.client), spoken.client_address())?;
            let far = spoken.end(values(ledger, &routed.server), spoken.server)?;
            (near["state"] == "closed").then(|| (spoken, near.clone(), far.clone()))
        });
        Some(ends.collect::<Vec<_>>()).filter(|ends| ends.len() == spoken.len())
    })
}

fn check_native(routed: &Routed, echo: &Echo, (spoken, near, far): &(&Spoken, Value, Value)) {
    let side = |address: &str, port: u16| json!({"address": address, "port": port});
    let behind = json!({"local": spoken.masked(), "remote": side(spoken.server, 80)});
    assert_eq!(near["nat"], behind, "{near}");
    assert_eq!(near["remote"]["address"], spoken.router, "what the socket has is told as it is");
    let seen = json!({"local": side(spoken.router, PUBLIC_PORT), "remote": near["local"]});
    assert_eq!(far["nat"], seen, "{far}");
    assert_eq!((&near["intra_host"], &far["intra_host"]), (&true.into(), &true.into()), "{near}\n{far}");
    let netns = (&near["remote"]["netns"], &far["remote"]["netns"]);
    assert_eq!(netns, (&routed.server.inode().into(), &routed.client.inode().into()), "{near}\n{far}");
    assert_eq!(near["remote"]["owner"]["pid"], echo.pid(), "{near}");
    assert_eq!(far["remote"]["owner"]["pid"], near["owner"]["pid"], "{far}");
    let client = if spoken.protocol == "tcp" { "curl" } else { "bash" };
    assert_eq!(
        (&near["owner"]["command"], &far["remote"]["owner"]["command"]),
        (&client.into(), &client.into())
    );
}

#[test]
fn both_ends_of_what_is_translated_are_told_with_it_though_the_client_has_ended() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let routed = Routed::new();
    let echo = Echo::start(&routed.server, &[]);
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    assert_eq!(curl::get(&daemon.socket(), "/network_tracer/register?client_id=b").status, 200);
    until("the listening", || (status_counter(&daemon.socket(), "nat_namespaces") >= 3).then_some(()));
    let spoken = speak(&routed, &echo);
    for ends in both_ends(&mut ledger, &routed, &spoken) {
        check_native(&routed, &echo, &ends);
    }
    check_reference(&daemon, &routed, &spoken);
    check_pages(&daemon, &routed, &spoken);
}

#[test]
fn namespaces_that_are_younger_than_the_daemon_are_listened_to_soon() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let listened = || status_counter(&daemon.socket(), "nat_namespaces");
    let before = until("the listening", || Some(listened()).filter(|listened| *listened > 0));
    let routed = Routed::new();
    let echo = Echo::start(&routed.server, &[]);
    fetch(&routed.client, ROUTER_V4, PUBLIC_PORT, &[]);
    // Nobody asks for a connection, and all are looked for every ten seconds without that.
    let soon = within(Duration::from_secs(5), || (listened() >= before + 3).then_some(()));
    assert!(soon.is_some(), "{} from {before}", listened());
    until("the listings", || (status_counter(&daemon.socket(), "nat_entries") > 0).then_some(()));
    ledger.wait_closed(&routed.client, 1);
    let told = values(&ledger, &routed.client).next().expect("it is told");
    let masked = echo.heard("tcp")[0];
    assert_eq!(told["nat"]["local"], json!({"address": masked.ip(), "port": masked.port()}), "{told}");
}

#[test]
fn all_of_a_crowd_that_has_gone_are_told_with_their_translations() {
    const CROWD: usize = 400;
    if !runs_here(PROGRAMS) {
        return;
    }
    let routed = Routed::new();
    let echo = Echo::start(&routed.server, &[]);
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    until("the listening", || (status_counter(&daemon.socket(), "nat_namespaces") >= 3).then_some(()));
    let crowd = format!(
        "
import socket
for _ in range({CROWD}):
    s = socket.create_connection(('{ROUTER_V4}', {PUBLIC_PORT}))
    s.sendall(b'x')
    while s.recv(100): pass
    s.close()
"
    );
    let client = || Command::new("python3").args(["-c", &crowd]).status();
    assert!(routed.client.inside(client).expect("python is installed").success());
    ledger.wait_closed(&routed.client, CROWD);
    ledger.wait_closed(&routed.server, CROWD);
    let masked: BTreeSet<u16> = echo.heard("tcp").iter().map(SocketAddr::port).collect();
    let behind =
        |told: &Value| told["nat"]["local"]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let told: BTreeSet<u16> = values(&ledger, &routed.client).filter_map(behind).collect();
    assert_eq!(told, masked);
    for (space, other) in [(&routed.client, &routed.server), (&routed.server, &routed.client)] {
        for told in values(&ledger, space) {
            assert_eq!(
                (&told["intra_host"], &told["remote"]["netns"]),
                (&true.into(), &other.inode().into()),
                "{told}"
            );
            assert!(told["nat"].is_object() && told["route"].is_object(), "{told}");
            assert!(told["owner"]["executable"].is_string(), "{told}");
        }
    }
}

#[test]
fn what_is_older_than_the_daemon_is_told_with_its_translation_and_its_other_end() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let routed = Routed::new();
    let echo = Echo::start(&routed.server, &[]);
    let connect = |router| routed.client.inside(|| TcpStream::connect((router, PUBLIC_PORT)));
    let old = [ROUTER_V4, ROUTER_V6].map(|router| connect(router).expect("the router lets it through"));
    let daemon = Daemon::start();
    let listing = format!("/v1/connections?remote_port={PUBLIC_PORT}&netns={}", routed.client.inode());
    let told = until("the translations", || {
        let told = curl::get(&daemon.socket(), &listing).json()["connections"].clone();
        let known = |told: &Value| told["nat"].is_object() && told["remote"]["owner"].is_object();
        let all = told.as_array().expect("a list").iter().all(known);
        (all && told.as_array().is_some_and(|told| told.len() == old.len())).then_some(told)
    });
    for told in told.as_array().expect("a list") {
        let is_v4 = told["remote"]["address"] == ROUTER_V4;
        let server = if is_v4 { SERVER_V4 } else { SERVER_V6 };
        assert_eq!(told["pre_existing"], true, "{told}");
        assert_eq!(told["nat"]["remote"], json!({"address": server, "port": 80}), "{told}");
        assert_eq!(
            (&told["intra_host"], &told["owner"]["pid"]),
            (&true.into(), &std::process::id().into()),
            "{told}"
        );
        assert_eq!(told["remote"]["netns"], routed.server.inode(), "{told}");
        assert_eq!(told["remote"]["owner"]["pid"], echo.pid(), "{told}");
    }
}

#[test]
fn translations_and_routes_that_are_off_are_not_told() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let routed = Routed::new();
    let _echo = Echo::start(&routed.server, &[]);
    let off = [("SOCKEYE_CONTEXT__NAT", "false"), ("SOCKEYE_CONTEXT__ROUTES", "false")];
    let daemon = Daemon::with(&off);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    fetch(&routed.client, ROUTER_V4, PUBLIC_PORT, &[]);
    ledger.wait_closed(&routed.client, 1);
    let told = values(&ledger, &routed.client).next().expect("it is told");
    assert!(told["nat"].is_null() && told["route"].is_null(), "{told}");
    assert_eq!(told["remote"]["netns"], routed.server.inode(), "its other end needs no translation: {told}");
    for page in ["cached", "host"] {
        let path = format!("/network_tracer/debug/conntrack/{page}");
        assert_eq!(curl::get(&daemon.socket(), &path).status, 404);
    }
    let status = curl::get(&daemon.socket(), "/v1/status").json();
    let mut capabilities = status["capabilities"].as_array().expect("a list").iter();
    assert!(capabilities.all(|found| found["name"] != "nat" && found["name"] != "routes"), "{status}");
}

/// The dialect of the reference, in one answer.
fn check_reference(daemon: &Daemon, routed: &Routed, spoken: &[Spoken]) {
    let message = curl::get(&daemon.socket(), "/network_tracer/connections?client_id=b").json();
    let of = |space: &NetNs| {
        let inode = space.inode();
        message["conns"].as_array().expect("a list").iter().filter(move |conn| conn["netNS"] == inode)
    };
    for spoken in spoken {
        let near = spoken.end(of(&routed.client), spoken.client_address()).expect("it is told");
        let far = spoken.end(of(&routed.server), spoken.server).expect("it is told");
        let masked = (spoken.masked.ip().to_string(), spoken.masked.port());
        let expected = json!({
            "replSrcIP": spoken.server, "replDstIP": masked.0, "replSrcPort": 80, "replDstPort": masked.1,
        });
        assert_eq!(near["ipTranslation"], expected, "{near}");
        let expected = json!({
            "replSrcIP": spoken.client_address(), "replDstIP": spoken.router,
            "replSrcPort": near["laddr"]["port"], "replDstPort": PUBLIC_PORT,
        });
        assert_eq!(far["ipTranslation"], expected, "{far}");
        assert_eq!((&near["intraHost"], &far["intraHost"]), (&true.into(), &true.into()), "{near}\n{far}");
        let directions = (&near["direction"], &far["direction"]);
        assert_eq!(directions, (&"outgoing".into(), &"incoming".into()), "{near}\n{far}");
    }
}

/// Both pages show what the router translates, by its namespace.
fn check_pages(daemon: &Daemon, routed: &Routed, spoken: &[Spoken]) {
    for page in ["cached", "host"] {
        let page = curl::get(&daemon.socket(), &format!("/network_tracer/debug/conntrack/{page}")).json();
        assert_eq!(page["IsTruncated"], false, "{page}");
        let all =
            page["Entries"][routed.router.inode().to_string()].as_array().expect("it translates").clone();
        for spoken in spoken {
            let entry = all.iter().find(|entry| {
                entry["Proto"] == spoken.protocol && entry["Origin"]["Dst"]["IP"] == spoken.router
            });
            let entry = entry.unwrap_or_else(|| panic!("{} {}: {page}", spoken.protocol, spoken.router));
            let masked = (spoken.masked.ip().to_string(), spoken.masked.port());
            let reply = json!({
                "Src": {"IP": spoken.server, "Port": 80}, "Dst": {"IP": masked.0, "Port": masked.1},
            });
            assert_eq!(entry["Reply"], reply, "{entry}");
            assert_eq!(entry["Origin"]["Dst"]["Port"], PUBLIC_PORT);
        }
    }
}
