//! What the kernel's own answers become.

use crate::namespaces::{look, routes, runs_here, seen, via};
use crate::world::{LEFT_V4, NetNs, RIGHT_V4, VethPair};

const LEFT_V6: &str = "fd09::1";

#[test]
fn a_route_has_the_gateway_and_the_interface_that_the_kernel_chooses() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    world.left.ip(&["link", "set", "cable", "address", "02:00:00:00:00:07"]);
    world.left.ip(&["route", "add", "10.66.0.0/16", "via", RIGHT_V4]);
    world.left.ip(&["route", "add", "10.67.0.0/16", "via", "inet6", "fd09::2", "dev", "cable"]);
    world.left.ip(&["route", "add", "2001:db8::/32", "via", "fd09::2"]);
    world.left.ip(&["route", "add", "2001:db9::/32", "via", "fe80::7", "dev", "cable"]);
    let (routes, netns) = (routes(&[&world.left, &world.right]), world.left.inode());
    for (source, destination, gateway) in [
        (LEFT_V4, RIGHT_V4, None),
        (LEFT_V4, "10.66.1.2", Some(RIGHT_V4)),
        ("0.0.0.0", "10.66.1.2", Some(RIGHT_V4)),
        ("239.1.2.3", RIGHT_V4, None),
        ("::ffff:10.9.0.1", "::ffff:10.66.1.2", Some(RIGHT_V4)),
        (LEFT_V4, "10.67.1.2", Some("fd09::2")),
        (LEFT_V6, "fd09::2", None),
        (LEFT_V6, "2001:db8::7", Some("fd09::2")),
        (LEFT_V6, "2001:db9::7", Some("fe80::7")),
    ] {
        let found = look(&routes, netns, source, destination);
        assert_eq!(seen(found), via(gateway, "cable"), "{destination}");
    }
    let interface = &look(&routes, netns, LEFT_V4, RIGHT_V4).expect("it is there").interface;
    assert_eq!(interface.hardware_address, Some([2, 0, 0, 0, 0, 7]));
    assert!(interface.index > 1, "{}", interface.index);
    let of_right = look(&routes, world.right.inode(), RIGHT_V4, LEFT_V4).expect("it is there");
    assert_ne!(of_right.interface.hardware_address, interface.hardware_address);
    assert_eq!(look(&routes, world.right.inode(), RIGHT_V4, "10.66.1.2"), None);
}

#[test]
fn own_addresses_are_reached_over_the_loopback_interface() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let (routes, netns) = (routes(&[&world.left]), world.left.inode());
    for destination in ["127.0.0.1", "127.3.4.5", "::1"] {
        let source = if destination == "::1" { "::1" } else { "127.0.0.1" };
        let found = look(&routes, netns, source, destination);
        let address = found.as_ref().and_then(|route| route.interface.hardware_address);
        assert_eq!((seen(found), address), (via(None, "lo"), None), "{destination}");
    }
    // The kernel is asked for the interface alone, and once.
    assert_eq!((routes.counts().asked, routes.counts().routes), (1, 3));
    for (source, destination) in [(LEFT_V4, LEFT_V4), ("127.0.0.1", LEFT_V4), (LEFT_V6, LEFT_V6)] {
        let found = look(&routes, netns, source, destination);
        assert_eq!(seen(found), via(None, "lo"), "{destination}");
    }
}

#[test]
fn a_link_local_address_is_reached_by_the_link_that_it_is_of() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    world.left.ip(&["link", "add", "second", "type", "veth", "peer", "name", "other"]);
    world.left.ip(&["link", "set", "second", "up"]);
    world.left.ip(&["link", "set", "other", "up"]);
    let (routes, netns) = (routes(&[&world.left]), world.left.inode());
    let numbers = world.left.inside(|| ["cable", "second"].map(number_of));
    for (number, name) in numbers.iter().zip(["cable", "second"]) {
        let scoped = |ip: &str| format!("{ip}%{number}");
        let found = look(&routes, netns, "::", &scoped("fe80::1:2"));
        assert_eq!(seen(found), via(None, name));
        // The scope of this end tells too.
        let found = look(&routes, netns, &scoped("fe80::9"), "fe80::1:3");
        assert_eq!(seen(found), via(None, name));
        let found = look(&routes, netns, &scoped("fe80::9"), "ff02::fb");
        assert_eq!(seen(found), via(None, name));
    }
    assert_eq!(look(&routes, netns, "::", "fe80::1:2"), None);
    assert_eq!(look(&routes, netns, LEFT_V6, "ff02::fb"), None);
}

/// In the namespace of this thread. `/sys` shows another one's.
fn number_of(name: &str) -> u32 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
    rustix::net::netdevice::name_to_index(&socket, name).expect("it is there")
}

#[test]
fn rules_by_source_decide() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    world.left.ip(&["address", "add", "10.9.0.11/24", "dev", "cable"]);
    world.left.ip(&["route", "add", "10.66.0.0/16", "via", RIGHT_V4]);
    world.left.ip(&["route", "add", "10.66.0.0/16", "via", "10.9.0.99", "table", "100"]);
    world.left.ip(&["rule", "add", "from", "10.9.0.11", "table", "100"]);
    let (routes, netns) = (routes(&[&world.left]), world.left.inode());
    let gateway = |source| seen(look(&routes, netns, source, "10.66.1.2"));
    assert_eq!(gateway(LEFT_V4), via(Some(RIGHT_V4), "cable"));
    assert_eq!(gateway("10.9.0.11"), via(Some("10.9.0.99"), "cable"));
}

#[test]
fn of_several_ways_the_kernel_chooses_one() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    let ways = ["nexthop", "via", RIGHT_V4, "nexthop", "via", "10.9.0.99"];
    world.left.ip(&[&["route", "add", "10.66.0.0/16"], &ways[..]].concat());
    let found = seen(look(&routes(&[&world.left]), world.left.inode(), LEFT_V4, "10.66.1.2"));
    let chosen = [RIGHT_V4, "10.9.0.99"].map(|gateway| via(Some(gateway), "cable"));
    assert!(chosen.contains(&found), "{found:?}");
}

#[test]
fn where_there_is_no_way_nothing_is_told_and_that_is_remembered() {
    if !runs_here() {
        return;
    }
    let world = VethPair::new();
    for (kind, to) in [
        ("unreachable", "10.66.0.0/16"),
        ("blackhole", "10.67.0.0/16"),
        ("prohibit", "10.68.0.0/16"),
        ("unreachable", "2001:db8::/32"),
        ("blackhole", "2001:db9::/32"),
    ] {
        world.left.ip(&["route", "add", kind, to]);
    }
    let (routes, netns) = (routes(&[&world.left]), world.left.inode());
    let without_a_way = [
        (LEFT_V4, "10.66.1.2"),
        (LEFT_V4, "10.67.1.2"),
        (LEFT_V4, "10.68.1.2"),
        (LEFT_V6, "2001:db8::1"),
        (LEFT_V6, "2001:db9::1"),
        // There is no route, and the source is nobody's.
        (LEFT_V4, "192.0.2.1"),
        (LEFT_V6, "2001:dba::1"),
        ("192.0.2.9", RIGHT_V4),
    ];
    for _ in 0..2 {
        for (source, destination) in without_a_way {
            assert_eq!(look(&routes, netns, source, destination), None, "{source} {destination}");
        }
    }
    let counts = routes.counts();
    assert_eq!((counts.asked, counts.unreachable, counts.routes), (8, 8, 8));
}

#[test]
fn what_has_no_answer_is_not_asked() {
    if !runs_here() {
        return;
    }
    let alone = NetNs::new();
    let routes = routes(&[&alone]);
    for (source, destination) in [("10.0.0.1", "0.0.0.0"), ("::1", "::"), ("10.0.0.1", "fd00::1")] {
        assert_eq!(look(&routes, alone.inode(), source, destination), None);
    }
    assert_eq!((routes.counts().asked, routes.counts().sockets), (0, 0));
}
