//! What can be known about a connection beyond what the kernel side tells with it: who is behind its two ends.
//!
//! The words only. Where each fact comes from, and how long it is remembered, is the business of who annotates.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::connection::Connection;
use crate::direction::Direction;
use crate::owner::{Owner, padded_text};
use crate::process::Process;
use crate::rollup::RollUp;
use crate::shared::Shared;

/// What is known about one connection. A fact that is missing is not known, and never guessed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotation<'a> {
    /// The process that owns it.
    pub process: Option<Shared<'a, Process>>,
    /// How addresses are translated on their way.
    pub nat: Option<Nat>,
    /// Names of the remote end, as DNS answers on this host gave them: those that the process of the connection asked for
    /// first, and of these, and of the others, the last asked for first. Absent where there are none.
    pub names: Option<Shared<'a, [Arc<str>]>>,
    /// The way to the remote end.
    pub route: Option<Route>,
    /// The other end, where that is on this host too and was found.
    pub other_end: Option<OtherEnd<'a>>,
    /// Both ends are known to be on this host: its addresses say so, or the other end was found.
    pub intra_host: bool,
}

/// Translated addresses: where the packets of the other direction come from and go to, as connection tracking has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nat {
    /// Where they come from: the remote end as it is behind the translation.
    pub remote: SocketAddr,
    /// Where they go to: this end as the remote one sees it.
    pub local: SocketAddr,
}

/// The way from a namespace to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Route {
    /// The next router; absent where the address is on a link of this host.
    pub gateway: Option<IpAddr>,
    /// The interface that packets leave by, in the namespace of the socket.
    pub interface: Interface,
}

/// A network interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interface {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: InterfaceName,
    /// Its Ethernet address; absent of interfaces without one.
    pub hardware_address: Option<[u8; 6]>,
}

/// The name of an interface: 1 to 15 bytes, padded with zeros, as the kernel keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterfaceName([u8; 16]);

impl InterfaceName {
    /// `None` where there is no name, or one that is too long. What follows a zero is no part of it.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Self> {
        let name = name.split(|byte| *byte == 0).next()?;
        let mut padded = [0; 16];
        padded.get_mut(..name.len()).filter(|bytes| (1..16).contains(&bytes.len()))?.copy_from_slice(name);
        Some(Self(padded))
    }

    /// The name as text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        padded_text(&self.0)
    }
}

impl fmt::Debug for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

/// The other end of a connection, on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherEnd<'a> {
    /// Inode number of its network namespace.
    pub netns: u32,
    /// Its owner.
    pub owner: Option<Shared<'a, Owner>>,
    /// Its direction, as far as it is known.
    pub direction: Direction,
}

/// What became known or changed about one end of a connection: enough to find its other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The connection as it is now.
    pub connection: Connection,
    /// True when it has ended.
    pub ended: bool,
}

/// Who knows what is behind connections. Asked for one answer: it may read files and ask the kernel for what it does not
/// remember, within a time that is bounded for all questions together.
pub trait Annotate {
    /// What is known of each, in the same order.
    fn annotate(&self, connections: &mut dyn Iterator<Item = &Connection>) -> Vec<Annotation<'_>>;

    /// What is known of connections that are told together, as far as they have it in common.
    fn annotate_roll_up(&self, rollup: &RollUp) -> Annotation<'_>;

    /// The process of an owner.
    fn process(&self, owner: &Owner) -> Option<Arc<Process>>;
}

/// Nobody: nothing is known.
impl Annotate for () {
    fn annotate(&self, connections: &mut dyn Iterator<Item = &Connection>) -> Vec<Annotation<'_>> {
        connections.map(|_| Annotation::default()).collect()
    }

    fn annotate_roll_up(&self, _: &RollUp) -> Annotation<'_> {
        Annotation::default()
    }

    fn process(&self, _: &Owner) -> Option<Arc<Process>> {
        None
    }
}
