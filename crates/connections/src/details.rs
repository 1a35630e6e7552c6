//! A connection without its counters, in the form in which it is kept: 160 bytes in place of 500.
//!
//! Owns how the facts are packed; what is unpacked is what was packed but for what stands at [`Details`].

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use crate::connection::{Connection, ConnectionId};
use crate::counters::Counters;
use crate::direction::Direction;
use crate::facts::{Facts, UdpFacts};
use crate::failure::{Failure, FailureKind};
use crate::global_id::GlobalId;
use crate::ledger::ForAudit;
use crate::owner::Owner;
use crate::state::State;
use crate::tally::Counted;
use crate::tcp::TcpFacts;
use crate::time::KernelTime;
use crate::tuple::{Protocol, Tuple};

/// Everything about a connection but its counters. Not kept exactly: the three times of [`TcpFacts`] are whole
/// milliseconds, which is less than the kernel's tick, and full after 49 days; the largest value of a number that can be
/// absent is one less; two link-local ends have one scope, since they are on one link; when TCP failed is when it closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Details {
    pub(crate) id: ConnectionId,
    /// An IPv4 address is kept as a mapped one.
    local: Ipv6Addr,
    remote: Ipv6Addr,
    global_id: u64,
    pub(crate) owner: Option<Arc<Owner>>,
    /// What was counted before tracing began, unless it is nothing.
    before: Option<Arc<Counted>>,
    /// Of TCP when it was established, of UDP when it failed; [`NEVER`] if it was not.
    at: u64,
    delivery_bytes_per_s: u64,
    /// Retransmitted bytes of TCP, refused datagrams of UDP.
    retransmitted_or_drops: u64,
    netns: u32,
    scope_id: u32,
    srtt_us: u32,
    rttvar_us: u32,
    min_rtt_us: u32,
    cwnd_packets: u32,
    busy_ms: u32,
    rwnd_limited_ms: u32,
    sndbuf_limited_ms: u32,
    unsent_bytes: u32,
    unacknowledged_bytes: u32,
    unread_bytes: u32,
    lost_packets: u32,
    local_port: u16,
    remote_port: u16,
    /// 0 for none.
    errno: u16,
    failure: Option<FailureKind>,
    state: State,
    direction: Direction,
    protocol: Protocol,
    zero_window_probes_waiting: u8,
    flags: u8,
}

const _: () = assert!(size_of::<Details>() == 160, "as the limits say");

const PRE_EXISTING: u8 = 1;
const HAS_GLOBAL_ID: u8 = 1 << 1;
const ECN_NEGOTIATED: u8 = 1 << 2;
const COUNTS_RTOS: u8 = 1 << 3;
const APP_LIMITED_KNOWN: u8 = 1 << 4;
const APP_LIMITED: u8 = 1 << 5;
const ASSURED: u8 = 1 << 6;
const NOT_COUNTED: u8 = 1 << 7;

/// In place of a time that is absent.
const NEVER: u64 = u64::MAX;
/// In place of a number that is absent.
const ABSENT: u32 = u32::MAX;
const MICROSECONDS_PER_MILLISECOND: u64 = 1000;

impl Default for Details {
    fn default() -> Self {
        Self {
            id: ConnectionId { cookie: 0, claimed_at: KernelTime(0) },
            local: Ipv6Addr::UNSPECIFIED,
            remote: Ipv6Addr::UNSPECIFIED,
            global_id: 0,
            owner: None,
            before: None,
            at: NEVER,
            delivery_bytes_per_s: NEVER,
            retransmitted_or_drops: 0,
            netns: 0,
            scope_id: 0,
            srtt_us: ABSENT,
            rttvar_us: ABSENT,
            min_rtt_us: ABSENT,
            cwnd_packets: 0,
            busy_ms: ABSENT,
            rwnd_limited_ms: ABSENT,
            sndbuf_limited_ms: ABSENT,
            unsent_bytes: 0,
            unacknowledged_bytes: 0,
            unread_bytes: 0,
            lost_packets: 0,
            local_port: 0,
            remote_port: 0,
            errno: 0,
            failure: None,
            state: State::Open,
            direction: Direction::Unknown,
            protocol: Protocol::Tcp,
            zero_window_probes_waiting: 0,
            flags: 0,
        }
    }
}

impl Details {
    /// Packs a connection; `owner` and `before` are the shared copies of what it has.
    pub(crate) fn pack(
        connection: &Connection,
        owner: Option<Arc<Owner>>,
        before: Option<Arc<Counted>>,
    ) -> Self {
        let Connection {
            id,
            global_id,
            tuple,
            direction,
            owner: _,
            state,
            // As the id says, unless it is older than the tracer.
            opened_at: _,
            established_at,
            closed_at: _,
            pre_existing,
            total: _,
            before: _,
            facts,
            failure,
            failed_at,
        } = connection;
        let Tuple { protocol, netns, local, remote } = tuple;
        let at = match protocol {
            Protocol::Tcp => established_at,
            Protocol::Udp => failed_at,
        };
        let flags = flag(*pre_existing, PRE_EXISTING) | flag(global_id.is_some(), HAS_GLOBAL_ID);
        let packed = Self {
            id: *id,
            local: address(*local),
            remote: address(*remote),
            global_id: global_id.map_or(0, |id| id.0),
            owner,
            before,
            at: at.map_or(NEVER, |at| at.0),
            netns: *netns,
            scope_id: scope_id(*local).max(scope_id(*remote)),
            local_port: local.port(),
            remote_port: remote.port(),
            errno: failure.and_then(|failure| failure.errno).unwrap_or(0),
            failure: failure.map(|failure| failure.kind),
            state: *state,
            direction: *direction,
            protocol: *protocol,
            flags,
            ..Self::default()
        };
        match facts {
            Facts::Tcp(facts) => packed.with_tcp(*facts),
            Facts::Udp(UdpFacts { counted, drops, assured }) => {
                let flags = flags | flag(*assured, ASSURED) | flag(!*counted, NOT_COUNTED);
                Self { retransmitted_or_drops: *drops, flags, ..packed }
            }
        }
    }

    fn with_tcp(self, facts: TcpFacts) -> Self {
        let TcpFacts {
            srtt_us,
            rttvar_us,
            min_rtt_us,
            cwnd_packets,
            delivery_bytes_per_s,
            delivery_app_limited,
            busy_us,
            rwnd_limited_us,
            sndbuf_limited_us,
            retransmitted_bytes,
            unsent_bytes,
            unacknowledged_bytes,
            unread_bytes,
            lost_packets,
            zero_window_probes_waiting,
            ecn_negotiated,
            counts_rtos,
        } = facts;
        let flags = flag(ecn_negotiated, ECN_NEGOTIATED)
            | flag(counts_rtos, COUNTS_RTOS)
            | flag(delivery_app_limited.is_some(), APP_LIMITED_KNOWN)
            | flag(delivery_app_limited == Some(true), APP_LIMITED);
        Self {
            srtt_us: or_absent(srtt_us),
            rttvar_us: or_absent(rttvar_us),
            min_rtt_us: or_absent(min_rtt_us),
            cwnd_packets,
            delivery_bytes_per_s: delivery_bytes_per_s.map_or(NEVER, |rate| rate.min(NEVER - 1)),
            busy_ms: milliseconds(busy_us),
            rwnd_limited_ms: milliseconds(rwnd_limited_us),
            sndbuf_limited_ms: milliseconds(sndbuf_limited_us),
            retransmitted_or_drops: retransmitted_bytes,
            unsent_bytes,
            unacknowledged_bytes,
            unread_bytes,
            lost_packets,
            zero_window_probes_waiting,
            flags: self.flags | flags,
            ..self
        }
    }

    /// The connection, with what it has counted since its socket was opened. It lives unless its state says otherwise;
    /// when it closed is not known here.
    #[inline]
    pub(crate) fn unpack(&self, counted: Counted) -> Connection {
        let before = self.before();
        let pre_existing = self.has(PRE_EXISTING);
        let at = (self.at != NEVER).then_some(KernelTime(self.at));
        let errno = (self.errno != 0).then_some(self.errno);
        let (established_at, failed_at) = match self.protocol {
            Protocol::Tcp => (at, None),
            Protocol::Udp => (None, at),
        };
        Connection {
            id: self.id,
            global_id: self.has(HAS_GLOBAL_ID).then_some(GlobalId(self.global_id)),
            tuple: Tuple {
                protocol: self.protocol,
                netns: self.netns,
                local: end(self.local, self.local_port, self.scope_id),
                remote: end(self.remote, self.remote_port, self.scope_id),
            },
            direction: self.direction,
            owner: self.owner.as_deref().copied(),
            state: self.state,
            opened_at: (!pre_existing).then_some(self.id.claimed_at),
            established_at,
            closed_at: None,
            pre_existing,
            total: self.total(counted),
            before,
            facts: self.facts(),
            failure: self.failure.map(|kind| Failure { kind, errno }),
            failed_at,
        }
    }

    /// True when something differs that a client wants to know though no counter moved.
    pub(crate) fn is_news_after(&self, earlier: &Self) -> bool {
        let source = |details: &Self| details.owner.as_ref().map(|owner| owner.source);
        let ends = |details: &Self| (details.state, details.failure, details.errno);
        let news = |details: &Self| (ends(details), details.direction, source(details));
        news(self) != news(earlier)
    }

    /// True when something differs that a rule of the filter may look at.
    pub(crate) fn is_another_kind_than(&self, earlier: &Self) -> bool {
        let ends = |details: &Self| (details.local, details.local_port, details.remote, details.remote_port);
        let kind = |details: &Self| (details.state, details.direction);
        ends(self) != ends(earlier) || kind(self) != kind(earlier) || self.owner != earlier.owner
    }

    /// True when something differs by which an end is found, or that is told of an end to the other one.
    pub(crate) fn is_another_end_than(&self, earlier: &Self) -> bool {
        let ends = |details: &Self| (details.local, details.local_port, details.remote, details.remote_port);
        let name = |details: &Self| (details.global_id, details.has(HAS_GLOBAL_ID), details.direction);
        let same_owner = match (&self.owner, &earlier.owner) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
            (one, other) => one.is_none() == other.is_none(),
        };
        ends(self) != ends(earlier) || name(self) != name(earlier) || !same_owner
    }

    pub(crate) fn established_at(&self) -> Option<KernelTime> {
        let known = self.protocol == Protocol::Tcp && self.at != NEVER;
        known.then_some(KernelTime(self.at))
    }

    /// What an audit counts of it, if it has counted so much since its socket was opened.
    pub(crate) fn for_audit(&self, counted: Counted) -> ForAudit {
        let goes_on = self.before.is_some();
        ForAudit {
            netns: self.netns,
            protocol: self.protocol,
            direction: self.direction,
            is_new: !self.has(PRE_EXISTING) && !goes_on,
            total: self.total(counted),
        }
    }

    /// The totals since tracing began, if it has counted so much since its socket was opened.
    #[inline]
    pub(crate) fn total(&self, counted: Counted) -> Counters {
        match &self.before {
            None => counted.into(),
            Some(before) => Counters::from(counted).since(Counters::from(**before)).0,
        }
    }

    /// What was counted before tracing began.
    pub(crate) fn before(&self) -> Counters {
        self.before.as_deref().copied().map(Counters::from).unwrap_or_default()
    }

    /// The shared copy of that.
    pub(crate) fn shared_before(&self) -> Option<Arc<Counted>> {
        self.before.clone()
    }

    fn facts(&self) -> Facts {
        if self.protocol == Protocol::Udp {
            let (drops, assured) = (self.retransmitted_or_drops, self.has(ASSURED));
            return Facts::Udp(UdpFacts { counted: !self.has(NOT_COUNTED), drops, assured });
        }
        let microseconds = |ms| present(ms).map(|ms| u64::from(ms) * MICROSECONDS_PER_MILLISECOND);
        Facts::Tcp(TcpFacts {
            srtt_us: present(self.srtt_us),
            rttvar_us: present(self.rttvar_us),
            min_rtt_us: present(self.min_rtt_us),
            cwnd_packets: self.cwnd_packets,
            delivery_bytes_per_s: (self.delivery_bytes_per_s != NEVER).then_some(self.delivery_bytes_per_s),
            delivery_app_limited: self.has(APP_LIMITED_KNOWN).then(|| self.has(APP_LIMITED)),
            busy_us: microseconds(self.busy_ms),
            rwnd_limited_us: microseconds(self.rwnd_limited_ms),
            sndbuf_limited_us: microseconds(self.sndbuf_limited_ms),
            retransmitted_bytes: self.retransmitted_or_drops,
            unsent_bytes: self.unsent_bytes,
            unacknowledged_bytes: self.unacknowledged_bytes,
            unread_bytes: self.unread_bytes,
            lost_packets: self.lost_packets,
            zero_window_probes_waiting: self.zero_window_probes_waiting,
            ecn_negotiated: self.has(ECN_NEGOTIATED),
            counts_rtos: self.has(COUNTS_RTOS),
        })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

fn flag(set: bool, flag: u8) -> u8 {
    if set { flag } else { 0 }
}

fn or_absent(value: Option<u32>) -> u32 {
    value.map_or(ABSENT, |value| value.min(ABSENT - 1))
}

fn present(value: u32) -> Option<u32> {
    (value != ABSENT).then_some(value)
}

fn milliseconds(us: Option<u64>) -> u32 {
    or_absent(us.map(|us| u32::try_from(us / MICROSECONDS_PER_MILLISECOND).unwrap_or(ABSENT)))
}

fn address(end: SocketAddr) -> Ipv6Addr {
    match end.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

fn scope_id(end: SocketAddr) -> u32 {
    match end {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(v6) => v6.scope_id(),
    }
}

fn end(address: Ipv6Addr, port: u16, scope_id: u32) -> SocketAddr {
    match address.to_ipv4_mapped() {
        Some(v4) => (v4, port).into(),
        None if address.is_unicast_link_local() => SocketAddrV6::new(address, port, 0, scope_id).into(),
        None => (address, port).into(),
    }
}

#[cfg(test)]
mod tests;
