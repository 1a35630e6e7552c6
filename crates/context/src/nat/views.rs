//! All that is remembered, and all that the kernel tracks, for whoever wants to see it: one at a time, and no lock is held
//! while it is looked at.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use connections::{KernelTime, Protocol};

use super::Translations;
use super::dumps::{Listed, Listing, deadline};
use super::message::{Message, read};
use super::shared::lock;
use super::way::{Translation, Way};
use crate::Namespace;

/// Entries that are copied while the table is locked.
const PIECE: usize = 1024;

/// A tracked connection, both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackedConnection {
    /// Inode number of the namespace that tracks it.
    pub netns: u32,
    /// Its protocol.
    pub protocol: Protocol,
    /// Number of its zone of connection tracking; 0 where there are none.
    pub zone: u16,
    /// Source and destination of its first packet, as it came.
    pub original: (SocketAddr, SocketAddr),
    /// Source and destination of the packets that come back, as they come.
    pub reply: (SocketAddr, SocketAddr),
    /// True when addresses or ports are translated.
    pub translated: bool,
    /// It began then or up to 2 s later; absent when nobody saw its beginning.
    pub began: Option<KernelTime>,
    /// It ended then or somewhat earlier; absent while it lives.
    pub ended: Option<KernelTime>,
}

/// What a message of the kernel says of a tracked connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is there.
    There(TrackedConnection),
    /// It is gone.
    Gone(TrackedConnection),
    /// Something else, or of a protocol that is neither TCP nor UDP.
    Other,
    /// It cannot be understood.
    Malformed,
}

/// Reads a datagram of the kernel's connection tracking (ctnetlink) from that namespace, message by message. Any bytes will
/// do: nothing in them is believed.
pub fn read_conntrack(netns: u32, datagram: &[u8], mut each: impl FnMut(Heard)) {
    read(datagram, |message| {
        each(match message {
            Message::There(translation, _) => Heard::There(there(netns, &translation)),
            Message::Gone(translation, _) => Heard::Gone(there(netns, &translation)),
            Message::Malformed => Heard::Malformed,
            Message::Tracked(_) | Message::Done { .. } | Message::Refused(_) | Message::Foreign => {
                Heard::Other
            }
        });
    });
}

/// How listing the kernel's tables came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostListing {
    /// Namespaces that were listed to their end.
    pub namespaces: usize,
    /// Namespaces that could not be listed, or not to their end; those that cannot be listened to among them.
    pub incomplete: usize,
    /// Whether time was over, or the caller had enough, before all were listed.
    pub cut: bool,
}

impl Translations {
    /// All that is remembered, in no particular order, until `each` has enough. What begins meanwhile may be missing.
    pub fn cached(&self, mut each: impl FnMut(TrackedConnection) -> ControlFlow<()>) {
        let (mut from, mut piece) = (0, Vec::with_capacity(PIECE));
        loop {
            let next = lock(&self.shared.table).copy(from, PIECE, &mut piece);
            for entry in piece.drain(..) {
                let way = |way: &Way| (way.source(), way.destination());
                let tracked = TrackedConnection {
                    netns: entry.netns,
                    protocol: entry.protocol,
                    zone: entry.zone,
                    original: way(&entry.original),
                    reply: way(&entry.reply),
                    translated: true,
                    began: (entry.began > 0).then_some(KernelTime(entry.began)),
                    ended: (!entry.is_alive()).then_some(KernelTime(entry.ended)),
                };
                if each(tracked).is_break() {
                    return;
                }
            }
            let Some(next) = next else { return };
            from = next;
        }
    }

    /// All that the kernel tracks now, translated or not, namespace by namespace, the host's first, until `each` has enough
    /// or the time is over. Asks the kernel on the thread of the caller: 10 µs for each tracked connection.
    pub fn host(
        &self,
        time: Duration,
        mut each: impl FnMut(TrackedConnection) -> ControlFlow<()>,
    ) -> HostListing {
        let is_over = deadline(time);
        let mut namespaces: Vec<Namespace> = lock(&self.shared.listeners).all().cloned().collect();
        namespaces.sort_by_key(|namespace| (namespace.inode != self.shared.home, namespace.inode));
        let unread = self.shared.totals.read().unread_namespaces;
        let incomplete = usize::try_from(unread).unwrap_or(usize::MAX);
        let mut result = HostListing { incomplete, ..HostListing::default() };
        for namespace in &namespaces {
            let mut step = |translations: &mut Vec<Listed>| {
                for (translation, _) in translations.drain(..) {
                    each(there(namespace.inode, &translation))?;
                }
                if is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            if is_over() {
                result.cut = true;
                break;
            }
            let listed = Listing::open(&*self.shared.namespaces, namespace)
                .and_then(|mut listing| listing.dump(None, &mut step));
            match listed {
                Ok(end) if end.complete => result.namespaces += 1,
                Ok(end) if end.cut => {
                    result.incomplete += 1;
                    result.cut = true;
                    break;
                }
                Ok(_) | Err(_) => result.incomplete += 1,
            }
        }
        result
    }
}

fn there(netns: u32, translation: &Translation) -> TrackedConnection {
    let way = |way: &Way| (way.source(), way.destination());
    TrackedConnection {
        netns,
        protocol: translation.protocol,
        zone: translation.zone,
        original: way(&translation.original),
        reply: way(&translation.reply),
        translated: translation.translates(),
        began: None,
        ended: None,
    }
}
