//! What each registered client has not seen yet.
//!
//! Owns clients, their baselines and the log of closed connections. Takes the live table by reference and
//! gives owned [`Delta`]s. Does not know bytes or HTTP (`encode` and `endpoints` do), and never changes the
//! table.
//!
//! The promise: for every connection, the sum of the deltas that a client acknowledged equals the
//! connection's total, whatever the order of polls, closes and lost answers. Nothing here does IO, reads a
//! clock or fails but by a typed [`Refusal`].

mod baseline;
mod changes;
mod client;
mod client_id;
mod clients;
mod delta;
mod ended;
mod everything;
mod in_flight;
mod log;
mod looked_up;
mod polls;
mod records;
mod refusal;
mod registration;
mod roll_ups;

pub use changes::{Change, ChangeOf, Changes};
pub use client_id::{ClientId, InvalidClientId, Peer};
pub use clients::{ClientLimits, Clients};
pub use delta::{Coverage, Delta, Health, RollUpId};
pub use in_flight::Share;
pub use looked_up::{LookupSum, Lookups};
pub use polls::{Ask, Begun, Ticket};
pub use records::Record;
pub use refusal::Refusal;
pub use registration::{ClientState, Registration, Settings, TTL_NS_MAX, TTL_NS_MIN, View};
pub use roll_ups::RollUps;
