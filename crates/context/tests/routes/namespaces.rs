//! The namespaces that a test lets be found, sockets in them, and how it looks for a route.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use connections::Route;
use context::{Namespace, Namespaces, RouteLimits, Routes};
use rustix::net::netlink::KOBJECT_UEVENT;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::not_run::not_run;
use crate::world::NetNs;

/// Longer than any question takes.
pub(crate) const LONG: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(crate) struct Known {
    pub(crate) all: Mutex<Vec<Namespace>>,
    pub(crate) searched: AtomicUsize,
    pub(crate) opened: AtomicUsize,
}

impl Known {
    pub(crate) fn of(namespaces: &[&NetNs]) -> Arc<Self> {
        let known = Self::default();
        namespaces.iter().for_each(|namespace| known.add(namespace));
        Arc::new(known)
    }

    pub(crate) fn add(&self, namespace: &NetNs) {
        let path = format!("/run/netns/{}", namespace.name()).into();
        self.all.lock().expect("nobody panics").push(Namespace { inode: namespace.inode(), path });
    }
}

impl Namespaces for Known {
    fn all(&self) -> Vec<Namespace> {
        self.searched.fetch_add(1, Ordering::Relaxed);
        self.all.lock().expect("nobody panics").clone()
    }

    fn netlink(&self, namespace: &Namespace, protocol: i32) -> io::Result<OwnedFd> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let file = File::open(&namespace.path)?;
        let protocol = u32::try_from(protocol).ok().and_then(NonZeroU32::new).map(Protocol::from_raw);
        assert_ne!(protocol, Some(KOBJECT_UEVENT));
        let open = move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?)
        };
        thread::spawn(open).join().expect("it does not panic")
    }
}

/// Routes of these namespaces, remembered for as long as the default says.
pub(crate) fn routes(namespaces: &[&NetNs]) -> Routes {
    Routes::new(RouteLimits::default(), Known::of(namespaces))
}

/// Looks for one route, with time enough.
pub(crate) fn look(routes: &Routes, netns: u32, source: &str, destination: &str) -> Option<Route> {
    routes.look(Instant::now() + LONG).of(netns, end(source), end(destination))
}

/// The gateway and the name of the interface.
pub(crate) fn seen(route: Option<Route>) -> Option<(Option<IpAddr>, String)> {
    route.map(|route| (route.gateway, route.interface.name.text().into_owned()))
}

/// An address with any port; one of IPv6 may have the number of a link as its scope.
pub(crate) fn end(text: &str) -> SocketAddr {
    let with_port = if text.contains(':') { format!("[{text}]:1") } else { format!("{text}:1") };
    with_port.parse().expect("a test address")
}

pub(crate) fn via(gateway: Option<&str>, interface: &str) -> Option<(Option<IpAddr>, String)> {
    Some((gateway.map(|gateway| gateway.parse().expect("a test address")), interface.into()))
}

/// Waits until it is so.
pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

/// True for root; for others it is noted that the test does not run.
pub(crate) fn runs_here() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let thread = thread::current();
    let noted = not_run("contract", thread.name().unwrap_or("unnamed"), "needs root");
    noted.unwrap_or_else(|failure| panic!("{failure}"));
    false
}
