//! For how long answers are remembered, and what becomes of namespaces.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use context::{RouteLimits, Routes};

use crate::namespaces::{Known, end, look, routes, runs_here, seen, via, wait_until};
use crate::world::{LEFT_V4, NetNs, RIGHT_V4, VethPair};

const FAR: &str = "10.66.1.2";

#[test]
fn a_route_that_changes_is_seen_when_what_is_remembered_is_too_old() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let netns = world.left.inode();
    world.left.ip(&["route", "add", "10.66.0.0/16", "via", RIGHT_V4]);
    let limits = RouteLimits { time_to_live: Duration::from_millis(50), ..RouteLimits::default() };
    let known = Known::of(&[&world.left]);
    let (short, long) = (
        Routes::new(limits, Arc::<Known>::clone(&known)),
        Routes::new(RouteLimits::default(), Arc::<Known>::clone(&known)),
    );
    for routes in [&short, &long] {
        assert_eq!(seen(look(routes, netns, LEFT_V4, FAR)), via(Some(RIGHT_V4), "cable"));
    }
    world.left.ip(&["route", "replace", "10.66.0.0/16", "via", "10.9.0.99"]);
    world.left.ip(&["link", "set", "cable", "down"]);
    world.left.ip(&["link", "set", "cable", "name", "renamed", "up"]);
    world.left.ip(&["route", "replace", "10.66.0.0/16", "via", "10.9.0.99"]);
    wait_until("the other gateway is told", || {
        seen(look(&short, netns, LEFT_V4, FAR)) == via(Some("10.9.0.99"), "renamed")
    });
    assert_eq!(seen(look(&long, netns, LEFT_V4, FAR)), via(Some(RIGHT_V4), "cable"));
    assert_eq!(long.counts().asked, 2);
}

#[test]
fn a_namespace_that_is_gone_is_not_kept_alive_and_has_no_routes() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let netns = world.left.inode();
    let routes = routes(&[&world.left]);
    assert!(look(&routes, netns, LEFT_V4, RIGHT_V4).is_some());
    let VethPair { left, right } = world;
    drop(left);
    // The kernel removes both ends of the cable with the namespace, which the socket keeps.
    let cable = ["-n", right.name(), "link", "show", "cable"];
    let is_there = || Command::new("ip").args(cable).output().expect("it is installed").status.success();
    wait_until("the namespace is gone", || !is_there());
    wait_until("the socket is closed", || routes.counts().sockets == 0);
    assert_eq!(look(&routes, netns, LEFT_V4, FAR), None);
    assert_eq!(routes.counts().without_namespace, 1);
    // What is remembered is told all the same: connections of that namespace may be told yet.
    assert!(look(&routes, netns, LEFT_V4, RIGHT_V4).is_some());
}

#[test]
fn sockets_are_closed_when_nothing_is_asked_and_opened_again() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let known = Known::of(&[&world.left]);
    let routes = Routes::new(RouteLimits::default(), Arc::<Known>::clone(&known));
    let netns = world.left.inode();
    for (times, destination) in (1..).zip(["10.9.0.2", "10.9.0.3", "10.9.0.4"]) {
        assert!(look(&routes, netns, LEFT_V4, destination).is_some());
        assert_eq!(known.opened.load(Ordering::Relaxed), times);
        wait_until("the socket is closed", || routes.counts().sockets == 0);
    }
}

#[test]
fn a_namespace_that_was_made_later_is_found_and_one_that_is_unknown_is_not_searched_for_each_time() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let known = Known::of(&[&world.left]);
    let routes = Routes::new(RouteLimits::default(), Arc::<Known>::clone(&known));
    assert!(look(&routes, world.left.inode(), LEFT_V4, RIGHT_V4).is_some());
    let began = Instant::now();
    let looking = routes.look(began + Duration::from_secs(10));
    for _ in 0..100 {
        assert_eq!(looking.of(1, end(LEFT_V4), end(FAR)), None);
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).expect("it is short");
    assert!(known.searched.load(Ordering::Relaxed) <= 2 + seconds);
    assert_eq!((routes.counts().without_namespace, routes.counts().routes), (100, 1));
    known.add(&world.right);
    wait_until("it is found", || look(&routes, world.right.inode(), RIGHT_V4, LEFT_V4).is_some());
}

#[test]
fn a_namespace_that_cannot_be_entered_is_not_tried_for_each_connection() {
    if !runs_here() {
        return;
    }
    let alone = NetNs::new();
    let known = Known::of(&[&alone]);
    known.all.lock().expect("nobody panics")[0].path = "/nowhere".into();
    let routes = Routes::new(RouteLimits::default(), Arc::<Known>::clone(&known));
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(look(&routes, alone.inode(), "127.0.0.1", "127.0.0.1"), None);
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).expect("it is short");
    assert!(known.opened.load(Ordering::Relaxed) <= 1 + seconds);
    assert_eq!(routes.counts().without_namespace, 100);
}

#[test]
fn a_namespace_to_which_another_path_leads_is_found_again() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let known = Known::of(&[&world.left]);
    let path = known.all.lock().expect("nobody panics")[0].path.clone();
    let first = std::env::temp_dir().join(world.left.name());
    std::os::unix::fs::symlink(&path, &first).expect("it can be written");
    known.all.lock().expect("nobody panics")[0].path.clone_from(&first);
    let routes = Routes::new(RouteLimits::default(), Arc::<Known>::clone(&known));
    assert!(look(&routes, world.left.inode(), LEFT_V4, RIGHT_V4).is_some());
    std::fs::remove_file(&first).expect("it is there");
    known.all.lock().expect("nobody panics")[0].path = path;
    wait_until("the socket is closed", || routes.counts().sockets == 0);
    assert_eq!(seen(look(&routes, world.left.inode(), LEFT_V4, "10.9.0.3")), via(None, "cable"));
}
