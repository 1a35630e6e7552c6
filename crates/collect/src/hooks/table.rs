//! The table of hooks: for each capability its alternatives, best first, with the programs that each is made of.
//!
//! Loading follows from it, and so does what is told of a capability. Holds no rule about how alternatives are tried.

use super::{Alternative, Capability};
use crate::dialect::Dialect;

/// Where UDP is counted so that TCP pays nothing.
pub(crate) const UDP_FUNCTIONS: &str = "fentry/ip_send_skb, fentry/ip6_send_skb, fentry/__udp_enqueue_schedule_skb, \
     fentry/udp_destroy_sock, fentry/udpv6_destroy_sock";

/// Where UDP is counted otherwise: each packet of TCP passes a program that returns at once.
pub(crate) const UDP_PACKETS: &str = "cgroup_skb/egress, cgroup_skb/ingress, cgroup/sock_release";

/// Where segments of TCP are looked at for messages of name servers.
const DNS_TCP_PACKETS: &str = "cgroup_skb/egress, cgroup_skb/ingress";

/// Where sockets are listed without programs.
pub(crate) const SOCK_DIAG: &str = "sock_diag";

/// Where the kernel tells of sockets that ended.
pub(crate) const SOCK_DIAG_ENDS: &str = "sock_diag/destroy";

/// Where it stands who holds a socket.
pub(crate) const SOCKET_FILES: &str = "/proc/PID/fd";

const UDP_FUNCTION_PROGRAMS: &[&str] =
    &["ip_send_skb", "ip6_send_skb", "udp_enqueue_schedule_skb", "udp_destroy_sock", "udpv6_destroy_sock"];

const UDP_PACKET_PROGRAMS: &[&str] = &["cgroup_egress", "cgroup_ingress", "cgroup_release"];

const WITHOUT_LIVE: &str = "nothing is known of live TCP connections";
const WITHOUT_CLOSED: &str = "nothing is known of TCP connections";
const WITHOUT_ADOPTED: &str = "TCP sockets older than the tracer and held by no process are not followed";
const WITHOUT_OWNER: &str =
    "the owner of a live accepted connection stays a guess: the owner of the listener";
const WITHOUT_UDP: &str = "nothing is known of UDP";
const WITHOUT_NAMES: &str = "names of remote ends are not known";

/// What most rows have in common: served alike in all dialects, and without being asked for.
const fn row(
    capability: Capability,
    hook: &'static str,
    programs: &'static [&'static str],
    without: &'static str,
) -> Alternative {
    Alternative { capability, hook, programs, dialects: Dialect::ANY, on_request: false, without }
}

/// Without programs.
const fn polled(capability: Capability, hook: &'static str, without: &'static str) -> Alternative {
    Alternative { capability, hook, programs: &[], dialects: &[], on_request: false, without }
}

/// All alternatives; those of one capability in the order in which they are tried.
pub(crate) const HOOKS: [Alternative; 21] = [
    Alternative {
        dialects: &[Dialect::Casts],
        ..row(
            Capability::TcpLive,
            "iter/bpf_map_elem, bpf_get_socket_cookie, bpf_rdonly_cast",
            &["iter_connections"],
            WITHOUT_LIVE,
        )
    },
    Alternative {
        dialects: &[Dialect::Copies],
        ..row(
            Capability::TcpLive,
            "iter/bpf_map_elem, bpf_get_socket_cookie",
            &["iter_connections"],
            WITHOUT_LIVE,
        )
    },
    // The first one still says how long a jiffy is.
    Alternative {
        dialects: &[Dialect::Oldest],
        ..row(Capability::TcpLive, "iter/bpf_map_elem", &["iter_connections", "iter_spilled"], WITHOUT_LIVE)
    },
    polled(Capability::TcpLive, SOCK_DIAG, WITHOUT_LIVE),
    row(
        Capability::TcpClosed,
        "tp_btf/inet_sock_set_state, tp_btf/tcp_destroy_sock",
        &["inet_sock_set_state", "inet_sock_set_state_again", "tcp_destroy_sock"],
        WITHOUT_CLOSED,
    ),
    polled(Capability::TcpClosed, SOCK_DIAG_ENDS, WITHOUT_CLOSED),
    row(Capability::TcpAdopted, "iter/tcp", &["iter_tcp", "iter_tcp_audit"], WITHOUT_ADOPTED),
    polled(Capability::TcpAdopted, SOCK_DIAG, WITHOUT_ADOPTED),
    row(Capability::TcpOwner, "iter/task_file", &["iter_task_file"], WITHOUT_OWNER),
    polled(Capability::TcpOwner, SOCKET_FILES, WITHOUT_OWNER),
    Alternative {
        on_request: true,
        dialects: Dialect::SINCE_5_12,
        ..row(
            Capability::TcpAttempts,
            "cgroup/connect4, cgroup/connect6",
            &["cgroup_connect4", "cgroup_connect6"],
            "a connect that fails for want of a route is not seen",
        )
    },
    row(Capability::Udp, UDP_FUNCTIONS, UDP_FUNCTION_PROGRAMS, WITHOUT_UDP),
    // These programs are given another type than that of the packet, and cast it.
    Alternative {
        dialects: &[Dialect::Casts],
        ..row(Capability::Udp, UDP_PACKETS, UDP_PACKET_PROGRAMS, WITHOUT_UDP)
    },
    polled(Capability::Udp, SOCK_DIAG, WITHOUT_UDP),
    row(
        Capability::UdpFailures,
        "tp_btf/inet_sk_error_report",
        &["inet_sk_error_report"],
        "it is not known which datagrams a host refused",
    ),
    Alternative {
        dialects: Dialect::SINCE_5_12,
        ..row(
            Capability::UdpAdopted,
            "iter/udp",
            &["iter_udp", "iter_udp_audit"],
            "a UDP socket older than the tracer counts as new when its first datagram is seen",
        )
    },
    Alternative {
        dialects: Dialect::SINCE_5_12,
        ..row(
            Capability::UdpOwner,
            "iter/task_file",
            &["iter_udp_task_file"],
            "the owner of a UDP socket that only receives is not known before it is closed",
        )
    },
    row(
        Capability::Processes,
        "tp_btf/sched_process_fork, tp_btf/sched_process_exec, tp_btf/sched_process_exit",
        &["sched_process_fork", "sched_process_exec", "sched_process_exit"],
        "of a process that has ended it is not known what it was, unless it was looked up in time",
    ),
    // Rides on the programs that count UDP.
    row(Capability::Dns, UDP_FUNCTIONS, UDP_FUNCTION_PROGRAMS, WITHOUT_NAMES),
    Alternative {
        dialects: &[Dialect::Casts],
        ..row(Capability::Dns, UDP_PACKETS, UDP_PACKET_PROGRAMS, WITHOUT_NAMES)
    },
    Alternative {
        on_request: true,
        dialects: &[Dialect::Casts],
        ..row(
            Capability::DnsTcp,
            DNS_TCP_PACKETS,
            &["dns_tcp_egress", "dns_tcp_ingress"],
            "names that were asked for over TCP are not known",
        )
    },
];
