//! Listening sockets in our own JSON form.

use connections::{Annotate, KernelTime, Listener, Owner, WallOffset};
use serde::Serialize;

use super::proto;
use crate::wall_time::WallTime;

/// The answer of `GET /v1/listeners`.
#[derive(Serialize)]
pub struct ListenersView<'a> {
    instance: &'a str,
    at: WallTime,
    listeners: Vec<ListenerWire>,
}

impl<'a> ListenersView<'a> {
    /// The listeners as of a pass that began at `at`, in the order of namespace, port and address.
    #[must_use]
    pub fn new(
        listeners: &[Listener],
        at: KernelTime,
        wall: WallOffset,
        instance: &'a str,
        context: &dyn Annotate,
    ) -> Self {
        let mut sorted: Vec<&Listener> = listeners.iter().collect();
        sorted.sort_by_key(|listener| {
            (listener.netns, listener.local.port(), listener.local.ip(), listener.id)
        });
        let listeners = sorted.into_iter().map(|listener| ListenerWire::new(listener, context)).collect();
        Self { instance, at: WallTime::of(at, wall), listeners }
    }
}

#[derive(Serialize)]
struct ListenerWire {
    id: String,
    protocol: &'static str,
    netns: u32,
    local: proto::Side,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<proto::Owner>,
}

impl ListenerWire {
    fn new(listener: &Listener, context: &dyn Annotate) -> Self {
        let Listener { id, netns, local, owner } = listener;
        Self {
            id: id.to_string(),
            protocol: "tcp",
            netns: *netns,
            local: (*local).into(),
            owner: owner.as_ref().map(|owner| owned(owner, context)),
        }
    }
}

fn owned(owner: &Owner, context: &dyn Annotate) -> proto::Owner {
    let mut told = proto::Owner::new(owner);
    if let Some(process) = context.process(owner) {
        told.add(&process);
    }
    told
}
