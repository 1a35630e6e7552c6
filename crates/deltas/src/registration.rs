//! What a client may ask for when it registers, and what is told of it afterwards. Which of it holds for one poll
//! is in `polls`.

use connections::KernelTime;

use crate::client::Client;
use crate::client_id::{ClientId, ClientKey, Peer};
use crate::ended::Ended;

/// The shortest time to live that a client may ask for, in nanoseconds.
pub const TTL_NS_MIN: u64 = 10_000_000_000;

/// The longest time to live that a client may ask for, in nanoseconds.
pub const TTL_NS_MAX: u64 = 3_600_000_000_000;

/// What a registration asks for; what is absent stays as it is (for a new client: the default).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// The client expires when nothing was heard from it for this long, in nanoseconds: from [`TTL_NS_MIN`] to
    /// [`TTL_NS_MAX`], and what is beyond is taken for the bound.
    pub ttl_ns: Option<u64>,
    /// How it wants closed connections told.
    pub view: Option<View>,
}

/// How a client wants closed connections told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum View {
    /// One by one.
    #[default]
    Each,
    /// Short-lived ones that differ only in the ephemeral port together.
    Ports,
}

/// Whether a registration made a client or found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// The client is new.
    New,
    /// The client was there; its expiry was put off.
    Known,
}

/// A client as its owner may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientState {
    /// Its id.
    pub id: ClientId,
    /// The user that it belongs to.
    pub owner: Peer,
    /// Number of the last answer made; before the first, the number above which they will be.
    pub sequence: u64,
    /// Number of the acknowledged answer.
    pub acknowledged: u64,
    /// Number of the answer that is neither acknowledged nor dropped; absent if there is none.
    pub pending: Option<u64>,
    /// Live connections with a baseline.
    pub baselines: usize,
    /// Closed connections that wait to be told one by one.
    pub closed_waiting: u64,
    /// It expires when nothing was heard from it for this long, in nanoseconds.
    pub ttl_ns: u64,
    /// How it wants closed connections told, unless a poll says otherwise.
    pub view: View,
    /// When something was heard from it last.
    pub heard_at: KernelTime,
    /// True while one of its polls waits for a pass, is encoded or delivered: then it does not expire.
    pub in_flight: bool,
}

impl Client {
    /// Takes over what a registration asks for.
    pub(crate) fn set(&mut self, settings: Settings) {
        let Settings { ttl_ns, view } = settings;
        self.ttl_ns = ttl_ns.map_or(self.ttl_ns, |ttl_ns| ttl_ns.clamp(TTL_NS_MIN, TTL_NS_MAX));
        self.view = view.unwrap_or(self.view);
    }

    /// What its owner may see.
    pub(crate) fn describe(&self, key: &ClientKey, ended: &Ended) -> ClientState {
        ClientState {
            id: key.id().clone(),
            owner: self.owner,
            sequence: self.sequence,
            acknowledged: self.baseline.sequence,
            pending: self.pending.as_ref().map(|pending| pending.sequence),
            baselines: self.baseline.told.count(),
            closed_waiting: ended.closed.len_from(self.baseline.closed),
            ttl_ns: self.ttl_ns,
            view: self.view,
            heard_at: self.heard_at,
            in_flight: self.in_flight.is_some(),
        }
    }
}
