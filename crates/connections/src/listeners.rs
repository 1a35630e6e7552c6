//! Listening sockets: who serves which port, as of the last pass.
//!
//! Used to guess the owner of an accepted connection until it is known, and to tell the direction of
//! connections that are older than the tracer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use foldhash::fast::RandomState;

use crate::connection::ConnectionId;
use crate::owner::Owner;

/// A listening TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub id: ConnectionId,
    /// Inode number of its network namespace.
    pub netns: u32,
    /// The address it listens on; unspecified when on all.
    pub local: SocketAddr,
    /// The process that called `listen`.
    pub owner: Option<Owner>,
}

/// The listeners of the last complete pass, and those of the running one.
#[derive(Debug, Default)]
pub struct Listeners {
    known: HashMap<(u32, u16), Vec<Listener>, RandomState>,
    arriving: HashMap<(u32, u16), Vec<Listener>, RandomState>,
    /// How many in `known` no pass has read.
    closed_kept: usize,
}

/// Of listeners that were opened and closed between two passes, at most this many are kept.
const CLOSED_KEPT_MAX: usize = 4096;

impl Listeners {
    /// All listeners of the last complete pass, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.known.values().flatten()
    }

    /// Notes a listener that the running pass read.
    pub(crate) fn read(&mut self, listener: Listener) {
        self.arriving.entry((listener.netns, listener.local.port())).or_default().push(listener);
    }

    /// Notes a listener that was closed: until the next pass ends it may still explain connections that
    /// came in through it.
    pub(crate) fn closed(&mut self, listener: Listener) {
        if self.closed_kept >= CLOSED_KEPT_MAX {
            return;
        }
        let entry = self.known.entry((listener.netns, listener.local.port())).or_default();
        if entry.iter().all(|known| known.id != listener.id) {
            entry.push(listener);
            self.closed_kept += 1;
        }
    }

    /// The running pass is complete: what it did not read is gone.
    pub(crate) fn pass_ended(&mut self) {
        self.known = std::mem::take(&mut self.arriving);
        self.closed_kept = 0;
    }

    /// The listener through which a connection to `local` comes in: the one bound to that very address, else
    /// one bound to all addresses of its family, else one bound to all addresses of both.
    #[must_use]
    pub fn serving(&self, netns: u32, local: SocketAddr) -> Option<&Listener> {
        let key = (netns, local.port());
        let candidates = || self.arriving.get(&key).into_iter().chain(self.known.get(&key)).flatten();
        candidates()
            .find(|listener| listener.local.ip() == local.ip())
            .or_else(|| candidates().find(|listener| serves_family(listener.local.ip(), local.ip())))
            .or_else(|| candidates().find(|listener| serves_all(listener.local.ip(), local.ip())))
    }
}

/// True when a socket bound to `bound` is meant for any address of the family of `local`.
fn serves_family(bound: IpAddr, local: IpAddr) -> bool {
    bound.is_unspecified() && bound.is_ipv6() == local.is_ipv6()
}

/// True when a socket bound to `bound` accepts connections to any address of the family of `local`. One
/// bound to `::` also accepts IPv4 unless it was told not to, which is not known here.
fn serves_all(bound: IpAddr, local: IpAddr) -> bool {
    bound.is_unspecified() && (bound.is_ipv6() || local.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::KernelTime;

    fn listener(cookie: u64, local: &str) -> Listener {
        let id = ConnectionId { cookie, claimed_at: KernelTime(1) };
        Listener { id, netns: 1, local: local.parse().expect("an address"), owner: None }
    }

    fn read(locals: &[&str]) -> Listeners {
        let mut listeners = Listeners::default();
        for (cookie, local) in (0..).zip(locals) {
            listeners.read(listener(cookie, local));
        }
        listeners
    }

    fn serving(listeners: &Listeners, local: &str) -> Option<u64> {
        let local = local.parse().expect("an address");
        listeners.serving(1, local).map(|listener| listener.id.cookie)
    }

    #[test]
    fn the_listener_bound_to_the_very_address_comes_first() {
        let listeners = read(&["0.0.0.0:80", "10.0.0.1:80"]);
        assert_eq!(serving(&listeners, "10.0.0.1:80"), Some(1));
        assert_eq!(serving(&listeners, "10.0.0.2:80"), Some(0));
    }

    #[test]
    fn the_listener_of_the_same_family_comes_before_the_one_of_both() {
        let listeners = read(&["[::]:80", "0.0.0.0:80"]);
        assert_eq!(serving(&listeners, "10.0.0.1:80"), Some(1));
        assert_eq!(serving(&listeners, "[2001:db8::1]:80"), Some(0));
    }

    #[test]
    fn a_listener_on_all_ipv6_addresses_also_serves_ipv4_and_not_the_other_way_round() {
        assert_eq!(serving(&read(&["[::]:80"]), "10.0.0.1:80"), Some(0));
        assert_eq!(serving(&read(&["0.0.0.0:80"]), "[2001:db8::1]:80"), None);
    }

    #[test]
    fn a_listener_serves_its_own_address_port_and_namespace_only() {
        let listeners = read(&["10.0.0.1:80"]);
        assert_eq!(serving(&listeners, "10.0.0.2:80"), None);
        assert_eq!(serving(&listeners, "10.0.0.1:81"), None);
        assert!(listeners.serving(2, "10.0.0.1:80".parse().expect("an address")).is_none());
    }

    #[test]
    fn a_listener_that_a_pass_did_not_read_is_gone_when_the_pass_ends() {
        let mut listeners = read(&["0.0.0.0:80"]);
        assert_eq!((serving(&listeners, "10.0.0.1:80"), listeners.iter().count()), (Some(0), 0));
        listeners.pass_ended();
        assert_eq!((serving(&listeners, "10.0.0.1:80"), listeners.iter().count()), (Some(0), 1));
        listeners.pass_ended();
        assert_eq!((serving(&listeners, "10.0.0.1:80"), listeners.iter().count()), (None, 0));
    }

    #[test]
    fn what_the_running_pass_read_comes_before_what_the_last_one_read() {
        let mut listeners = read(&["0.0.0.0:80"]);
        listeners.pass_ended();
        listeners.read(listener(7, "0.0.0.0:80"));
        assert_eq!(serving(&listeners, "10.0.0.1:80"), Some(7));
    }

    #[test]
    fn a_listener_closed_between_two_passes_serves_until_the_next_pass_ends() {
        let mut listeners = Listeners::default();
        for _ in 0..2 {
            listeners.closed(listener(3, "0.0.0.0:80"));
        }
        assert_eq!((serving(&listeners, "10.0.0.1:80"), listeners.iter().count()), (Some(3), 1));
        listeners.pass_ended();
        assert_eq!(serving(&listeners, "10.0.0.1:80"), None);
    }

    #[test]
    fn listeners_closed_between_two_passes_are_bounded() {
        let mut listeners = Listeners::default();
        for cookie in 0..=CLOSED_KEPT_MAX as u64 {
            listeners.closed(listener(cookie, "0.0.0.0:80"));
        }
        assert_eq!(listeners.iter().count(), CLOSED_KEPT_MAX);
        listeners.pass_ended();
        listeners.closed(listener(1, "0.0.0.0:80"));
        assert_eq!(listeners.iter().count(), 1);
    }
}
