//! Namespaces that come and go.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use connections::Protocol;
use context::NatLimits;

use crate::router::{
    PUBLIC_PORT, ROUTER_V4, Routed, SERVER_V4, Told, address, cannot_run, connection, eventually, lived,
    named, now, started,
};
use crate::world::NetNs;

/// A datagram from the client through the router: the end that sent it.
fn send(routed: &Routed) -> UdpSocket {
    let socket = routed.client.inside(|| UdpSocket::bind(("10.1.0.1", 0)).expect("a port"));
    socket.send_to(b"hello", address(ROUTER_V4, PUBLIC_PORT)).expect("sent");
    socket
}

#[test]
fn a_namespace_that_is_asked_for_is_found_before_the_next_look_at_all() {
    if cannot_run() {
        return;
    }
    let routed = Routed::new();
    let socket = send(&routed);
    let told = Told::of(&[]);
    let translations = started(NatLimits::default(), told.clone());
    *told.all.lock().unwrap() = vec![named(&routed.client), named(&routed.router)];
    let public = address(ROUTER_V4, PUBLIC_PORT);
    let asked = connection(routed.client.inode(), Protocol::Udp, socket.local_addr().unwrap(), public);
    let began = Instant::now();
    eventually("its translation is found", || {
        translations.look().of(&asked).is_some_and(|nat| nat.remote == address(SERVER_V4, 80))
    });
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}

#[test]
fn a_namespace_that_is_mounted_is_found_before_the_next_look_at_all() {
    if cannot_run() {
        return;
    }
    let told = Told::of(&[]);
    let translations = started(NatLimits::default(), told.clone());
    let began = Instant::now();
    let namespace = NetNs::new();
    told.all.lock().expect("nobody panics").push(named(&namespace));
    eventually("it is listened to", || translations.counts().namespaces == 1);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}

#[test]
fn a_namespace_that_is_gone_is_let_go_and_what_was_in_it_has_ended() {
    if cannot_run() {
        return;
    }
    let mut routed = Routed::new();
    let told = routed.told();
    let translations = started(NatLimits::default(), told.clone());
    let opened = now();
    let socket = send(&routed);
    let (local, public) = (socket.local_addr().unwrap(), address(ROUTER_V4, PUBLIC_PORT));
    let asked = connection(routed.client.inode(), Protocol::Udp, local, public);
    // The cable asks for addresses before the datagram goes.
    eventually("it is translated", || translations.look().of(&asked).is_some());
    let there = now();
    told.all.lock().unwrap().retain(|namespace| namespace.inode != routed.router.inode());
    // The names `left` and `right` go with the namespace, which nobody holds then.
    routed.router = NetNs::new();
    eventually("two are left", || translations.counts().namespaces == 2);
    assert!(translations.look().of(&lived(asked, opened, there)).is_some(), "it was there then");
    assert!(translations.look().of(&lived(asked, now(), now())).is_none(), "it is not there now");
    eventually("the cable is gone with the namespace", || {
        let links = routed.client.inside(|| std::fs::read_to_string("/proc/net/dev").unwrap());
        !links.contains("cable")
    });
}

/// Without it they would be noticed a second after the last look each, of which all but the first are.
#[test]
fn a_mount_that_goes_is_noticed_before_the_next_check() {
    if cannot_run() {
        return;
    }
    let mut worlds: Vec<NetNs> = (0..6).map(|_| NetNs::new()).collect();
    let told = Told::of(&worlds.iter().collect::<Vec<_>>());
    let translations = started(NatLimits::default(), told.clone());
    let mut fastest = Duration::MAX;
    for left in (1..6).rev() {
        told.all.lock().expect("nobody panics").pop();
        worlds.pop();
        let began = Instant::now();
        eventually("it is let go", || translations.counts().namespaces == left);
        if left < 5 {
            fastest = fastest.min(began.elapsed());
        }
    }
    assert!(fastest < Duration::from_millis(600), "{fastest:?}");
}

#[test]
fn no_more_namespaces_are_listened_to_than_allowed() {
    if cannot_run() {
        return;
    }
    let worlds = [NetNs::new(), NetNs::new(), NetNs::new()];
    let told = Told::of(&[&worlds[0], &worlds[1], &worlds[2]]);
    let limits = NatLimits { namespaces: 2, ..NatLimits::default() };
    let translations = context::Translations::start(limits, told).unwrap();
    eventually("one is too many", || translations.degradation().is_some());
    assert_eq!((translations.counts().namespaces, translations.counts().unread_namespaces), (2, 1));
    let why = translations.degradation().unwrap();
    assert!(why.contains("1 of 3 network namespaces") && why.contains("more than 2"), "{why}");
}
