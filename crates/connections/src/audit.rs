//! The audit: what is followed against what the kernel itself counts, namespace by namespace.
//!
//! Compares only what must agree, and only in the direction in which it must. The kernel's counters are read before and after
//! the pass that the tracer's sums are of: what the kernel had counted before must be in them, and what is in them the
//! kernel must have counted afterwards. So traffic that goes on meanwhile is no difference. What the interfaces count is not
//! compared: they come and go with their counters, and TCP's retransmits, other protocols and headers are in them. Reads
//! nothing itself.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use crate::ledger::{ForAudit, Ledger, Sums};
use crate::time::KernelTime;

/// Where each namespace began is kept for at most so many that may be gone.
const NAMESPACES_MAX: usize = 16_384;

/// What the kernel counted in a network namespace since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelSums {
    /// `Tcp: ActiveOpens`.
    pub tcp_active_opens: u64,
    /// `Tcp: PassiveOpens`.
    pub tcp_passive_opens: u64,
    /// `Tcp: RetransSegs`.
    pub tcp_retransmitted: u64,
    /// `Udp: OutDatagrams`, IPv4 and IPv6; a batch (GSO) counts once.
    pub udp_sent: u64,
    /// `Udp: InDatagrams` and `RcvbufErrors`, IPv4 and IPv6: read by a process, or refused by a full queue.
    pub udp_received: u64,
    /// `OutOctets` of IPv4 and IPv6: bytes of all packets that left, headers included.
    pub sent_octets: u64,
    /// `InOctets` of IPv4 and IPv6.
    pub received_octets: u64,
}

/// What was read of the kernel before and after the pass of an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReading {
    /// When the reading ended.
    pub at: KernelTime,
    /// Every namespace that could be read.
    pub namespaces: Vec<NamespaceReading>,
    /// How many could not.
    pub unread: u64,
    /// Slots of sockets that were gone without a word, since tracing began.
    pub stale: u64,
    /// Sockets of tunnels that were closed, since tracing began.
    pub tunnels_ended: u64,
    /// Processor time that the reading took, the pass included.
    pub cpu_ns: u64,
}

/// One network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NamespaceReading {
    /// Inode number of the namespace.
    pub netns: u32,
    /// What tells it from others that have had its inode number; 0 where the kernel has no such thing.
    pub cookie: u64,
    /// The kernel's counters before the pass.
    pub before: KernelSums,
    /// And after it.
    pub after: KernelSums,
    /// TCP sockets in a state in which they should be followed.
    pub tcp_sockets: u64,
    /// Of these, those that were not.
    pub tcp_missing: u64,
    /// Of these, those that are from now on.
    pub tcp_found: u64,
    /// UDP sockets.
    pub udp_sockets: u64,
    /// Of these, those of tunnels, whose datagrams the kernel counts although no socket gets them.
    pub udp_tunnels: u64,
    /// Datagrams that wait to be read.
    pub udp_waiting: u64,
}

/// What an audit found. Sockets are those of this audit; everything else counts since the first audit that saw a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Audit {
    /// When it ended.
    pub at: KernelTime,
    /// How many there were.
    pub audits: u64,
    /// Processor time that reading for all of them took.
    pub cpu_ns: u64,
    /// Namespaces that were compared.
    pub namespaces: u64,
    /// Namespaces that could not be read.
    pub unread: u64,
    /// Sockets of both protocols.
    pub sockets: u64,
    /// TCP sockets that should have been followed and were not, in all audits.
    pub missing: u64,
    /// Of these, those that are followed since they were found, with all that they carry.
    pub found: u64,
    /// Sockets that were gone without a word, in all audits.
    pub stale: u64,
    /// Where the sums differ from the kernel's.
    pub drift: Drift,
}

/// How far the sums differ from the kernel's, where they must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drift {
    /// Connections opened here that the kernel counted and the tracer did not.
    pub tcp_outgoing_missing: u64,
    /// Connections accepted that the tracer counted and the kernel did not.
    pub tcp_incoming_excess: u64,
    /// Retransmits that the tracer counted and the kernel did not.
    pub tcp_retransmits_excess: u64,
    /// Datagrams sent that the kernel counted and the tracer did not.
    pub udp_sent_missing: u64,
    /// Datagrams received that the kernel counted and the tracer did not; not where there are tunnels.
    pub udp_received_missing: u64,
    /// Payload of TCP sent beyond all that IP sent.
    pub tcp_sent_bytes_excess: u64,
    /// Payload of TCP received beyond all that IP received.
    pub tcp_received_bytes_excess: u64,
}

impl Audit {
    /// How much the audits found that was not followed or counted: sockets, connections and datagrams. Never falls.
    #[must_use]
    pub fn not_counted(&self) -> u64 {
        let Drift { tcp_outgoing_missing, udp_sent_missing, udp_received_missing, .. } = self.drift;
        // What was found is told in full.
        let lost = self.missing - self.found;
        lost + tcp_outgoing_missing + udp_sent_missing + udp_received_missing
    }
}

impl Drift {
    /// Every kind with its name and amount.
    #[must_use]
    pub fn by_name(&self) -> [(&'static str, u64); 7] {
        let Self {
            tcp_outgoing_missing,
            tcp_incoming_excess,
            tcp_retransmits_excess,
            udp_sent_missing,
            udp_received_missing,
            tcp_sent_bytes_excess,
            tcp_received_bytes_excess,
        } = *self;
        [
            ("tcp_outgoing_missing", tcp_outgoing_missing),
            ("tcp_incoming_excess", tcp_incoming_excess),
            ("tcp_retransmits_excess", tcp_retransmits_excess),
            ("udp_sent_missing", udp_sent_missing),
            ("udp_received_missing", udp_received_missing),
            ("tcp_sent_bytes_excess", tcp_sent_bytes_excess),
            ("tcp_received_bytes_excess", tcp_received_bytes_excess),
        ]
    }

    fn plus(self, other: Self) -> Self {
        Self {
            tcp_outgoing_missing: self.tcp_outgoing_missing + other.tcp_outgoing_missing,
            tcp_incoming_excess: self.tcp_incoming_excess + other.tcp_incoming_excess,
            tcp_retransmits_excess: self.tcp_retransmits_excess + other.tcp_retransmits_excess,
            udp_sent_missing: self.udp_sent_missing + other.udp_sent_missing,
            udp_received_missing: self.udp_received_missing + other.udp_received_missing,
            tcp_sent_bytes_excess: self.tcp_sent_bytes_excess + other.tcp_sent_bytes_excess,
            tcp_received_bytes_excess: self.tcp_received_bytes_excess + other.tcp_received_bytes_excess,
        }
    }

    /// A further comparison: what is missing once stays so, what was too much may have been of one moment.
    fn followed_by(self, newer: Self) -> Self {
        Self {
            tcp_outgoing_missing: self.tcp_outgoing_missing.max(newer.tcp_outgoing_missing),
            udp_sent_missing: self.udp_sent_missing.max(newer.udp_sent_missing),
            udp_received_missing: self.udp_received_missing.max(newer.udp_received_missing),
            ..newer
        }
    }
}

/// What the running audit compares, the last one, and where each namespace began to be compared.
#[derive(Debug, Default)]
pub(crate) struct Audits {
    noted: Noted,
    began: HashMap<u32, Began, RandomState>,
    /// Drift of namespaces that are gone.
    gone: Drift,
    tunnels_ended: u64,
    last: Option<Audit>,
}

/// The sums when the pass had ended.
#[derive(Debug, Default)]
struct Noted {
    sums: HashMap<u32, Sums, RandomState>,
    /// Of what was added up without distinction.
    rest: Sums,
}

/// A namespace at its first audit.
#[derive(Debug, Clone, Copy)]
struct Began {
    ours: Sums,
    rest: Sums,
    reading: NamespaceReading,
    drift: Drift,
    /// What was missing before it began anew.
    carried: Drift,
    /// TCP sockets that the last audit could not give a slot.
    unfollowed: u64,
}

impl Audits {
    /// The last audit that ended.
    pub(crate) fn last(&self) -> Option<Audit> {
        self.last
    }

    /// Notes what is known now.
    pub(crate) fn note(&mut self, ledger: &Ledger, live: impl Iterator<Item = ForAudit>) {
        self.noted = Noted { sums: ledger.with(live), rest: ledger.rest() };
    }

    /// Compares what was noted; of a namespace that it meets for the first time it only keeps where that begins.
    pub(crate) fn compare(&mut self, reading: &AuditReading, ledger: &mut Ledger) {
        let AuditReading { at, namespaces, unread, stale, tunnels_ended, cpu_ns } = reading;
        let noted = std::mem::take(&mut self.noted);
        // One that lived between two audits is seen in neither.
        let tunnels = std::mem::replace(&mut self.tunnels_ended, *tunnels_ended) != *tunnels_ended;
        let mut missing = 0;
        for reading in namespaces {
            missing += self.compare_one(&noted, reading, tunnels);
        }
        // Where some cannot be read, nothing is known to be gone.
        if *unread == 0 || self.began.len() > NAMESPACES_MAX {
            let there: HashSet<u32, RandomState> = namespaces.iter().map(|reading| reading.netns).collect();
            let gone = self.began.extract_if(|netns, _| !there.contains(netns));
            self.gone = gone.fold(self.gone, |sum, (_, began)| sum.plus(began.missing()));
            ledger.keep(|netns| there.contains(&netns));
        }
        let sum = |of: fn(&NamespaceReading) -> u64| namespaces.iter().map(of).sum::<u64>();
        let before = self.last.unwrap_or_default();
        let drift = |began: &Began| began.carried.plus(began.drift);
        self.last = Some(Audit {
            at: *at,
            audits: before.audits + 1,
            cpu_ns: before.cpu_ns + cpu_ns,
            namespaces: namespaces.len() as u64,
            unread: *unread,
            sockets: sum(|reading| reading.tcp_sockets + reading.udp_sockets),
            missing: before.missing + missing,
            found: before.found + sum(|reading| reading.tcp_found),
            stale: *stale,
            drift: self.began.values().fold(self.gone, |sum, began| sum.plus(drift(began))),
        });
    }

    /// Answers how many sockets are missing that were not when it was compared last.
    fn compare_one(&mut self, noted: &Noted, reading: &NamespaceReading, tunnels: bool) -> u64 {
        let ours = noted.sums.get(&reading.netns).copied().unwrap_or_default();
        let unfollowed = reading.tcp_missing.saturating_sub(reading.tcp_found);
        let first = Began {
            ours,
            rest: noted.rest,
            reading: *reading,
            drift: Drift::default(),
            carried: Drift::default(),
            unfollowed: 0,
        };
        let began = self.began.entry(reading.netns).or_insert(first);
        if began.is_another(reading) {
            self.gone = self.gone.plus(began.missing());
            *began = first;
        }
        let tunnels = tunnels || began.reading.udp_tunnels + reading.udp_tunnels > 0;
        began.drift = began.drift.followed_by(drift(began, ours, noted.rest, reading, tunnels));
        let missing = reading.tcp_found + unfollowed.saturating_sub(began.unfollowed);
        if tunnels {
            // What they took cannot be told from what is missing: what comes after is compared anew.
            *began = Began { carried: began.missing(), ..first };
        }
        began.unfollowed = unfollowed;
        missing
    }
}

impl Began {
    /// The inode number is that of another namespace by now, whose counters began at 0.
    fn is_another(&self, reading: &NamespaceReading) -> bool {
        let (then, now) = (&self.reading.after, &reading.before);
        let counts_fell = now.sent_octets < then.sent_octets
            || now.received_octets < then.received_octets
            || now.udp_sent < then.udp_sent
            || now.tcp_active_opens < then.tcp_active_opens;
        self.reading.cookie != reading.cookie || counts_fell
    }

    /// What is missing for good: what was too much was so at the moment of its last audit.
    fn missing(&self) -> Drift {
        let Drift { tcp_outgoing_missing, udp_sent_missing, udp_received_missing, .. } = self.drift;
        let now = Drift { tcp_outgoing_missing, udp_sent_missing, udp_received_missing, ..Drift::default() };
        self.carried.plus(now)
    }
}

/// What differs since the first audit. At that time the kernel's counters are taken from after the pass where something may
/// be missing, and from before it where something may be too much.
fn drift(began: &Began, ours: Sums, rest: Sums, reading: &NamespaceReading, tunnels: bool) -> Drift {
    let (start, now) = (&began.reading, reading);
    let then = began.ours;
    let missing = |sum: fn(&Sums) -> u64, kernel: fn(&KernelSums) -> u64, waited: u64| {
        let kernel = kernel(&now.before).saturating_sub(kernel(&start.after)).saturating_sub(waited);
        // What was added up without distinction may be of this namespace.
        let told = (sum(&ours) + sum(&rest)).saturating_sub(sum(&then) + sum(&began.rest));
        kernel.saturating_sub(told)
    };
    let excess = |sum: fn(&Sums) -> u64, kernel: fn(&KernelSums) -> u64| {
        let kernel = kernel(&now.after).saturating_sub(kernel(&start.before));
        sum(&ours).saturating_sub(sum(&then)).saturating_sub(kernel)
    };
    Drift {
        tcp_outgoing_missing: missing(|sums| sums.tcp_outgoing, |kernel| kernel.tcp_active_opens, 0),
        tcp_incoming_excess: excess(|sums| sums.tcp_incoming, |kernel| kernel.tcp_passive_opens),
        tcp_retransmits_excess: excess(|sums| sums.tcp_retransmits, |kernel| kernel.tcp_retransmitted),
        udp_sent_missing: missing(|sums| sums.udp_sent, |kernel| kernel.udp_sent, 0),
        // What had come before the first audit may be read after it.
        udp_received_missing: if tunnels {
            0
        } else {
            missing(|sums| sums.udp_received, |kernel| kernel.udp_received, start.udp_waiting)
        },
        tcp_sent_bytes_excess: excess(|sums| sums.tcp_sent_bytes, |kernel| kernel.sent_octets),
        tcp_received_bytes_excess: excess(|sums| sums.tcp_received_bytes, |kernel| kernel.received_octets),
    }
}
