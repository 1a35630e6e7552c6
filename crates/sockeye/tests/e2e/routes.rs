//! The way that packets of connections take: router, interface and its address, in both dialects.

use serde_json::{Value, json};

use crate::curl;
use crate::daemon::Daemon;
use crate::echo::{Echo, fetch};
use crate::ledger::{Ledger, status_counter};
use crate::needs::runs_here;
use crate::routed::{PUBLIC_PORT, ROUTER_V4, ROUTER_V6, Routed, SERVER_V4, SERVER_V6};
use crate::wait::until;
use crate::world::{NetNs, run};

/// An address that the client itself translates to that of the router.
const STAND_IN: &str = "192.0.2.9";

/// The interface `cable` of the namespace, as `ip` shows it.
fn cable(space: &NetNs) -> Value {
    let shown = run("ip", &["-n", space.name(), "-o", "link", "show", "cable"]);
    let words: Vec<&str> = shown.split_whitespace().collect();
    let index: u32 = words[0].trim_end_matches(':').parse().expect("it begins with its number");
    let address = words.iter().position(|word| *word == "link/ether").map(|place| words[place + 1]);
    json!({"index": index, "name": "cable", "hardware_address": address.expect("it has one")})
}

#[test]
fn the_router_and_the_interface_of_each_namespace_are_told() {
    if !runs_here(&["curl", "ip", "nft", "python3"]) {
        return;
    }
    let routed = Routed::new();
    let own = format!(
        "add table ip own; add chain ip own out {{ type nat hook output priority -100; }}; \
         add rule ip own out ip daddr {STAND_IN} tcp dport 80 dnat to {ROUTER_V4}:{PUBLIC_PORT}"
    );
    routed.client.inside(|| run("nft", &[&own]));
    let _echo = Echo::start(&routed.server, &[]);
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    assert_eq!(curl::get(&daemon.socket(), "/network_tracer/register?client_id=b").status, 200);
    until("the listening", || (status_counter(&daemon.socket(), "nat_namespaces") >= 3).then_some(()));
    // What is on a link needs no router, though it is another one in the end that answers.
    let ways = [
        (SERVER_V4, 80, Some(ROUTER_V4)),
        (SERVER_V6, 80, Some(ROUTER_V6)),
        (ROUTER_V4, PUBLIC_PORT, None),
        (ROUTER_V6, PUBLIC_PORT, None),
        (STAND_IN, 80, None),
    ];
    for (address, port, _) in ways {
        fetch(&routed.client, address, port, &[]);
    }
    ledger.wait_closed(&routed.client, ways.len());
    ledger.wait_closed(&routed.server, ways.len());
    let (near, far) = (cable(&routed.client), cable(&routed.server));
    let with = |gateway: Option<&str>, interface: &Value| match gateway {
        Some(gateway) => json!({"gateway": gateway, "interface": interface}),
        None => json!({"interface": interface}),
    };
    for (address, _, gateway) in ways {
        let mut of_client = ledger.of(&routed.client).map(|(_, told)| &told.last);
        let told = of_client.find(|told| told["remote"]["address"] == address).expect("it is told");
        assert_eq!(told["route"], with(gateway, &near), "{told}");
    }
    for (_, told) in ledger.of(&routed.server) {
        assert_eq!(told.last["route"], with(None, &far), "{}", told.last);
    }
    let message = curl::get(&daemon.socket(), "/network_tracer/connections?client_id=b").json();
    check_reference(&message, &routed, &near["hardware_address"]);
}

/// The dialect of the reference refers to interfaces towards a router.
fn check_reference(message: &Value, routed: &Routed, hardware_address: &Value) {
    let of = |space: &NetNs| {
        let inode = space.inode();
        message["conns"].as_array().expect("a list").iter().filter(move |conn| conn["netNS"] == inode)
    };
    let routes = message["routes"].as_array().expect("a list");
    for conn in of(&routed.client) {
        let place = conn["routeIdx"].as_i64().expect("a number");
        if [SERVER_V4, SERVER_V6].iter().any(|server| conn["raddr"]["ip"] == *server) {
            let route = usize::try_from(place).ok().and_then(|place| routes.get(place));
            let address = route.map(|route| &route["interface"]["HardwareAddr"]);
            assert_eq!(address, Some(hardware_address), "{conn} {routes:?}");
        } else {
            assert_eq!(place, -1, "{conn}");
        }
    }
    assert_eq!(of(&routed.client).count(), 5, "{message}");
    assert!(of(&routed.server).all(|conn| conn["routeIdx"] == -1), "{message}");
}
