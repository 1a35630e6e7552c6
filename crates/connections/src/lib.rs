//! The connections of the host: the words of the domain, the events that change them, and the live table.
//!
//! Owns what a connection *is* and how observations of the kernel become one true, monotonic record of it.
//! Does not read the kernel (`collect` does), does not know who asks (`deltas` does) and has no wire form
//! (`encode` has).
//!
//! Nothing here does IO, reads a clock, starts a thread or fails: time comes in as [`KernelTime`], and odd
//! input is counted as an anomaly and answered with the best value.

mod annotation;
mod audit;
mod closed;
mod column;
mod connection;
mod container;
mod counters;
mod criteria;
mod details;
mod direction;
mod entry;
mod event;
mod facts;
mod failure;
mod filter;
mod global_id;
mod ledger;
mod listeners;
mod live;
mod loss;
mod news;
mod owner;
mod owners;
mod payload;
mod places;
mod process;
mod remembered;
mod rollup;
mod shared;
mod state;
mod table;
mod tally;
mod tcp;
mod time;
mod tombstones;
mod tuple;

pub use annotation::{Annotate, Annotation, End, Interface, InterfaceName, Nat, OtherEnd, Route};
pub use audit::{Audit, AuditReading, Drift, KernelSums, NamespaceReading};
pub use closed::{Closed, ToldOf};
pub use connection::{Connection, ConnectionId};
pub use container::ContainerId;
pub use counters::{Counters, RawCounters};
pub use criteria::Criteria;
pub use direction::Direction;
pub use event::{Ending, Event, Observation};
pub use facts::{Counted, Facts, UdpFacts};
pub use failure::{Failure, FailureKind};
pub use filter::Filter;
pub use global_id::GlobalId;
pub use listeners::{Listener, Listeners};
pub use loss::{Loss, Losses};
pub use news::{News, NewsOf, Told};
pub use owner::{Command, Owner, OwnerSource};
pub use payload::{Lookup, LookupOutcome, Payload};
pub use process::{Executed, Process, ProcessEvent, ProcessKey};
pub use remembered::Remembered;
pub use rollup::{Common, RollUp, RollUpKey, RolledUp};
pub use shared::Shared;
pub use state::State;
pub use table::{Table, TableCounts};
pub use tcp::TcpFacts;
pub use time::{KernelTime, WallOffset};
pub use tuple::{Protocol, Tuple};
