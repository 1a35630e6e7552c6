//! The other end of a connection that is on this host too: what the reference's dialect says of it.

use std::sync::Arc;

use connections::{Annotation, Connection, ContainerId, Direction, OtherEnd, Owner};
use deltas::{Change, Delta, RollUpId};
use serde_json::Value;

use crate::context::Known;
use crate::world::{self, change, owner};
use connections::Counters;

use Direction::{Incoming, Outgoing, Unknown};

fn end(local: &str, remote: &str, direction: Direction) -> Change {
    let connection = world::connection(1, local, remote);
    let delta = Counters { sent_bytes: 1, sent_packets: 1, ..Counters::default() };
    change(Connection { direction, total: delta, ..connection }, delta)
}

/// The connections that are told, if this is known of each.
fn told(changes: Vec<Change>, known: impl Fn(&Connection) -> Annotation<'static>) -> Vec<Value> {
    let delta = Delta { changes: changes.into(), ..world::empty_delta() };
    let text = world::written_with(world::reference_json, &delta, &Known(known));
    let json: Value = serde_json::from_str(&text).expect("it is JSON");
    json["conns"].as_array().expect("a list").clone()
}

fn other_end(direction: Direction) -> Annotation<'static> {
    let container = ContainerId::parse(&"0123456789abcdef".repeat(4));
    let owner = Some(Arc::new(Owner { container, ..owner("nginx") }).into());
    let other_end = Some(OtherEnd { netns: 2, owner, direction });
    Annotation { other_end, intra_host: true, ..Annotation::default() }
}

#[test]
fn the_container_of_the_other_end_is_told() {
    let told = told(vec![end("10.1.0.5:40000", "10.1.0.6:80", Outgoing)], |_| other_end(Incoming));
    assert_eq!(told[0]["raddr"]["containerId"], "0123456789abcdef".repeat(4));
    assert_eq!(
        (&told[0]["laddr"]["containerId"], &told[0]["intraHost"]),
        (&Value::from(""), &Value::from(true))
    );
}

#[test]
fn the_other_end_tells_the_direction_where_it_is_open_and_never_changes_it() {
    for (known, of_other, expected) in [
        (Unknown, Incoming, "outgoing"),
        (Unknown, Outgoing, "incoming"),
        (Unknown, Unknown, "unspecified"),
        (Outgoing, Outgoing, "outgoing"),
    ] {
        let told = told(vec![end("10.1.0.5:5000", "10.1.0.6:53", known)], |_| other_end(of_other));
        assert_eq!(told[0]["direction"], expected, "{known:?} {of_other:?}");
    }
}

#[test]
fn records_become_one_when_the_other_end_tells_the_direction() {
    let tuple = ("10.1.0.6:80", "10.1.0.5:40000");
    let changes = vec![end(tuple.0, tuple.1, Unknown), end(tuple.0, tuple.1, Incoming)];
    let told = told(changes, |_| other_end(Outgoing));
    assert_eq!((told.len(), &told[0]["lastBytesSent"]), (1, &Value::from("2")));
}

#[test]
fn nothing_is_said_of_an_end_that_was_not_found() {
    let told = told(vec![end("10.1.0.5:40000", "10.1.0.6:80", Outgoing)], |_| Annotation::default());
    assert_eq!(told[0]["intraHost"], false);
}

#[test]
fn a_roll_up_has_no_end_that_could_be_here() {
    let roll_ups = vec![(RollUpId::Kernel(1), world::rollup())].into();
    let text = world::written(world::reference_json, &Delta { roll_ups, ..world::empty_delta() });
    assert!(text.contains("\"intraHost\":false") && !text.contains("\"intraHost\":true"), "{text}");
}
