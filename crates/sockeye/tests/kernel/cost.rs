//! TCP data costs nothing: no program runs for it, but for one that UDP needs where the kernel has no better place.

use std::collections::BTreeMap;

use collect::{Capability, CollectLimits};
use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};

use crate::Test;
use crate::harness::{Outcome, Tracer};
use crate::peer::Peer;
use crate::world::{RIGHT_V4, VethPair};

pub const TESTS: &[Test] = &[
    ("no_program_runs_for_tcp_messages_without_udp", || messages_run(false)),
    ("for_tcp_messages_only_the_packet_programs_of_udp_run", || messages_run(true)),
];

/// See every packet, where UDP cannot be seen otherwise.
const PACKET_PROGRAMS: [&str; 2] = ["cgroup_egress", "cgroup_ingress"];

fn messages_run(follow_udp: bool) -> Outcome {
    const MESSAGES: u64 = 100_000;
    let world = VethPair::new();
    let tracer = Tracer::with(CollectLimits { follow_udp, audit_interval_ms: 0, ..CollectLimits::default() });
    tracer.needs(Capability::Udp);
    let _counting = RunCounting::start();
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    client.connect("c", RIGHT_V4, port);
    server.ask("accept s");
    // The passes at the start and for this answer are over, and none follows for a minute.
    let mut told = tracer.client("a");
    told.poll();
    let mut before = run_counts(&tracer);
    assert!(before.values().sum::<u64>() > 0, "the connect itself ran programs: {before:?}");
    let answering = std::thread::spawn(move || {
        server.ask(&format!("pong s {}", MESSAGES / 2));
        server
    });
    client.ask(&format!("ping c {}", MESSAGES / 2));
    let _server = answering.join().expect("the server answered");
    // Other sockets of the host may open or close meanwhile: a few runs, never one for each message.
    let mut after = run_counts(&tracer);
    if follow_udp {
        let of_packets = |counts: &BTreeMap<String, u64>| -> u64 {
            PACKET_PROGRAMS.iter().filter_map(|name| counts.get(*name)).sum()
        };
        let ran = of_packets(&after) - of_packets(&before);
        assert_eq!(ran > MESSAGES, served_by_packets(&tracer), "{before:?} {after:?}");
        after.retain(|name, _| !PACKET_PROGRAMS.contains(&name.as_str()));
        before.retain(|name, _| !PACKET_PROGRAMS.contains(&name.as_str()));
    }
    let runs: u64 = after.values().sum::<u64>() - before.values().sum::<u64>();
    assert!(runs < MESSAGES / 1000, "{runs} runs for {MESSAGES} messages: {before:?} {after:?}");
    let counted = |sum: u64| (sum == MESSAGES / 2).then_some(());
    told.wait("the messages", |told| {
        told.find(&world.right, port).and_then(|(sum, _)| counted(sum.sent_bytes))
    });
}

fn served_by_packets(tracer: &Tracer) -> bool {
    let mut capabilities = tracer.collector.support().capabilities.iter();
    let udp = capabilities.find(|state| state.capability == Capability::Udp).expect("it is listed");
    udp.served_by.is_some_and(|hook| hook.starts_with("cgroup_skb"))
}

/// Run counts of the tracer's programs by name.
fn run_counts(tracer: &Tracer) -> BTreeMap<String, u64> {
    let ours = &tracer.collector.support().programs;
    let all = ProgInfoIter::with_query_opts(ProgInfoQueryOptions::default());
    let name_of = |id: u32| ours.iter().find(|(_, ours)| *ours == id).map(|(name, _)| name.clone());
    let counts: BTreeMap<String, u64> =
        all.filter_map(|info| Some((name_of(info.id)?, info.run_cnt))).collect();
    assert_eq!(counts.len(), ours.len(), "every program is found");
    // Those of processes run for whatever else the host does.
    counts.into_iter().filter(|(name, _)| !name.starts_with("sched_process")).collect()
}

/// The kernel counts program runs while this lives.
struct RunCounting(String);

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl RunCounting {
    fn start() -> Self {
        let before = std::fs::read_to_string(SWITCH).expect("the kernel can count runs");
        std::fs::write(SWITCH, "1").expect("root may switch it on");
        Self(before)
    }
}

impl Drop for RunCounting {
    fn drop(&mut self) {
        let _ = std::fs::write(SWITCH, &self.0);
    }
}
