//! How much is remembered, how long anybody waits, and what it costs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use context::{RouteLimits, Routes};

use crate::namespaces::{Known, LONG, end, look, routes, runs_here, seen, via};
use crate::world::{LEFT_V4, RIGHT_V4, VethPair};

#[test]
fn the_destination_that_was_not_asked_for_longest_is_forgotten_first() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let limits = RouteLimits { routes: 2, ..RouteLimits::default() };
    let routes = Routes::new(limits, Known::of(&[&world.left]));
    let asked_for = |destination| {
        let before = routes.counts().asked;
        assert!(look(&routes, world.left.inode(), LEFT_V4, destination).is_some());
        routes.counts().asked > before
    };
    assert!(asked_for("10.9.0.2") && asked_for("10.9.0.3"));
    assert!(!asked_for("10.9.0.2"));
    assert!(asked_for("10.9.0.4"));
    assert!(!asked_for("10.9.0.2") && asked_for("10.9.0.3"));
    assert_eq!((routes.counts().routes, routes.counts().forgotten), (2, 2));
}

#[test]
fn of_too_many_sockets_the_one_that_was_not_used_longest_is_closed() {
    if !runs_here() {
        return;
    }
    let (one, other) = (VethPair::new(), VethPair::new());
    let namespaces = [&one.left, &one.right, &other.left];
    let known = Known::of(&namespaces);
    let limits = RouteLimits { sockets: 2, idle: LONG, ..RouteLimits::default() };
    let routes = Routes::new(limits, Arc::<Known>::clone(&known));
    for namespace in namespaces {
        assert!(look(&routes, namespace.inode(), "0.0.0.0", "10.9.0.3").is_some());
    }
    assert_eq!((routes.counts().sockets, known.opened.load(Ordering::Relaxed)), (2, 3));
    assert!(look(&routes, one.left.inode(), "0.0.0.0", "10.9.0.4").is_some());
    assert_eq!((routes.counts().sockets, known.opened.load(Ordering::Relaxed)), (2, 4));
}

#[test]
fn when_there_is_no_time_left_only_what_is_remembered_is_told() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let (routes, netns) = (routes(&[&world.left]), world.left.inode());
    assert!(look(&routes, netns, LEFT_V4, RIGHT_V4).is_some());
    let looking = routes.look(Instant::now());
    assert!(looking.of(netns, end(LEFT_V4), end(RIGHT_V4)).is_some());
    assert_eq!(looking.of(netns, end(LEFT_V4), end("10.9.0.3")), None);
    assert_eq!((routes.counts().out_of_time, routes.counts().asked), (1, 2));
    // It was not asked, and so nothing is remembered of it.
    assert_eq!(seen(look(&routes, netns, LEFT_V4, "10.9.0.3")), via(None, "cable"));
}

#[test]
fn many_that_look_for_the_same_ask_once() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let (routes, netns) = (routes(&[&world.left]), world.left.inode());
    let together = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                together.wait();
                let found = look(&routes, netns, LEFT_V4, RIGHT_V4);
                assert_eq!(seen(found), via(None, "cable"));
            });
        }
    });
    assert_eq!(routes.counts().asked, 2);
}

/// The bound is that of a build without optimization; what it prints means something with `--release` only.
#[test]
fn what_is_remembered_costs_little() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let (routes, netns) = (routes(&[&world.left]), world.left.inode());
    world.left.ip(&["route", "add", "10.66.0.0/16", "via", RIGHT_V4]);
    let source = end(LEFT_V4);
    let destinations: Vec<SocketAddr> = (0..8192u32)
        .map(|number| {
            let [_, _, high, low] = number.to_be_bytes();
            (IpAddr::V4(Ipv4Addr::new(10, 66, high, low)), 443).into()
        })
        .collect();
    let round = |destinations: &[SocketAddr]| {
        let began = Instant::now();
        let looking = routes.look(began + Duration::from_secs(60));
        for destination in destinations {
            assert!(looking.of(netns, source, *destination).is_some());
        }
        began.elapsed() / u32::try_from(destinations.len()).expect("it is small")
    };
    let cold = round(&destinations);
    let warm = (0..20).map(|_| round(&destinations)).min().expect("twenty");
    let batch = (0..200).map(|_| round(&destinations[..256])).min().expect("many");
    println!("asked: {cold:?}, all remembered in turn: {warm:?}, the same 256: {batch:?}");
    assert_eq!((routes.counts().routes, routes.counts().forgotten), (8192, 0));
    assert!(warm < Duration::from_micros(5), "{warm:?}");
}
