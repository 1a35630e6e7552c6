//! Who owns an accepted connection.

use std::io::Read;
use std::net::{TcpListener, TcpStream};

use collect::Capability;
use connections::{OwnerSource, State};

use crate::Test;
use crate::harness::{Outcome, Tracer, address};
use crate::peer::Peer;
use crate::world::NetNs;

pub const TESTS: &[Test] = &[
    ("a_connection_accepted_by_a_pre_forked_worker_belongs_to_the_worker", worker_owns),
    ("a_connection_that_nobody_accepted_is_guessed_to_be_the_listeners", never_accepted),
    ("listening_sockets_are_listed_with_their_owners_old_and_new", listeners_are_listed),
    ("a_file_that_the_search_for_owners_closes_belongs_to_who_held_it", closed_by_the_search),
    ("a_killed_process_owns_the_connections_that_its_death_closed", killed_owner),
];

fn worker_owns() -> Outcome {
    let space = NetNs::new();
    let tracer = Tracer::start();
    tracer.needs(Capability::TcpOwner);
    let mut told = tracer.client("a");
    let mut master = Peer::start(&space);
    let port = master.listen("127.0.0.1");
    for _ in 0..3 {
        let worker: u32 = master.ask("worker").parse().expect("a pid");
        let mut stream =
            space.inside(|| TcpStream::connect(("127.0.0.1", port))).expect("the worker accepts");
        let mut pid = [0; 4];
        stream.read_exact(&mut pid).expect("the worker tells its pid");
        assert_eq!(u32::from_be_bytes(pid), worker);
        let settled = told.wait("the live owner", |told| {
            let (_, change) = told.find(&space, port)?;
            change.connection.owner.filter(|owner| owner.source == OwnerSource::Descriptor)
        });
        assert_eq!(settled.pid, worker);
        drop(stream);
        let (_, change) = told.wait_closed(&space, port);
        assert_eq!(change.connection.owner.map(|owner| owner.pid), Some(worker));
    }
}

fn never_accepted() -> Outcome {
    let space = NetNs::new();
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let (mut server, mut client) = (Peer::start(&space), Peer::start(&space));
    let port = server.listen("127.0.0.1");
    client.connect("c", "127.0.0.1", port);
    let (_, change) = told.wait_found(&space, port);
    let owner = change.connection.owner.expect("guessed");
    assert_eq!((owner.pid, owner.source), (server.pid(), OwnerSource::Listener));
    server.ask("unlisten");
    let (_, change) = told.wait_closed(&space, port);
    assert_eq!(change.connection.owner.map(|owner| owner.pid), Some(server.pid()));
}

/// The kernel holds a file while the search is at it, so that the thread which searches may be the one that closes it. Here
/// it is given the file, to close it for certain.
fn closed_by_the_search() -> Outcome {
    let space = NetNs::new();
    let (give, given) = std::sync::mpsc::channel::<TcpStream>();
    let tracer = Tracer::calling(move || drop(given.try_recv()));
    let mut told = tracer.client("a");
    let listener = space.inside(|| TcpListener::bind("127.0.0.1:0")).expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let client = space.inside(|| TcpStream::connect(("127.0.0.1", port))).expect("somebody listens");
    let (accepted, _) = listener.accept().expect("it connected");
    let settled = told.wait("the live owner", |told| {
        let (_, change) = told.find(&space, port)?;
        change.connection.owner.filter(|owner| owner.source == OwnerSource::Descriptor)
    });
    give.send(accepted).expect("the collector runs");
    let (_, change) = told.wait("the end of the accepted one", |told| {
        told.find(&space, port).filter(|(_, change)| change.connection.state != State::Established)
    });
    assert_eq!(change.connection.owner, Some(settled));
    drop(client);
}

fn killed_owner() -> Outcome {
    let space = NetNs::new();
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let (mut server, mut client) = (Peer::start(&space), Peer::start(&space));
    let port = server.listen("127.0.0.1");
    let local = client.connect("c", "127.0.0.1", port);
    server.ask("accept s");
    client.ask("send c 99");
    server.ask("receive s 99");
    let pid = server.pid();
    server.kill();
    client.ask("end c");
    client.ask("close c");
    let (sum, change) = told.wait_closed(&space, port);
    assert_eq!(change.connection.owner.map(|owner| owner.pid), Some(pid));
    assert_eq!(sum.received_bytes, 99);
    assert_eq!(told.wait_closed(&space, local).0.sent_bytes, 99);
}

fn listeners_are_listed() -> Outcome {
    let (space, other) = (NetNs::new(), NetNs::new());
    let mut older = Peer::start(&space);
    let older_port = older.listen("127.0.0.1");
    let tracer = Tracer::start();
    let mut newer = Peer::start(&space);
    let newer_port = newer.listen("::");
    let mut listed = tracer.listeners(&space);
    listed.sort_by_key(|listener| listener.id.claimed_at);
    let told: Vec<_> = listed
        .iter()
        .map(|listener| (listener.local, listener.owner.map(|owner| (owner.pid, owner.source))))
        .collect();
    let by = |peer: &Peer, source| Some((peer.pid(), source));
    assert_eq!(
        told,
        [
            (address("127.0.0.1", older_port), by(&older, OwnerSource::Descriptor)),
            (address("::", newer_port), by(&newer, OwnerSource::Connect)),
        ]
    );
    assert_eq!(tracer.listeners(&other), []);
    newer.ask("unlisten");
    assert_eq!(tracer.listeners(&space).len(), 1);
}
