//! What is found of connections that go through a router, live and ended.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::ControlFlow;
use std::time::Duration;

use connections::Protocol;

use crate::router::{
    OUTSIDE_V4, OUTSIDE_V6, PUBLIC_PORT, ROUTER_V4, ROUTER_V6, Routed, SERVER_V4, SERVER_V6, address,
    cannot_run, connection, lived, nat, now,
};

/// Both ends of a TCP connection from the client through the router to the server.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

fn connect(routed: &Routed, router: &str, server: &str) -> Pair {
    let listener = routed.server.inside(|| TcpListener::bind(address(server, 80)).expect("it is free"));
    let to = address(router, PUBLIC_PORT);
    let client = routed.client.inside(|| TcpStream::connect(to).expect("the router translates"));
    Pair { client, server: listener.accept().expect("it has connected").0 }
}

/// What each end of the connection is told: the client, and the server.
fn check(
    routed: &Routed,
    protocol: Protocol,
    client: SocketAddr,
    seen: SocketAddr,
    router: &str,
    server: &str,
) {
    let translations = routed.translations();
    let looking = translations.look();
    let public = address(router, PUBLIC_PORT);
    let at_client = connection(routed.client.inode(), protocol, client, public);
    let real = address(server, 80);
    assert_eq!(looking.of(&at_client), nat(real, seen), "{protocol:?}");
    let at_server = connection(routed.server.inode(), protocol, real, seen);
    assert_eq!(looking.of(&at_server), nat(client, public), "{protocol:?}");
    let other = if protocol == Protocol::Tcp { Protocol::Udp } else { Protocol::Tcp };
    assert_eq!(looking.of(&connection(routed.client.inode(), other, client, public)), None);
}

#[test]
fn both_ends_of_tcp_through_a_router_that_translates_both_are_told_the_other() {
    if cannot_run() {
        return;
    }
    let routed = Routed::new();
    for (router, server, outside) in [(ROUTER_V4, SERVER_V4, OUTSIDE_V4), (ROUTER_V6, SERVER_V6, OUTSIDE_V6)]
    {
        let pair = connect(&routed, router, server);
        let seen = pair.server.peer_addr().unwrap();
        assert_eq!(seen.ip(), address(outside, 0).ip());
        check(&routed, Protocol::Tcp, pair.client.local_addr().unwrap(), seen, router, server);
    }
}

#[test]
fn both_ends_of_udp_through_a_router_that_translates_both_are_told_the_other() {
    if cannot_run() {
        return;
    }
    let routed = Routed::new();
    for (router, server, client) in [(ROUTER_V4, SERVER_V4, "10.1.0.1"), (ROUTER_V6, SERVER_V6, "fd01::1")] {
        let at_server = routed.server.inside(|| UdpSocket::bind(address(server, 80)).expect("it is free"));
        let at_client = routed.client.inside(|| UdpSocket::bind(address(client, 0)).expect("a port"));
        at_client.send_to(b"hello", address(router, PUBLIC_PORT)).expect("sent");
        at_server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (_, seen) = at_server.recv_from(&mut [0; 16]).expect("it arrives");
        check(&routed, Protocol::Udp, at_client.local_addr().unwrap(), seen, router, server);
    }
}

#[test]
fn a_connection_that_ended_before_anybody_looked_is_found() {
    if cannot_run() {
        return;
    }
    let routed = Routed::new();
    let translations = routed.translations();
    for _ in 0..20 {
        let opened = now();
        let mut pair = connect(&routed, ROUTER_V4, SERVER_V4);
        pair.client.write_all(b"x").unwrap();
        pair.server.read_exact(&mut [0]).unwrap();
        let (client, seen) = (pair.client.local_addr().unwrap(), pair.server.peer_addr().unwrap());
        drop(pair);
        // The socket still holds both events: the thread that listens lets them gather.
        crate::router::flush(&routed.router);
        let netns = routed.client.inode();
        let ended =
            lived(connection(netns, Protocol::Tcp, client, address(ROUTER_V4, PUBLIC_PORT)), opened, now());
        assert_eq!(translations.look().of(&ended), nat(address(SERVER_V4, 80), seen));
        // Whoever has the port later has no translation.
        let later = lived(ended, now(), now());
        assert_eq!(translations.look().of(&later), None);
    }
    assert!(translations.counts().events >= 40, "{:?}", translations.counts());
}

#[test]
fn what_is_not_translated_is_no_event() {
    if cannot_run() {
        return;
    }
    let routed = Routed::new();
    // Tracked, for this rule, and not translated.
    routed.server.inside(|| {
        crate::world::run("nft", &["add table inet t; add chain inet t c { type filter hook input priority 0; }; add rule inet t c ct state new accept"])
    });
    let translations = routed.translations();
    let listener = routed.server.inside(|| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let to = listener.local_addr().unwrap();
    let client = routed.server.inside(|| TcpStream::connect(to).unwrap());
    let asked = connection(routed.server.inode(), Protocol::Tcp, client.local_addr().unwrap(), to);
    assert_eq!(translations.look().of(&asked), None);
    assert_eq!((translations.counts().datagrams, translations.counts().entries), (0, 0));
    let mut listed = Vec::new();
    let listing = translations.host(Duration::from_secs(30), |tracked| {
        listed.push(tracked);
        ControlFlow::Continue(())
    });
    assert_eq!((listing.namespaces, listing.incomplete, listing.cut), (3, 0, false));
    let tracked = listed.iter().find(|tracked| tracked.original.0 == client.local_addr().unwrap());
    let tracked = tracked.expect("the kernel tracks it");
    assert_eq!((tracked.netns, tracked.translated), (routed.server.inode(), false));
}

#[test]
fn all_that_is_remembered_can_be_seen() {
    if cannot_run() {
        return;
    }
    let routed = Routed::new();
    let translations = routed.translations();
    let pair = connect(&routed, ROUTER_V4, SERVER_V4);
    let client = pair.client.local_addr().unwrap();
    drop(translations.look());
    let mut seen = Vec::new();
    translations.cached(|tracked| {
        seen.push(tracked);
        ControlFlow::Continue(())
    });
    let [tracked] = seen[..] else { panic!("{seen:?}") };
    assert_eq!((tracked.netns, tracked.ended), (routed.router.inode(), None));
    assert_eq!(tracked.original, (client, address(ROUTER_V4, PUBLIC_PORT)));
    assert_eq!(tracked.reply, (address(SERVER_V4, 80), pair.server.peer_addr().unwrap()));
    let listing = translations.host(Duration::ZERO, |_| panic!("there is no time"));
    assert!(listing.cut);
}
