//! What polling serves, and what it cannot see.

use super::owners::Owners;
use super::spaces::Spaces;
use crate::CollectLimits;
use crate::collector::Support;
use crate::hooks::{Capability, CapabilityState, Refusal, SOCK_DIAG, SOCK_DIAG_ENDS, SOCKET_FILES};

/// The capabilities, and why each is not served by programs.
pub(super) fn support(reason: &str, spaces: &Spaces, owners: &Owners, limits: CollectLimits) -> Support {
    let polled = |capability: Capability, hook, degradation: &str| {
        let better = capability.alternatives().filter(|alternative| !alternative.programs.is_empty());
        let refused = better.map(|other| Refusal { hook: other.hook, reason: reason.to_owned() }).collect();
        let degradation = Some(format!("{degradation} ({reason})"));
        CapabilityState { refused, degradation, ..CapabilityState::served_by(capability, hook) }
    };
    let missing = |capability| CapabilityState::refused(capability, reason);
    let not_entered = spaces.refused.as_ref().map_or(String::new(), |refused| {
        format!("; of network namespaces that cannot be entered nothing is known: {refused}")
    });
    let not_read = match owners.refused {
        0 => String::new(),
        refused => format!("; the files of {refused} processes may not be looked at"),
    };
    let udp = match limits.follow_udp {
        true => polled(
            Capability::Udp,
            SOCK_DIAG,
            "UDP sockets that are connected are told, without datagrams and bytes",
        ),
        false => CapabilityState::not_asked_for(Capability::Udp),
    };
    let dns = match limits.copies_datagrams() {
        true => missing(Capability::Dns),
        false => CapabilityState::not_asked_for(Capability::Dns),
    };
    let processes = match limits.follow_processes {
        true => missing(Capability::Processes),
        false => CapabilityState::not_asked_for(Capability::Processes),
    };
    let dns_tcp = match limits.copies_segments() {
        true => missing(Capability::DnsTcp),
        false => CapabilityState::not_asked_for(Capability::DnsTcp),
    };
    let attempts = match limits.follow_attempts {
        true => missing(Capability::TcpAttempts),
        false => CapabilityState::not_asked_for(Capability::TcpAttempts),
    };
    let live = format!("a connection is opened when it is first seen{not_entered}");
    let owner = format!("who held a connection that lived for less than a second is not known{not_read}");
    let capabilities = vec![
        polled(Capability::TcpLive, SOCK_DIAG, &live),
        polled(
            Capability::TcpClosed,
            SOCK_DIAG_ENDS,
            "why a connection failed is most often not known; of one that this end reset or whose connect failed between two looks only \
             the number is",
        ),
        CapabilityState::served_by(Capability::TcpAdopted, SOCK_DIAG),
        polled(Capability::TcpOwner, SOCKET_FILES, &owner),
        attempts,
        udp,
        missing(Capability::UdpFailures),
        missing(Capability::UdpAdopted),
        missing(Capability::UdpOwner),
        processes,
        dns,
        dns_tcp,
    ];
    Support { capabilities, programs: Vec::new() }
}
