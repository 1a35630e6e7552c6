//! Both ends in one answer: what the reference's dialect says of connections that do not leave the host.

use connections::{Connection, Counters, Direction, Facts, GlobalId, Protocol, Tuple, UdpFacts};
use deltas::{Change, Delta, RollUpId};

use serde_json::Value;

use crate::world::{self, change};

fn end(netns: u32, local: &str, remote: &str, direction: Direction, global_id: Option<u64>) -> Change {
    let mut connection = world::connection(netns.into(), local, remote);
    connection.tuple.netns = netns;
    let delta = Counters { sent_bytes: 1, sent_packets: 1, ..Counters::default() };
    let global_id = global_id.map(GlobalId);
    change(Connection { direction, global_id, total: delta, ..connection }, delta)
}

fn udp(change: Change) -> Change {
    let Connection { tuple, .. } = change.connection;
    let tuple = Tuple { protocol: Protocol::Udp, ..tuple };
    let facts = Facts::Udp(UdpFacts::default());
    Change { connection: Connection { tuple, facts, ..change.connection }, ..change }
}

/// Of each connection that is told, whether it stays on the host, and its direction.
fn told(changes: Vec<Change>) -> Vec<(bool, String)> {
    let delta = Delta { changes: changes.into(), ..world::empty_delta() };
    let text = world::written(world::reference_json, &delta);
    let json: Value = serde_json::from_str(&text).expect("it is JSON");
    let told = |conn: &Value| {
        let direction = conn["direction"].as_str().expect("a name");
        (conn["intraHost"].as_bool().expect("a truth"), direction.to_owned())
    };
    json["conns"].as_array().expect("a list").iter().map(told).collect()
}

fn both(intra_host: bool, directions: [&str; 2]) -> Vec<(bool, String)> {
    directions.map(|direction| (intra_host, direction.to_owned())).into()
}

use Direction::{Incoming, Outgoing, Unknown};

#[test]
fn both_ends_in_different_namespaces_are_on_one_host_though_addresses_were_translated() {
    let client = |id| end(1, "10.1.0.5:40000", "10.96.0.1:80", Outgoing, Some(id));
    let server = end(2, "10.1.0.6:8080", "10.1.0.1:51000", Incoming, Some(7));
    assert_eq!(told(vec![client(7), server]), both(true, ["outgoing", "incoming"]));
    assert_eq!(told(vec![client(8), server]), both(false, ["outgoing", "incoming"]));
}

#[test]
fn loopback_stays_on_the_host_whether_or_not_the_other_end_is_told() {
    let v4 = end(1, "127.0.0.1:40000", "127.0.0.2:80", Outgoing, None);
    let own = end(1, "10.0.0.1:40001", "10.0.0.1:80", Outgoing, None);
    assert_eq!(told(vec![v4, own]), both(true, ["outgoing", "outgoing"]));
}

#[test]
fn two_ends_of_udp_find_each_other_by_their_tuples_and_agree_on_who_began() {
    let one = |direction| udp(end(1, "10.1.0.5:5000", "10.1.0.6:53", direction, None));
    let other = |direction| udp(end(2, "10.1.0.6:53", "10.1.0.5:5000", direction, None));
    assert_eq!(told(vec![one(Outgoing), other(Unknown)]), both(true, ["outgoing", "incoming"]));
    assert_eq!(told(vec![one(Unknown), other(Outgoing)]), both(true, ["incoming", "outgoing"]));
    assert_eq!(told(vec![one(Unknown), other(Unknown)]), both(true, ["unspecified", "unspecified"]));
}

#[test]
fn an_end_without_news_is_not_told_and_found_all_the_same() {
    let client = end(1, "10.1.0.5:40000", "10.1.0.6:80", Outgoing, Some(7));
    let server = end(2, "10.1.0.6:80", "10.1.0.5:40000", Incoming, Some(7));
    let quiet = Change { delta: Counters::default(), ..server };
    assert_eq!(told(vec![client, quiet]), [(true, "outgoing".to_owned())]);
}

#[test]
fn records_become_one_when_the_other_end_tells_the_direction() {
    let tuple = ("10.1.0.6:80", "10.1.0.5:40000");
    let older = end(2, tuple.0, tuple.1, Unknown, None);
    let newer = end(2, tuple.0, tuple.1, Incoming, Some(7));
    let client = end(1, tuple.1, tuple.0, Outgoing, Some(7));
    assert_eq!(told(vec![older, newer, client]), both(true, ["outgoing", "incoming"]));
}

#[test]
fn a_roll_up_has_no_end_that_could_be_here() {
    let roll_ups = vec![(RollUpId::Kernel(1), world::rollup())].into();
    let text = world::written(world::reference_json, &Delta { roll_ups, ..world::empty_delta() });
    assert!(text.contains("\"intraHost\":false") && !text.contains("\"intraHost\":true"), "{text}");
}
