//! Queries and their answers, seen from the socket that asks.

use std::net::IpAddr;
use std::sync::Arc;

use connections::{KernelTime, Lookup, LookupOutcome, Payload, Protocol};

use super::addresses::{Names, Told};
use super::interned::Interned;
use super::message::{self, Read, Refusal};
use super::pending::{Asked, Key, Pending, Query};
use super::streams::Streams;
use super::{DnsCounts, DnsLimits, text};

/// Makes of messages what became of queries, and tells names to [`Names`].
#[derive(Debug)]
pub struct Lookups {
    ports: Vec<u16>,
    streams: Streams,
    exchanges: Exchanges,
}

/// All but what cuts messages out of segments.
#[derive(Debug)]
struct Exchanges {
    names: Arc<Names>,
    pending: Pending,
    timeout_ns: u64,
    interned: Interned,
    counts: DnsCounts,
    /// Room for one name, and for the addresses of one answer.
    text: String,
    addresses: Vec<(IpAddr, u32)>,
}

impl Lookups {
    /// Nothing was asked yet.
    #[must_use]
    pub fn new(limits: &DnsLimits, names: Arc<Names>) -> Self {
        Self {
            ports: limits.ports.clone(),
            streams: Streams::new(limits.tcp_connections),
            exchanges: Exchanges {
                names,
                pending: Pending::new(limits.pending),
                timeout_ns: u64::try_from(limits.timeout.as_nanos()).unwrap_or(u64::MAX),
                interned: Interned::default(),
                counts: DnsCounts::default(),
                text: String::new(),
                addresses: Vec::new(),
            },
        }
    }

    /// Takes the payload of one packet, and adds to `ended` what became of queries by it and until it.
    ///
    /// Takes about a microsecond. No bytes can make it take more than some hundred microseconds for each 64 KiB.
    pub fn take(&mut self, payload: &Payload, ended: &mut Vec<Lookup>) {
        self.expire(payload.at, ended);
        let Self { ports, streams, exchanges } = self;
        if !ports.contains(&payload.tuple.remote.port()) {
            exchanges.counts.served += 1;
            return;
        }
        let Some(sequence) = payload.tcp_sequence else {
            let is_whole =
                u32::try_from(payload.bytes.len()).is_ok_and(|length| length >= payload.whole_bytes);
            exchanges.take(payload, &payload.bytes, is_whole, ended);
            return;
        };
        let fate = streams
            .take(payload, sequence, |bytes, is_whole| exchanges.take(payload, bytes, is_whole, ended));
        exchanges.counts.tcp_lost += u64::from(fate.lost);
        exchanges.counts.tcp_dropped += u64::from(fate.dropped_another);
    }

    /// Adds the queries to `ended` that got no answer in time. To be called now and then, so that they are told also when
    /// no other message passes.
    pub fn expire(&mut self, now: KernelTime, ended: &mut Vec<Lookup>) {
        let Exchanges { pending, counts, timeout_ns, .. } = &mut self.exchanges;
        while let Some((key, query)) = pending.older_than(now, *timeout_ns) {
            let tuple = query.tuple(&key);
            if tuple.protocol == Protocol::Tcp && !self.streams.has_told_all(&tuple, query.asked_at) {
                counts.unknown += 1;
                continue;
            }
            counts.timed_out += 1;
            ended.push(query.ended(key, LookupOutcome::TimedOut));
        }
    }

    /// What was counted until now.
    #[must_use]
    pub fn counts(&self) -> DnsCounts {
        DnsCounts { pending: self.exchanges.pending.len(), ..self.exchanges.counts }
    }
}

impl Exchanges {
    fn take(&mut self, payload: &Payload, bytes: &[u8], is_whole: bool, ended: &mut Vec<Lookup>) {
        self.counts.messages += 1;
        let read = match message::read(bytes, is_whole) {
            Ok(read) => read,
            Err(Refusal::Malformed) => {
                self.counts.malformed += 1;
                return;
            }
            Err(Refusal::Other) => {
                self.counts.other += 1;
                return;
            }
        };
        self.counts.cut += u64::from(read.cut);
        // Between two name servers both ends have their port: the one that sends queries and gets answers is the one that
        // asks.
        if read.is_answer == payload.sent {
            self.counts.served += 1;
        } else if !text::write(&read.name, &mut self.text) {
            self.counts.other += 1;
        } else if read.is_answer {
            self.answer(payload, &read, ended);
        } else {
            self.ask(payload, &read);
        }
    }

    fn ask(&mut self, payload: &Payload, read: &Read<'_>) {
        let name = self.interned.of(&self.text);
        let key = Key::new(&payload.tuple, read.id, read.query_type, name);
        let asked = self.pending.ask(key, Query::of(payload));
        self.counts.queries += u64::from(asked != Asked::Again);
        self.counts.repeated += u64::from(asked == Asked::Again);
        self.counts.pending_full += u64::from(asked == Asked::InPlaceOfAnother);
    }

    fn answer(&mut self, payload: &Payload, read: &Read<'_>, ended: &mut Vec<Lookup>) {
        let name = self.interned.known(&self.text);
        let key = name.map(|name| Key::new(&payload.tuple, read.id, read.query_type, name.clone()));
        let Some((key, mut query)) = key.and_then(|key| self.pending.answer(&key)) else {
            self.counts.unmatched += 1;
            return;
        };
        query.complete(&Query { pid: 0, ..Query::of(payload) });
        let latency_ns = payload.at.nanoseconds_since(query.asked_at);
        if latency_ns > self.timeout_ns {
            // It waited behind one that was told earlier and passed later.
            self.counts.timed_out += 1;
            ended.push(query.ended(key, LookupOutcome::TimedOut));
            return;
        }
        self.addresses.clear();
        let answer = read.answer(&mut self.addresses);
        self.counts.answers += 1;
        self.counts.malformed += u64::from(answer.malformed);
        self.counts.cut += u64::from(answer.cut && !read.cut);
        let outcome = LookupOutcome::Answered { rcode: answer.rcode, latency_ns };
        let lookup = query.ended(key, outcome);
        if !self.addresses.is_empty() {
            let has_canonical = answer.canonical.is_some_and(|name| text::write(&name, &mut self.text));
            let canonical = has_canonical.then(|| self.interned.of(&self.text));
            self.tell(&lookup, canonical.as_ref(), payload.at);
        }
        ended.push(lookup);
    }

    fn tell(&self, lookup: &Lookup, canonical: Option<&Arc<str>>, at: KernelTime) {
        let mut names = self.names.look();
        for (address, ttl_seconds) in &self.addresses {
            let ttl_seconds = *ttl_seconds;
            let told = Told { asked: &lookup.domain, canonical, ttl_seconds, pid: lookup.pid, at };
            names.tell(*address, &told);
        }
    }
}
