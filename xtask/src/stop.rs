//! Why a command ends early, and with which exit code.
//!
//! The messages are made where the cause is known; `main` alone prints them.

use std::fmt::Display;

/// A reason to end the command.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The command line makes no sense: exit code 64 and the usage.
    Usage(String),
    /// Something did not work: exit code 1 and the message.
    Failed(String),
    /// Exit code 1; what there is to say was said.
    Silent,
}

/// Turns an error into a `Stop` that also says what was tried.
pub(crate) fn failed<E: Display>(what: impl Display) -> impl FnOnce(E) -> Stop {
    move |error| Stop::Failed(format!("{what}: {error}"))
}
