//! Events that the kernel had no room for, and what became of translations meanwhile.

use std::net::UdpSocket;
use std::time::Duration;

use connections::Protocol;
use context::NatLimits;

use crate::router::{
    PUBLIC_PORT, ROUTER_V4, Routed, address, cannot_run, connection, eventually, flush, lived, now, started,
};

#[test]
fn an_overflow_is_counted_and_what_was_lost_is_listed() {
    if cannot_run() {
        return;
    }
    let routed = Routed::new();
    let limits = NatLimits { buffer_bytes: 4096, ..NatLimits::default() };
    let translations = started(limits, routed.told());
    let before = now();
    let sockets: Vec<UdpSocket> = routed
        .client
        .inside(|| (0..500).map(|_| UdpSocket::bind(("10.1.0.1", 0)).expect("a port")).collect());
    let public = address(ROUTER_V4, PUBLIC_PORT);
    for socket in &sockets {
        socket.send_to(b"hello", public).expect("sent");
    }
    let of = |socket: &UdpSocket| {
        connection(routed.client.inode(), Protocol::Udp, socket.local_addr().unwrap(), public)
    };
    eventually("all are known", || {
        let looking = translations.look();
        sockets.iter().all(|socket| looking.of(&of(socket)).is_some())
    });
    let overflows = translations.counts().overflows;
    assert!(overflows > 0);
    assert!(translations.counts().events < 500);

    // Of the ends most are lost too.
    flush(&routed.router);
    eventually("the ends overflow", || {
        drop(translations.look());
        translations.counts().overflows > overflows
    });
    eventually("all have ended", || {
        let looking = translations.look();
        sockets.iter().all(|socket| looking.of(&lived(of(socket), now(), now())).is_none())
    });
    let looking = translations.look();
    assert!(
        sockets.iter().all(|socket| looking.of(&lived(of(socket), before, now())).is_some()),
        "they are remembered"
    );
}

#[test]
fn the_end_of_a_translation_that_the_kernel_does_not_tell_is_found_by_listing_again() {
    if cannot_run() {
        return;
    }
    let routed = Routed::new();
    let socket = routed.client.inside(|| UdpSocket::bind(("10.1.0.1", 0)).expect("a port"));
    let public = address(ROUTER_V4, PUBLIC_PORT);
    socket.send_to(b"hello", public).expect("sent");
    let limits = NatLimits { listed_again: Duration::from_millis(200), ..NatLimits::default() };
    let translations = started(limits, routed.told());
    let asked = connection(routed.client.inode(), Protocol::Udp, socket.local_addr().expect("bound"), public);
    eventually("it is there", || translations.look().of(&asked).is_some());
    let events = translations.counts().events;
    flush(&routed.router);
    eventually("it has ended", || translations.look().of(&lived(asked, now(), now())).is_none());
    // Where the kernel tells it all the same, nothing of this has been tested.
    println!("events {}", translations.counts().events - events);
}
