//! Why a request of a client is refused.

use std::fmt;

/// A refused request. Nothing was changed, but that a poll that had begun has acknowledged or dropped what was pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No such client is registered, or it has expired.
    UnknownClient,
    /// The client belongs to another user.
    NotOwner,
    /// The limit of clients is reached.
    TooManyClients {
        /// The limit.
        limit: usize,
    },
    /// The limit of clients of one user other than root is reached.
    TooManyClientsOfUser {
        /// The limit.
        limit: usize,
    },
    /// Another poll of this client is in flight.
    Busy,
    /// The client says that it has an answer that is neither the pending nor the acknowledged one.
    OutOfSequence {
        /// Number of the acknowledged answer; 0 for none.
        acknowledged: u64,
        /// Number of the pending answer, if there is one.
        pending: Option<u64>,
    },
    /// A later poll of this client has put an end to this one.
    Superseded,
    /// The answers that are on their way take as much memory as they may.
    AnswersTooLarge,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownClient => write!(f, "no such client is registered"),
            Refusal::NotOwner => write!(f, "the client belongs to another user"),
            Refusal::TooManyClients { limit } => write!(f, "all {limit} clients are taken"),
            Refusal::TooManyClientsOfUser { limit } => {
                write!(f, "all {limit} clients of this user are taken")
            }
            Refusal::Busy => write!(f, "another poll of this client is in flight"),
            Refusal::OutOfSequence { acknowledged, pending: None } => {
                write!(f, "after may be {acknowledged}, the acknowledged answer; none is pending")
            }
            Refusal::OutOfSequence { acknowledged, pending: Some(pending) } => {
                write!(
                    f,
                    "after may be {acknowledged}, the acknowledged answer, or {pending}, the pending one"
                )
            }
            Refusal::Superseded => write!(f, "a later poll of this client has put an end to this one"),
            Refusal::AnswersTooLarge => {
                write!(f, "the answers that are on their way take as much memory as they may")
            }
        }
    }
}

impl std::error::Error for Refusal {}
