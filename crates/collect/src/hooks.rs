//! The hooks: which capability is served by which kernel attach points, best alternative first.

use std::fmt;

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
    /// The attach points, as the kernel names them.
    pub hook: &'static str,
    /// True when tracing makes no sense without it.
    pub required: bool,
    /// True when it is left out unless it is asked for: it costs something that not everybody needs.
    pub on_request: bool,
    /// What is missing where it is refused.
    pub without: &'static str,
}

/// Where UDP is counted so that TCP pays nothing.
pub(crate) const UDP_FUNCTIONS: &str = "fentry/ip_send_skb, fentry/ip6_send_skb, fentry/__udp_enqueue_schedule_skb, \
     fentry/udp_destroy_sock, fentry/udpv6_destroy_sock";

/// Where UDP is counted otherwise: each packet of TCP passes a program that returns at once.
pub(crate) const UDP_PACKETS: &str = "cgroup_skb/egress, cgroup_skb/ingress, cgroup/sock_release";

/// Where segments of TCP are looked at for messages of name servers.
const DNS_TCP_PACKETS: &str = "cgroup_skb/egress, cgroup_skb/ingress";

/// All alternatives; those of one capability in the order in which they are tried.
pub(crate) const HOOKS: [Alternative; 14] = [
    Alternative {
        capability: Capability::TcpLive,
        hook: "iter/bpf_map_elem",
        required: true,
        on_request: false,
        without: "nothing is known of live TCP connections",
    },
    Alternative {
        capability: Capability::TcpClosed,
        hook: "tp_btf/inet_sock_set_state, tp_btf/tcp_destroy_sock",
        required: true,
        on_request: false,
        without: "nothing is known of TCP connections",
    },
    Alternative {
        capability: Capability::TcpAdopted,
        hook: "iter/tcp",
        required: false,
        on_request: false,
        without: "TCP sockets older than the tracer and held by no process are not followed",
    },
    Alternative {
        capability: Capability::TcpOwner,
        hook: "iter/task_file",
        required: false,
        on_request: false,
        without: "the owner of a live accepted connection stays a guess: the owner of the listener",
    },
    Alternative {
        capability: Capability::TcpAttempts,
        hook: "cgroup/connect4, cgroup/connect6",
        required: false,
        on_request: true,
        without: "a connect that fails for want of a route is not seen",
    },
    Alternative {
        capability: Capability::Udp,
        hook: UDP_FUNCTIONS,
        required: false,
        on_request: false,
        without: "nothing is known of UDP",
    },
    Alternative {
        capability: Capability::Udp,
        hook: UDP_PACKETS,
        required: false,
        on_request: false,
        without: "nothing is known of UDP",
    },
    Alternative {
        capability: Capability::UdpFailures,
        hook: "tp_btf/inet_sk_error_report",
        required: false,
        on_request: false,
        without: "it is not known which datagrams a host refused",
    },
    Alternative {
        capability: Capability::UdpAdopted,
        hook: "iter/udp",
        required: false,
        on_request: false,
        without: "a UDP socket older than the tracer counts as new when its first datagram is seen",
    },
    Alternative {
        capability: Capability::UdpOwner,
        hook: "iter/task_file",
        required: false,
        on_request: false,
        without: "the owner of a UDP socket that only receives is not known before it is closed",
    },
    Alternative {
        capability: Capability::Processes,
        hook: "tp_btf/sched_process_fork, tp_btf/sched_process_exec, tp_btf/sched_process_exit",
        required: false,
        on_request: false,
        without: "of a process that has ended it is not known what it was, unless it was looked up in time",
    },
    // Rides on the programs that count UDP.
    Alternative {
        capability: Capability::Dns,
        hook: UDP_FUNCTIONS,
        required: false,
        on_request: false,
        without: "names of remote ends are not known",
    },
    Alternative {
        capability: Capability::Dns,
        hook: UDP_PACKETS,
        required: false,
        on_request: false,
        without: "names of remote ends are not known",
    },
    Alternative {
        capability: Capability::DnsTcp,
        hook: DNS_TCP_PACKETS,
        required: false,
        on_request: true,
        without: "names that were asked for over TCP are not known",
    },
];

/// How a capability is served on this kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilityState {
    /// The capability.
    pub capability: Capability,
    /// The hook that serves it; absent when none could, or none was asked for.
    pub served_by: Option<&'static str>,
    /// Why it is not served as well as it could be, and what follows.
    pub degradation: Option<String>,
    /// A better alternative that the kernel refused, and why; absent when the best one serves it, or none.
    pub refused: Option<(&'static str, String)>,
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

    /// True when the object of TCP serves it.
    #[must_use]
    pub(crate) fn is_of_tcp(self) -> bool {
        match self {
            Capability::TcpLive
            | Capability::TcpClosed
            | Capability::TcpAdopted
            | Capability::TcpOwner
            | Capability::TcpAttempts => true,
            Capability::Udp
            | Capability::UdpFailures
            | Capability::UdpAdopted
            | Capability::UdpOwner
            | Capability::Dns
            | Capability::DnsTcp
            | Capability::Processes => false,
        }
    }

    /// The best alternative for this capability.
    #[must_use]
    pub(crate) fn alternative(self) -> &'static Alternative {
        HOOKS.iter().find(|hook| hook.capability == self).expect("every capability has a row")
    }
}

impl CapabilityState {
    /// Served by its best alternative.
    pub(crate) fn served(capability: Capability) -> Self {
        Self::served_by(capability, capability.alternative().hook)
    }

    pub(crate) fn served_by(capability: Capability, hook: &'static str) -> Self {
        Self { capability, served_by: Some(hook), degradation: None, refused: None }
    }

    pub(crate) fn not_asked_for(capability: Capability) -> Self {
        Self { capability, served_by: None, degradation: None, refused: None }
    }

    pub(crate) fn refused(capability: Capability, reason: &str) -> Self {
        let without = capability.alternative().without;
        let degradation = Some(format!("{without} ({reason})"));
        Self { capability, served_by: None, degradation, refused: None }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
