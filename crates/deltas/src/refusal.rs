//! Why a request of a client is refused.

use std::fmt;

/// A refused request. Nothing was changed.
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
    /// An answer of this client is still on its way.
    AnswerPending,
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
            Refusal::AnswerPending => write!(f, "an answer of this client is still on its way"),
        }
    }
}

impl std::error::Error for Refusal {}
