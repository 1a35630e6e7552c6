//! The UDP object: loaded in the best variant that the kernel takes, attached, adopted into, read in passes.
//!
//! Shares the maps of the TCP object through which records and counts go. Messages of name servers ride on its datagrams.
//! Decides nothing about when: the collector does.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

use connections::Event;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{Link, MapMut, Object, OpenObject, Program, ProgramMut};

use super::adoption::adopt_everywhere;
use super::auditing::count_anew;
use super::buckets::buckets_for;
use super::dns_tcp::name_ports;
use super::iterate::read_all;
use super::kernel_counts::first_global;
use super::reading::Reading;
use super::refusals;
use super::skeletons::tracer::TracerMaps;
use super::skeletons::udp::types::udp_audit;
use super::skeletons::udp::{OpenUdpSkel, UdpProgs, UdpSkel, UdpSkelBuilder};
use crate::CollectLimits;
use crate::cgroups;
use crate::error::CollectError;
use crate::hooks::{Capability, CapabilityState, UDP_FUNCTIONS, UDP_PACKETS};

/// Where datagrams are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// In functions of UDP alone: TCP pays nothing.
    Functions,
    /// At the packets of all protocols.
    Packets,
}

/// What an attempt loads: where datagrams are counted, and whether everything else goes with it.
const ATTEMPTS: [(Counted, bool); VARIANTS] = [
    (Counted::Functions, true),
    (Counted::Packets, true),
    (Counted::Functions, false),
    (Counted::Packets, false),
];

/// How many attempts there are.
pub(super) const VARIANTS: usize = 4;

/// What can be left out.
const OPTIONAL: [Capability; 3] = [Capability::UdpFailures, Capability::UdpAdopted, Capability::UdpOwner];

/// The loaded and attached programs of UDP.
pub(super) struct Udp<'a> {
    skeleton: UdpSkel<'a>,
    sockets: Link,
    peers: Link,
    adopting: Option<Link>,
    owners: Option<Link>,
    auditing: Option<Link>,
    /// Dropping them would detach the hooks.
    _hooks: Vec<Link>,
}

impl<'a> Udp<'a> {
    /// Loads and attaches the first variant that the kernel takes, with the states of all capabilities of UDP. `None` when
    /// it takes none: UDP is then missing, and nothing else.
    pub(super) fn start(
        storage: &'a mut [MaybeUninit<OpenObject>; VARIANTS],
        limits: CollectLimits,
        maps: &TracerMaps<'_>,
    ) -> (Option<Self>, Vec<CapabilityState>) {
        let mut refused: Vec<(Counted, String)> = Vec::new();
        for (place, (counted, whole)) in storage.iter_mut().zip(ATTEMPTS) {
            refusals::take();
            match Self::attempt(place, limits, maps, counted, whole) {
                Ok(udp) => {
                    let mut states = states(counted, whole, &refused);
                    states.push(dns_state(counted, limits, &states));
                    return (Some(udp), states);
                }
                Err(error) => {
                    refused.push((counted, refusals::take().unwrap_or_else(|| error.to_string())));
                }
            }
        }
        let reason = refused.last().map_or("refused", |(_, reason)| reason);
        let missing = |capability| CapabilityState::refused(capability, reason);
        let missing_dns = if limits.copies_datagrams() {
            missing(Capability::Dns)
        } else {
            CapabilityState::not_asked_for(Capability::Dns)
        };
        let missing = std::iter::once(Capability::Udp).chain(OPTIONAL).map(missing);
        (None, missing.chain([missing_dns]).collect())
    }

    /// The states where UDP is not to be followed.
    pub(super) fn not_asked_for() -> Vec<CapabilityState> {
        let all = [Capability::Udp].into_iter().chain(OPTIONAL).chain([Capability::Dns]);
        all.map(CapabilityState::not_asked_for).collect()
    }

    fn attempt(
        place: &'a mut MaybeUninit<OpenObject>,
        limits: CollectLimits,
        maps: &TracerMaps<'_>,
        counted: Counted,
        whole: bool,
    ) -> Result<Self, libbpf_rs::Error> {
        let skeleton = open(place, limits, maps, counted, whole)?.load()?;
        let progs = &skeleton.progs;
        let optional = |program: &ProgramMut<'_>| whole.then(|| program.attach()).transpose();
        let mut hooks = match counted {
            Counted::Functions => attach_functions(progs)?,
            Counted::Packets => attach_packets(progs)?,
        };
        hooks.extend(optional(&progs.inet_sk_error_report)?);
        Ok(Self {
            sockets: progs.iter_udp_sockets.attach_iter(skeleton.maps.udp_sockets.as_fd())?,
            peers: progs.iter_udp_peers.attach_iter(skeleton.maps.udp_peers.as_fd())?,
            adopting: optional(&progs.iter_udp)?,
            owners: optional(&progs.iter_udp_task_file)?,
            auditing: optional(&progs.iter_udp_audit)?,
            _hooks: hooks,
            skeleton,
        })
    }

    /// All that was loaded.
    pub(super) fn object(&self) -> &Object {
        self.skeleton.object()
    }

    /// The ring buffer of messages of name servers.
    pub(super) fn payload_records(&self) -> &MapMut<'_> {
        &self.skeleton.maps.payload_records
    }

    /// The programs that the kernel took, always in the same order.
    pub(super) fn loaded(&self) -> impl Iterator<Item = Program<'_>> {
        self.skeleton.object().progs().filter(Program::autoload)
    }

    /// Gives slots to the sockets that are there, of every namespace that can be entered, then to those that some process
    /// holds. Answers why some could not be met.
    ///
    /// # Errors
    /// The thread cannot return from a namespace, and must not go on.
    pub(super) fn adopt(&self) -> Result<Option<String>, CollectError> {
        let Some(link) = &self.adopting else { return Ok(None) };
        let refused = adopt_everywhere(("iter/udp", link), || Ok(()), &mut |_| ())?;
        Ok(refused.or(self.settle_owners().err().map(|error| error.to_string())))
    }

    /// Looks for the owners of sockets that have only received, in the open files of all processes.
    pub(super) fn settle_owners(&self) -> Result<(), CollectError> {
        let Some(link) = &self.owners else { return Ok(()) };
        read_all(link, "iter/task_file", |_| ())
    }

    /// Reads the live connections, and ends those that are over: their records go through the ring buffer.
    pub(super) fn read(
        &self,
        reading: &mut Reading,
        events: &mut impl FnMut(Vec<Event>),
    ) -> Result<(), CollectError> {
        // The peers beside the table second: the slots of their sockets say when those were closed.
        for link in [&self.sockets, &self.peers] {
            read_all(link, "iter/bpf_map_elem", |chunk| reading.hand_over(chunk, events))?;
        }
        Ok(())
    }

    /// Counts the sockets of the namespace that the thread is in.
    pub(super) fn audit(&self) -> Result<udp_audit, CollectError> {
        let Some(link) = &self.auditing else { return Ok(udp_audit::default()) };
        count_anew(("iter/udp", link), "udp_audit", &self.skeleton.maps.udp_audit)
    }

    /// Peers beside the table now.
    pub(super) fn peers_now(&self) -> Result<u64, CollectError> {
        first_global(&self.skeleton.maps.bss)
    }
}

/// Opens the object with only the programs of this attempt, on the maps that are there already.
fn open<'a>(
    place: &'a mut MaybeUninit<OpenObject>,
    limits: CollectLimits,
    shared: &TracerMaps<'_>,
    counted: Counted,
    whole: bool,
) -> libbpf_rs::Result<OpenUdpSkel<'a>> {
    let mut open = UdpSkelBuilder::default().open(place)?;
    let buckets = buckets_for(limits.udp_slots);
    open.maps.udp_sockets.set_max_entries(buckets)?;
    let peers = limits.udp_peers.max(1);
    open.maps.udp_peers.set_max_entries(peers)?;
    open.maps.payload_records.set_max_entries(limits.payload_ring_size())?;
    open.maps.closed_records.reuse_fd(shared.closed_records.as_fd())?;
    open.maps.overflow_records.reuse_fd(shared.overflow_records.as_fd())?;
    open.maps.rollups_even.reuse_fd(shared.rollups_even.as_fd())?;
    open.maps.rollups_odd.reuse_fd(shared.rollups_odd.as_fd())?;
    open.maps.rollups.reuse_fd(shared.rollups.as_fd())?;
    open.maps.counts.reuse_fd(shared.counts.as_fd())?;
    open.maps.orders.reuse_fd(shared.orders.as_fd())?;
    let constants = open.maps.rodata_data.as_deref_mut().expect("the object has constants");
    constants.udp_bucket_mask = buckets - 1;
    constants.udp_peers_max = peers;
    constants.ring_wake_bytes = u64::from(limits.ring_size() / 2);
    constants.payload_wake_bytes = u64::from(limits.payload_ring_size() / 2);
    if limits.copies_datagrams() {
        constants.name_ports = name_ports(limits);
    }
    let (functions, packets) = (counted == Counted::Functions, counted == Counted::Packets);
    let progs = &mut open.progs;
    progs.ip_send_skb.set_autoload(functions);
    progs.ip6_send_skb.set_autoload(functions);
    progs.udp_enqueue_schedule_skb.set_autoload(functions);
    progs.udp_destroy_sock.set_autoload(functions);
    progs.udpv6_destroy_sock.set_autoload(functions);
    progs.cgroup_egress.set_autoload(packets);
    progs.cgroup_ingress.set_autoload(packets);
    progs.cgroup_release.set_autoload(packets);
    progs.inet_sk_error_report.set_autoload(whole);
    progs.iter_udp.set_autoload(whole);
    progs.iter_udp_audit.set_autoload(whole);
    progs.iter_udp_task_file.set_autoload(whole);
    Ok(open)
}

fn attach_functions(programs: &UdpProgs<'_>) -> libbpf_rs::Result<Vec<Link>> {
    let all = [
        &programs.ip_send_skb,
        &programs.ip6_send_skb,
        &programs.udp_enqueue_schedule_skb,
        &programs.udp_destroy_sock,
        &programs.udpv6_destroy_sock,
    ];
    all.into_iter().map(|program| program.attach()).collect()
}

/// The closes first: a socket whose close is missed is noticed by a pass only.
fn attach_packets(programs: &UdpProgs<'_>) -> libbpf_rs::Result<Vec<Link>> {
    let root = cgroups::root()?;
    let all = [&programs.cgroup_release, &programs.cgroup_egress, &programs.cgroup_ingress];
    all.into_iter().map(|program| program.attach_cgroup(root.as_raw_fd())).collect()
}

/// The state of the capability that rides on the datagrams.
fn dns_state(counted: Counted, limits: CollectLimits, of_udp: &[CapabilityState]) -> CapabilityState {
    if !limits.copies_datagrams() {
        return CapabilityState::not_asked_for(Capability::Dns);
    }
    let hook = match counted {
        Counted::Functions => UDP_FUNCTIONS,
        Counted::Packets => UDP_PACKETS,
    };
    let degradation = of_udp.first().and_then(|udp| udp.degradation.clone());
    CapabilityState { degradation, ..CapabilityState::served_by(Capability::Dns, hook) }
}

/// The states of all other capabilities, after those attempts that were refused.
fn states(counted: Counted, whole: bool, refused: &[(Counted, String)]) -> Vec<CapabilityState> {
    let reason_of = |counted: Counted| {
        refused.iter().find(|(other, _)| *other == counted).map(|(_, reason)| reason.clone())
    };
    let mut udp = match counted {
        Counted::Functions => CapabilityState::served_by(Capability::Udp, UDP_FUNCTIONS),
        Counted::Packets => CapabilityState::served_by(Capability::Udp, UDP_PACKETS),
    };
    if counted == Counted::Packets {
        udp.refused = reason_of(Counted::Functions).map(|reason| (UDP_FUNCTIONS, reason));
        if !cgroups::sees_all() {
            udp.degradation = Some("only the sockets of the own cgroup namespace are seen".to_owned());
        }
    }
    let others = OPTIONAL.into_iter().map(|capability| match whole {
        true => CapabilityState::served(capability),
        false => CapabilityState::refused(capability, &reason_of(counted).unwrap_or_default()),
    });
    std::iter::once(udp).chain(others).collect()
}
