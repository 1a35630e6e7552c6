//! Both ends of many connections, some of them long enough that sequence numbers wrap now and then: they agree on
//! the name and on every byte, and no reading tells a byte too many.

use std::collections::BTreeMap;
use std::thread::JoinHandle;

use connections::GlobalId;

use crate::Test;
use crate::harness::{Client, Outcome, Tracer, scaled};
use crate::peer::Peer;
use crate::world::{RIGHT_V4, VethPair};

pub const TESTS: &[Test] = &[
    ("both_ends_of_many_short_connections_agree", || ends_agree(scaled(2_000), 17)),
    ("both_ends_of_long_connections_agree", || ends_agree(20, 3_000_000)),
];

fn ends_agree(count: u64, bytes: u64) -> Outcome {
    let world = VethPair::new();
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let (client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    let ends = [world.left.inode(), world.right.inode()];
    let working = [
        work(server, format!("serve {count}")),
        work(client, format!("churn {count} {bytes} {RIGHT_V4}:{port}")),
    ];
    // Readings at every moment of a connection's life.
    while !working.iter().all(JoinHandle::is_finished) {
        told.poll();
        nothing_too_many(&told, ends, bytes);
    }
    let _peers = working.map(|working| working.join().expect("the peer obeyed"));
    told.wait("all closes", |told| (closed(told, ends).count() as u64 == 2 * count).then_some(()));
    nothing_too_many(&told, ends, bytes);
    let mut by_name: BTreeMap<GlobalId, Vec<(u32, u64, u64)>> = BTreeMap::new();
    for connection in closed(&told, ends) {
        let name = connection.global_id.expect("known after the handshake");
        let total = connection.total;
        by_name.entry(name).or_default().push((
            connection.tuple.netns,
            total.sent_bytes,
            total.received_bytes,
        ));
    }
    assert_eq!(by_name.len() as u64, count);
    for (name, mut pair) in by_name {
        pair.sort_by_key(|(netns, ..)| *netns != ends[0]);
        assert_eq!(pair, [(ends[0], bytes, 0), (ends[1], 0, bytes)], "{name}");
    }
}

fn work(mut peer: Peer, command: String) -> JoinHandle<Peer> {
    std::thread::spawn(move || {
        peer.ask(&command);
        peer
    })
}

fn closed<'a>(told: &'a Client<'_>, ends: [u32; 2]) -> impl Iterator<Item = &'a connections::Connection> {
    let connections = told.told.values().map(|(_, change)| &change.connection);
    connections
        .filter(move |connection| connection.closed_at.is_some() && ends.contains(&connection.tuple.netns))
}

fn nothing_too_many(told: &Client<'_>, ends: [u32; 2], bytes: u64) {
    for (sum, change) in told.told.values() {
        let most = (sum.sent_bytes.max(sum.received_bytes), sum.sent_bytes.min(sum.received_bytes));
        let ours = ends.contains(&change.connection.tuple.netns);
        assert!(!ours || (most.0 <= bytes && most.1 == 0), "{sum:?} of {:?}", change.connection);
    }
}
