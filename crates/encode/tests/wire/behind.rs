//! Translated addresses, routes and names: how both dialects tell them.

use std::net::IpAddr;
use std::sync::Arc;

use connections::{Annotation, Connection, Counters, KernelTime, Nat, Route, Shared, State};
use deltas::{Change, Delta, View};
use serde_json::{Value, json};

use crate::context::{Known, everything};
use crate::world::{self, change, owner};

fn sent(cookie: u64, local: &str) -> Change {
    let delta = Counters { sent_bytes: 30, ..Counters::default() };
    change(Connection { total: delta, ..world::connection(cookie, local, "10.0.0.2:53") }, delta)
}

/// The dialect cannot tell the two apart, whose context differs in everything.
#[test]
fn of_several_with_one_key_the_context_of_the_first_is_told() {
    let one = |cookie| sent(cookie, "10.0.0.1:4000");
    let delta = Delta { changes: vec![one(1), one(2)].into(), ..world::empty_delta() };
    let context = Known(|connection: &Connection| {
        let number = u8::try_from(connection.id.cookie).expect("it is small");
        let mut known = everything(owner("x"));
        if let Some(route) = &mut known.route {
            route.interface.hardware_address = Some([number; 6]);
        }
        known.nat = known.nat.map(|nat| Nat { remote: ([10, 9, 9, number], 53).into(), ..nat });
        known.names = Some(Shared::Counted([Arc::from(format!("{number}.example"))].into()));
        if let Some(other_end) = &mut known.other_end {
            let container = connections::ContainerId::parse(&format!("{number:064x}"));
            let owner = connections::Owner { container, ..owner("x") };
            other_end.owner = Some(Arc::new(owner).into());
        }
        known
    });
    let text = world::written_with(world::reference_json, &delta, &context);
    let told: Value = serde_json::from_str(&text).expect("it is JSON");
    let conns = told["conns"].as_array().expect("a list");
    assert_eq!((conns.len(), &conns[0]["lastBytesSent"]), (1, &json!("60")));
    assert_eq!(conns[0]["ipTranslation"]["replSrcIP"], "10.9.9.1");
    assert_eq!(conns[0]["raddr"]["containerId"], format!("{:064x}", 1));
    assert_eq!(told["routes"][0]["interface"]["HardwareAddr"], "01:01:01:01:01:01");
    assert_eq!((&conns[0]["routeIdx"], told["routes"].as_array().map(Vec::len)), (&json!(0), Some(1)));
    assert_eq!(told["dns"]["10.0.0.2"]["names"], json!(["1.example"]));
}

#[test]
fn only_a_way_over_a_router_is_a_route_of_the_reference() {
    let told = |gateway: Option<IpAddr>| {
        let mut known = everything(owner("x"));
        known.route = known.route.map(|route| Route { gateway, ..route });
        let delta = Delta { changes: vec![sent(1, "10.0.0.1:4000")].into(), ..world::empty_delta() };
        let context = Known(move |_: &Connection| known.clone());
        let text = world::written_with(world::reference_json, &delta, &context);
        let told: Value = serde_json::from_str(&text).expect("it is JSON");
        (told["conns"][0]["routeIdx"].clone(), told["routes"].as_array().map(Vec::len))
    };
    assert_eq!(told(Some([10, 0, 0, 254].into())), (json!(0), Some(1)));
    assert_eq!(told(None), (json!(-1), Some(0)));
}

#[test]
fn a_port_that_several_do_not_share_is_absent_in_their_translation() {
    let short = |cookie, local| {
        let mut change = sent(cookie, local);
        change.connection.state = State::Closed;
        change.connection.opened_at = Some(KernelTime(world::FROM));
        change.connection.closed_at = Some(KernelTime(world::FROM + 5));
        change
    };
    let changes = vec![short(1, "10.0.0.1:4000"), short(2, "10.0.0.1:4001")].into();
    let delta = Delta { view: View::Ports, changes, ..world::empty_delta() };
    let masqueraded = |connection: &Connection| Annotation {
        nat: Some(Nat {
            remote: connection.tuple.remote,
            local: "192.0.2.1:61000".parse().expect("an address"),
        }),
        ..Annotation::default()
    };
    let text = world::written_with(world::native_json, &delta, &Known(masqueraded));
    let told: Value = serde_json::from_str(&text).expect("it is JSON");
    let nat = json!({"local": {"address": "192.0.2.1"}, "remote": {"address": "10.0.0.2", "port": 53}});
    assert_eq!(told["connections"][0]["nat"], nat);
}
