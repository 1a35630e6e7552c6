//! The hooks: which capability is served by which kernel attach points, best alternative first, and how that went.
//!
//! The alternatives stand in `table`. Loads nothing.

mod refuse;
mod table;

use std::fmt;

pub use refuse::{Refuse, UnknownHook};
pub(crate) use table::{HOOKS, SOCK_DIAG, SOCK_DIAG_ENDS, SOCKET_FILES, UDP_FUNCTIONS, UDP_PACKETS};

use crate::dialect::Dialect;

/// Something the tracer can do, if the kernel lets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Live TCP connections and listeners.
    TcpLive,
    /// Final counters of closed TCP connections.
    TcpClosed,
    /// TCP sockets that are older than the tracer.
    TcpAdopted,
    /// The process that holds an accepted connection, while it lives.
    TcpOwner,
    /// Calls of `connect` that fail before anything is sent.
    TcpAttempts,
    /// UDP connections.
    Udp,
    /// ICMP messages that tell a UDP socket of a failure.
    UdpFailures,
    /// Which UDP sockets are older than the tracer.
    UdpAdopted,
    /// The process that holds a UDP socket which has only received.
    UdpOwner,
    /// Processes that begin, execute and end.
    Processes,
    /// Messages of name servers over UDP.
    Dns,
    /// Messages of name servers over TCP.
    DnsTcp,
}

/// One way to serve a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alternative {
    /// What it serves.
    pub capability: Capability,
    /// The attach points and what else of the kernel decides, as the kernel names them.
    pub hook: &'static str,
    /// The programs that it is made of, by the names of their functions; one may serve several capabilities. None where it
    /// is polled.
    pub programs: &'static [&'static str],
    /// The dialects in which it can be; all, if it is served alike in each.
    pub dialects: &'static [Dialect],
    /// True when it is left out unless it is asked for: it costs something that not everybody needs.
    pub on_request: bool,
    /// What is missing where it is refused.
    pub without: &'static str,
}

/// An alternative that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The hook.
    pub hook: &'static str,
    /// Why, in the kernel's own words where it said something.
    pub reason: String,
}

/// How a capability is served on this kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilityState {
    /// The capability.
    pub capability: Capability,
    /// The hook that serves it; absent when none could, or none was asked for.
    pub served_by: Option<&'static str>,
    /// Why it is not served as well as it could be, and what follows.
    pub degradation: Option<String>,
    /// Better alternatives that were refused, best first; where none serves it, all that were tried.
    pub refused: Vec<Refusal>,
}

impl Capability {
    /// The name in lower case, stable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Capability::TcpLive => "tcp live",
            Capability::TcpClosed => "tcp closed",
            Capability::TcpAdopted => "tcp adopted",
            Capability::TcpOwner => "tcp owner",
            Capability::TcpAttempts => "tcp attempts",
            Capability::Udp => "udp",
            Capability::UdpFailures => "udp failures",
            Capability::UdpAdopted => "udp adopted",
            Capability::UdpOwner => "udp owner",
            Capability::Processes => "processes",
            Capability::Dns => "dns",
            Capability::DnsTcp => "dns tcp",
        }
    }

    /// Its alternatives, best first.
    pub(crate) fn alternatives(self) -> impl Iterator<Item = &'static Alternative> {
        HOOKS.iter().filter(move |hook| hook.capability == self)
    }

    /// The best alternative for this capability.
    #[must_use]
    pub(crate) fn alternative(self) -> &'static Alternative {
        self.alternatives().next().expect("every capability has a row")
    }

    /// The best alternative in this dialect.
    pub(crate) fn alternative_in(self, dialect: Dialect) -> Option<&'static Alternative> {
        self.alternatives().find(|hook| hook.dialects.contains(&dialect))
    }
}

impl Alternative {
    /// True when one of the words of the switch names what this is made of.
    pub(crate) fn is_refused_by(&self, refuse: Refuse) -> bool {
        self.hook.split(", ").any(|part| refuse.names(part))
    }
}

impl CapabilityState {
    /// Served by its best alternative.
    pub(crate) fn served(capability: Capability) -> Self {
        Self::served_by(capability, capability.alternative().hook)
    }

    pub(crate) fn served_by(capability: Capability, hook: &'static str) -> Self {
        Self { capability, served_by: Some(hook), degradation: None, refused: Vec::new() }
    }

    pub(crate) fn not_asked_for(capability: Capability) -> Self {
        Self { capability, served_by: None, degradation: None, refused: Vec::new() }
    }

    pub(crate) fn refused(capability: Capability, reason: &str) -> Self {
        let Alternative { hook, without, .. } = *capability.alternative();
        let degradation = Some(format!("{without} ({reason})"));
        let refused = vec![Refusal { hook, reason: reason.to_owned() }];
        Self { capability, served_by: None, degradation, refused }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_of_the_table_says_what_is_missing_without_it() {
        for hook in &HOOKS {
            assert_eq!(hook.programs.is_empty(), hook.dialects.is_empty(), "what is polled has no dialect");
            assert!(!hook.without.is_empty());
            assert_eq!(hook.capability.alternative().without, hook.without, "{hook:?}");
        }
    }

    #[test]
    fn a_word_refuses_whatever_is_made_of_it() {
        let refused = |words: &[&str]| {
            let refuse = Refuse::of(words).expect("they are known");
            HOOKS
                .iter()
                .filter(|hook| hook.is_refused_by(refuse))
                .map(|hook| hook.capability)
                .collect::<Vec<_>>()
        };
        assert_eq!(refused(&[]), []);
        assert_eq!(refused(&["fentry"]), [Capability::Udp, Capability::Dns]);
        assert_eq!(refused(&["iter/tcp"]), [Capability::TcpAdopted]);
        assert_eq!(refused(&["iter/task_file"]), [Capability::TcpOwner, Capability::UdpOwner]);
        assert_eq!(refused(&["bpf_rdonly_cast"]), [Capability::TcpLive]);
    }
}
