//! How much memory an answer takes beside its delta, in every form. One test alone, so that nobody else allocates
//! meanwhile.

#[path = "fixtures/context.rs"]
mod context;
mod fixtures;

use std::io;

use connections::{
    Connection, Counters, Direction, Failure, FailureKind, GlobalId, KernelTime, State, WallOffset,
};
use context::{Known, everything};
use deltas::{Change, Delta, LookupSum};
use encode::{Answer, native, reference};
use fixtures::{change, connection, empty_delta, owner};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const CHANGES: u32 = 100_000;
const MOST: usize = 8 << 20;
const LOOKUPS: u32 = 32_768;
/// Beside them, the domains with their places, and the end of the message, in which all of them stand.
const MOST_WITH_LOOKUPS: usize = 10 << 20;
/// The lookups in the order of their connections.
const SORTED: usize = 1536 << 10;
/// Of our own dialect, which keeps a batch of records.
const MOST_NATIVE: usize = 192 << 10;

/// Connections that were reset, each with a global id; of the tuples there are `tuples`.
fn answer(tuples: u32) -> Delta {
    let failure = Some(Failure { kind: FailureKind::Reset, errno: Some(104) });
    let one = |number: u32| {
        let tuple = number % tuples;
        let mut connection = connection(number.into(), "10.0.0.1:0", "10.0.0.2:443");
        let [_, high, low, last] = tuple.to_be_bytes();
        connection.tuple.local.set_ip([10, 1, high, low].into());
        connection.tuple.local.set_port(u16::from(last) + 1);
        connection.tuple.remote.set_ip([11, high, low, last].into());
        let connection = Connection {
            owner: Some(owner("x")),
            direction: if tuple.is_multiple_of(2) { Direction::Outgoing } else { Direction::Incoming },
            global_id: Some(GlobalId(number.into())),
            state: State::Closed,
            closed_at: Some(KernelTime(2)),
            failure,
            ..connection
        };
        change(connection, Counters { sent_bytes: 1, ..Counters::default() })
    };
    let changes: Vec<_> = (0..CHANGES).map(one).collect();
    Delta { changes: changes.into(), ..empty_delta() }
}

/// The most memory that is in use at once while the answer is written so.
fn most_bytes_while_writing(delta: &Delta, write: impl Fn(&Answer<'_>) -> io::Result<()>) -> usize {
    let known = everything(owner("nginx"));
    let context = Known(move |_: &Connection| known.clone());
    let answer = Answer { delta, wall: WallOffset(0), instance: "", degradations: &[], context: &context };
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    write(&answer).expect("a sink takes everything");
    ALLOCATOR.peak_usage() - before
}

fn with_lookups(delta: Delta) -> Delta {
    let sum = |(number, change): (u32, Change)| LookupSum {
        connection: Some(change.connection.id),
        tuple: change.connection.tuple,
        pid: 7,
        domain: format!("host-{number}.of-a-usual-length.example").into(),
        query_type: 1,
        timed_out: 0,
        success_latency_ns: 1000,
        failure_latency_ns: 0,
        by_rcode: vec![(0, 1)],
    };
    let lookups: Vec<_> = (0..LOOKUPS).zip(delta.changes.iter()).map(sum).collect();
    Delta { lookups: lookups.into(), ..delta }
}

#[test]
fn an_answer_of_100_000_connections_takes_less_than_8_mib_beside_its_delta() {
    for tuples in [CHANGES, CHANGES / 2] {
        let delta = answer(tuples);
        for form in [reference::Form::Json, reference::Form::Protobuf] {
            let write = |answer: &Answer<'_>| reference::write_connections(&mut io::sink(), answer, form);
            let most = most_bytes_while_writing(&delta, write);
            assert!(most < MOST, "{tuples} tuples, {form:?}: {most}");
        }
    }
    let delta = answer(CHANGES);
    for form in [native::Form::Json, native::Form::Lines, native::Form::Protobuf] {
        let write =
            |answer: &Answer<'_>| native::write_delta(&mut io::sink(), answer, form, native::Fields::ALL);
        let most = most_bytes_while_writing(&delta, write);
        assert!(most < MOST_NATIVE, "{form:?}: {most}");
    }
    // As many sums as are kept at the default limit, each through a connection and of a name of its own.
    let delta = with_lookups(delta);
    let most = most_bytes_while_writing(&delta, |answer| {
        reference::write_connections(&mut io::sink(), answer, reference::Form::Protobuf)
    });
    assert!(most < MOST_WITH_LOOKUPS, "with lookups: {most}");
    let most = most_bytes_while_writing(&delta, |answer| {
        native::write_delta(&mut io::sink(), answer, native::Form::Protobuf, native::Fields::ALL)
    });
    assert!(most < MOST_NATIVE + SORTED, "with lookups: {most}");
}
