//! Listening sockets in our own JSON form.

use connections::{KernelTime, Listener, WallOffset};
use serde::Serialize;

use super::connection::{EndWire, OwnerWire};
use crate::wall_time::WallTime;

/// The answer of `GET /v1/listeners`.
#[derive(Serialize)]
pub struct ListenersView<'a> {
    instance: &'a str,
    at: WallTime,
    listeners: Vec<ListenerWire<'a>>,
}

impl<'a> ListenersView<'a> {
    /// The listeners as of a pass that began at `at`, in the order of namespace, port and address.
    #[must_use]
    pub fn new(listeners: &'a [Listener], at: KernelTime, wall: WallOffset, instance: &'a str) -> Self {
        let mut sorted: Vec<&Listener> = listeners.iter().collect();
        sorted.sort_by_key(|listener| {
            (listener.netns, listener.local.port(), listener.local.ip(), listener.id)
        });
        let listeners = sorted.into_iter().map(ListenerWire::new).collect();
        Self { instance, at: WallTime::of(at, wall), listeners }
    }
}

#[derive(Serialize)]
struct ListenerWire<'a> {
    id: String,
    protocol: &'static str,
    netns: u32,
    local: EndWire,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerWire<'a>>,
}

impl<'a> ListenerWire<'a> {
    fn new(listener: &'a Listener) -> Self {
        let Listener { id, netns, local, owner } = listener;
        Self {
            id: id.to_string(),
            protocol: "tcp",
            netns: *netns,
            local: EndWire::new(*local),
            owner: owner.as_ref().map(OwnerWire::new),
        }
    }
}
