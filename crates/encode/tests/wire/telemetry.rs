//! What the reference's dialect counts of an answer beside its connections.

use connections::{Loss, Losses, Protocol, RollUp, RollUpKey, State};
use deltas::{Coverage, Delta, RollUpId};
use serde_json::{Value, json};

use crate::world;

fn telemetry(delta: &Delta) -> Value {
    let text = world::written(world::reference_json, delta);
    let json: Value = serde_json::from_str(&text).expect("it is JSON");
    json["connTelemetryMap"].clone()
}

fn complete(delta: Delta) -> Delta {
    Delta { coverage: Coverage::default(), ..delta }
}

fn rolled_up(id: RollUpId, protocol: Protocol) -> Delta {
    let rollup = world::rollup();
    let rollup = RollUp { key: RollUpKey { protocol, ..rollup.key }, ..rollup };
    complete(Delta { roll_ups: vec![(id, rollup)].into(), ..world::delta() })
}

#[test]
fn closed_connections_are_counted_with_those_of_which_the_dialect_tells_nothing() {
    // Two of its connections are closed; 17 and 7 are in roll-ups.
    assert_eq!(telemetry(&complete(world::delta()))["conns_closed"], "26");
    let mut silent = world::change(world::connection(1, "10.0.0.1:1", "10.0.0.2:2"), Default::default());
    silent.connection.tuple.protocol = Protocol::Udp;
    silent.connection.facts = connections::Facts::Udp(connections::UdpFacts::default());
    silent.connection.state = State::Closed;
    let delta = Delta { changes: vec![silent].into(), ..world::empty_delta() };
    assert_eq!(telemetry(&delta)["conns_closed"], "1");
    assert_eq!(telemetry(&world::empty_delta())["conns_closed"], "0");
}

#[test]
fn closed_connections_are_not_counted_where_their_number_is_not_exact() {
    let closed = |delta: &Delta| telemetry(delta)["conns_closed"].clone();
    assert_eq!(closed(&world::delta()), Value::Null, "something was lost");
    assert_eq!(closed(&rolled_up(RollUpId::Kernel(1), Protocol::Udp)), Value::Null, "peers are not counted");
    assert_eq!(closed(&rolled_up(RollUpId::Log(1), Protocol::Udp)), "19");
    assert_eq!(closed(&rolled_up(RollUpId::Kernel(1), Protocol::Tcp)), "19");
}

#[test]
fn closed_connections_that_the_client_has_lost_are_counted_under_the_name_of_the_reference() {
    let closed_log_full = Loss { connections: 5, bytes: 6 };
    let losses = Losses { closed_log_full, ..world::delta().coverage.losses };
    let delta = Delta { coverage: Coverage { losses, ..Coverage::default() }, ..world::delta() };
    assert_eq!(telemetry(&delta)["closed_conn_dropped"], json!("5"));
}
