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
use super::ladder::{Climb, Ladder, LeftOut};
use super::load::{SWITCHED_OFF, random};
use super::objects;
use super::reading::Reading;
use super::skeletons::tracer::TracerMaps;
use super::skeletons::udp::types::udp_audit;
use super::skeletons::udp::{OpenUdpSkel, UdpProgs, UdpSkel, UdpSkelBuilder};
use crate::CollectLimits;
use crate::cgroups;
use crate::dialect::{Dialect, NEEDS_CASTS};
use crate::error::CollectError;
use crate::hooks::{Alternative, Capability, CapabilityState, Refusal, UDP_FUNCTIONS, UDP_PACKETS};

/// Where datagrams are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// In functions of UDP alone: TCP pays nothing.
    Functions,
    /// At the packets of all protocols.
    Packets,
}

/// Best first.
const COUNTED: [Counted; 2] = [Counted::Functions, Counted::Packets];

/// What can be left out.
const OPTIONAL: [Capability; 3] = [Capability::UdpFailures, Capability::UdpAdopted, Capability::UdpOwner];

/// How many places loading takes at most.
pub(super) const PLACES: usize = Ladder::<Counted>::places(COUNTED.len(), OPTIONAL.len());

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
    /// Loads and attaches the first alternative that the kernel takes, in the dialect of TCP, with the states of all
    /// capabilities of UDP. `None` when it takes none: UDP is then missing, and nothing else.
    pub(super) fn start(
        places: &'a mut [MaybeUninit<OpenObject>; PLACES],
        limits: CollectLimits,
        dialect: Dialect,
        maps: &TracerMaps<'_>,
    ) -> (Option<Self>, Vec<CapabilityState>) {
        let (rungs, excluded): (Vec<Counted>, Vec<Counted>) =
            COUNTED.into_iter().partition(|counted| counted.excluded(dialect, limits).is_none());
        let given = |_| given(dialect, limits);
        let ladder = Ladder { rungs: &rungs, optional: &OPTIONAL, given: &given };
        let Climb { loaded, refused } = ladder.climb(places, |place, counted, left_out| {
            Self::attempt(place, limits, dialect, maps, counted, left_out)
        });
        let excluded = excluded
            .into_iter()
            .filter_map(|counted| Some((counted, counted.excluded(dialect, limits)?.to_owned())));
        let mut refused: Vec<(Counted, String)> = excluded.chain(refused).collect();
        refused.sort_by_key(|(counted, _)| *counted == Counted::Packets);
        match loaded {
            Some((counted, udp, left_out)) => {
                (Some(udp), states(counted, dialect, &left_out, &refused, limits))
            }
            None => (None, missing(&refused, limits)),
        }
    }

    /// The states where UDP is not to be followed.
    pub(super) fn not_asked_for() -> Vec<CapabilityState> {
        let all = [Capability::Udp].into_iter().chain(OPTIONAL).chain([Capability::Dns]);
        all.map(CapabilityState::not_asked_for).collect()
    }

    fn attempt(
        place: &'a mut MaybeUninit<OpenObject>,
        limits: CollectLimits,
        dialect: Dialect,
        maps: &TracerMaps<'_>,
        counted: Counted,
        left_out: &LeftOut,
    ) -> Result<Self, libbpf_rs::Error> {
        let open = objects::of(dialect, || open(place, limits, dialect, maps, counted, left_out))?;
        let skeleton = open.load()?;
        let progs = &skeleton.progs;
        let optional = |program: &ProgramMut<'_>| program.autoload().then(|| program.attach()).transpose();
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

    /// It is known what waits in the sockets.
    pub(super) fn audits(&self) -> bool {
        self.auditing.is_some()
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
    dialect: Dialect,
    shared: &TracerMaps<'_>,
    counted: Counted,
    left_out: &LeftOut,
) -> libbpf_rs::Result<OpenUdpSkel<'a>> {
    let mut open = UdpSkelBuilder::default().open(place)?;
    let buckets = if dialect == Dialect::Oldest { 1 } else { buckets_for(limits.udp_slots) };
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
    constants.kernel_casts = dialect == Dialect::Casts;
    (constants.name_secret, constants.name_factor) = (random(), random() | 1);
    for mut program in open.open_object_mut().progs_mut() {
        let loaded = is_part_of(program.name().to_str().unwrap_or_default(), counted, left_out);
        program.set_autoload(loaded);
    }
    Ok(open)
}

/// The readers of what was counted are always part of it.
const READERS: [&str; 2] = ["iter_udp_sockets", "iter_udp_peers"];

fn is_part_of(program: &str, counted: Counted, left_out: &LeftOut) -> bool {
    let is_left_out = |capability: &Capability| left_out.iter().any(|(left, _)| left == capability);
    let optional =
        OPTIONAL.into_iter().filter(|capability| !is_left_out(capability)).map(Capability::alternative);
    let mut chosen = optional.chain([counted.alternative(Capability::Udp)]);
    READERS.contains(&program) || chosen.any(|alternative| alternative.programs.contains(&program))
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

impl Counted {
    /// The row of this way of counting.
    fn alternative(self, capability: Capability) -> &'static Alternative {
        let hook = match self {
            Counted::Functions => UDP_FUNCTIONS,
            Counted::Packets => UDP_PACKETS,
        };
        capability.alternatives().find(|alternative| alternative.hook == hook).expect("both have their rows")
    }

    /// Why it is not tried; `None` if it is.
    fn excluded(self, dialect: Dialect, limits: CollectLimits) -> Option<&'static str> {
        let alternative = self.alternative(Capability::Udp);
        if alternative.is_refused_by(limits.refuse) {
            return Some(SWITCHED_OFF);
        }
        (!alternative.dialects.contains(&dialect)).then_some(NEEDS_CASTS)
    }
}

/// What is left out before the kernel is asked.
fn given(dialect: Dialect, limits: CollectLimits) -> LeftOut {
    let reason = |capability: Capability| {
        let alternative = capability.alternative();
        if alternative.is_refused_by(limits.refuse) {
            return Some(SWITCHED_OFF);
        }
        (!alternative.dialects.contains(&dialect)).then_some("before 5.12 UDP sockets have no slots")
    };
    OPTIONAL.into_iter().filter_map(|capability| Some((capability, reason(capability)?.to_owned()))).collect()
}

/// What follows where nothing is kept of a socket beside its peers.
const WITHOUT_SLOTS: &str = "nothing is kept of UDP sockets but their peers: whether an answer to a broadcast came in or was asked for, \
     and the one moment at which all peers of a closed socket ended, is not known (before 5.12)";

/// The states of all capabilities of UDP.
fn states(
    counted: Counted,
    dialect: Dialect,
    left_out: &LeftOut,
    refused: &[(Counted, String)],
    limits: CollectLimits,
) -> Vec<CapabilityState> {
    let riding = |capability| {
        let mut state = CapabilityState::served_by(capability, counted.alternative(capability).hook);
        if counted == Counted::Packets {
            let better = refused.iter().filter(|(other, _)| *other != counted);
            state.refused = better
                .map(|(other, reason)| Refusal {
                    hook: other.alternative(capability).hook,
                    reason: reason.clone(),
                })
                .collect();
            state.degradation = (!cgroups::sees_all()).then(|| cgroups::ONLY_OWN.to_owned());
        } else if dialect == Dialect::Oldest && capability == Capability::Udp {
            state.degradation = Some(WITHOUT_SLOTS.to_owned());
        }
        state
    };
    let optional = |capability| match left_out.iter().find(|(left, _)| *left == capability) {
        Some((_, reason)) => CapabilityState::refused(capability, reason),
        None => CapabilityState::served(capability),
    };
    let dns = match limits.copies_datagrams() {
        true => riding(Capability::Dns),
        false => CapabilityState::not_asked_for(Capability::Dns),
    };
    std::iter::once(riding(Capability::Udp)).chain(OPTIONAL.map(optional)).chain([dns]).collect()
}

/// The states where no alternative was taken.
fn missing(refused: &[(Counted, String)], limits: CollectLimits) -> Vec<CapabilityState> {
    let reason = refused.last().map_or("refused", |(_, reason)| reason);
    let tried = |capability| {
        let all = refused.iter();
        let refused = all
            .map(|(counted, reason)| Refusal {
                hook: counted.alternative(capability).hook,
                reason: reason.clone(),
            })
            .collect();
        CapabilityState { refused, ..CapabilityState::refused(capability, reason) }
    };
    let optional = OPTIONAL.map(|capability| CapabilityState::refused(capability, reason));
    let dns = match limits.copies_datagrams() {
        true => tried(Capability::Dns),
        false => CapabilityState::not_asked_for(Capability::Dns),
    };
    std::iter::once(tried(Capability::Udp)).chain(optional).chain([dns]).collect()
}
