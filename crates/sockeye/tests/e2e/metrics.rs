//! The metrics of the real binary: well formed, and moved by what happens.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::curl::{get, request};
use crate::daemon::Daemon;
use crate::exchange::{Exchange, Pair};
use crate::exposition::{Family, Rules, read, value};
use crate::ledger::{Ledger, number};
use crate::needs::runs_here;
use crate::raw::Raw;
use crate::wait::until;

fn scrape(socket: &Path) -> Vec<Family> {
    let answer = get(socket, "/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"), "{answer:?}");
    read(&answer.body, Rules::Text).unwrap_or_else(|problem| panic!("{problem}\n{}", answer.body))
}

#[test]
fn both_forms_of_the_metrics_are_well_formed_while_programs_are_measured() {
    if !runs_here(&["curl"]) {
        return;
    }
    let daemon = Daemon::with(&[("SOCKEYE_COLLECT__COST_SAMPLE_MS", "60000")]);
    let socket = daemon.socket();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    until("a pass that saw programs run, and an audit, which has families of its own", || {
        ledger.poll();
        let runs = ("sockeye_program_runs_sampled_total", [("program", "iter_connections")]);
        let families = scrape(&socket);
        let audited = families.iter().any(|family| family.name.starts_with("sockeye_audit"));
        (audited && value(&families, runs.0, &runs.1) > 0.0).then_some(())
    });
    let families = scrape(&socket);
    assert!(value(&families, "sockeye_program_sampled_seconds_total", &[]) > 0.0);
    let run_time = ("sockeye_program_run_time_seconds_total", [("program", "iter_connections")]);
    assert!(value(&families, run_time.0, &run_time.1) > 0.0);
    let empty: Vec<_> = families.iter().filter(|family| family.samples.is_empty()).collect();
    assert!(empty.is_empty(), "{empty:?}");
    let accept = "Accept: application/openmetrics-text; version=1.0.0\r\n";
    let open_metrics = Raw::ask_with(&socket, "/metrics", accept).body();
    let open_metrics =
        read(&open_metrics, Rules::OpenMetrics).unwrap_or_else(|problem| panic!("{problem}\n{open_metrics}"));
    assert_eq!(open_metrics.len(), families.len());
}

#[test]
fn metrics_move_with_traffic_and_with_what_becomes_of_answers() {
    const PAIRS: usize = 20;
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let socket = daemon.socket();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    ledger.poll();
    let before = scrape(&socket);
    let mut live = exchange.open(PAIRS);
    live.iter_mut().for_each(|pair| pair.send(100));
    ledger.poll();
    let open = scrape(&socket);
    assert!(value(&open, "sockeye_live_connections", &[]) >= 2.0 * PAIRS as f64);
    live.into_iter().for_each(Pair::close);
    ledger.wait_closed(&exchange.space, 2 * PAIRS);
    let unread = Raw::ask(&socket, &ledger.path());
    unread.wait_answer();
    drop(unread);
    until("the end of the answer that nobody read", || {
        (value(&scrape(&socket), "sockeye_answers_rolled_back_total", &[]) > 0.0).then_some(())
    });
    let after = scrape(&socket);
    let risen = |name: &str| value(&after, name, &[]) - value(&before, name, &[]);
    for name in [
        "sockeye_kernel_claimed_slots_total",
        "sockeye_kernel_closed_records_total",
        "sockeye_connections_closed_total",
    ] {
        assert!(risen(name) >= 2.0 * PAIRS as f64, "{name}: {}", risen(name));
    }
    let answers = (ledger.sequence() - ledger.nth(0)) as f64;
    let is = |name: &str, expected: f64| {
        let found = value(&after, name, &[]);
        assert!((found - expected).abs() < 0.5, "{name}: {found}, not {expected}");
    };
    is("sockeye_polls_answered_total", answers + 1.0);
    is("sockeye_answers_delivered_total", answers);
    is("sockeye_answers_rolled_back_total", 1.0);
    is("sockeye_polls_waiting", 0.0);
    assert!(risen("process_cpu_seconds_total") > 0.0);
    assert!(value(&after, "process_resident_memory_bytes", &[]) > 1e6);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    if !runs_here(&["curl", "promtool"]) {
        return;
    }
    let daemon = Daemon::start();
    Ledger::register(daemon.socket(), "a").poll();
    let metrics = get(&daemon.socket(), "/metrics").body;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("it is installed");
    promtool.stdin.take().expect("it reads").write_all(metrics.as_bytes()).expect("it reads everything");
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn a_scrape_makes_no_pass_and_no_client_and_refusals_are_counted() {
    if !runs_here(&["curl"]) {
        return;
    }
    // An audit makes a pass of its own.
    let daemon = Daemon::with(&[
        ("SOCKEYE_LIMITS__POLLS", "1"),
        ("SOCKEYE_LIMITS__CLIENTS", "1"),
        ("SOCKEYE_COLLECT__AUDIT_INTERVAL_S", "0"),
    ]);
    let socket = daemon.socket();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let sequence = number(&ledger.poll()["sequence"]);
    let first = scrape(&socket);
    for _ in 0..10 {
        scrape(&socket);
    }
    let last = scrape(&socket);
    for name in ["sockeye_passes_total", "sockeye_clients", "sockeye_polls_answered_total"] {
        assert_eq!(
            value(&first, name, &[]).total_cmp(&value(&last, name, &[])),
            std::cmp::Ordering::Equal,
            "{name}"
        );
    }
    assert_eq!(request(&socket, 0, "PUT", "/v1/clients/b").status, 429);
    let unread = Raw::ask(&socket, &ledger.path());
    unread.wait_answer();
    // Waits for that answer to be read, and has the only place.
    let waiting = Raw::ask(&socket, &ledger.path());
    until("a poll that finds no place", || {
        let refused = get(&socket, "/network_tracer/connections?client_id=c");
        assert_eq!(refused.status, 429, "for want of a place, or of room for a client: {refused:?}");
        (value(&scrape(&socket), "sockeye_polls_refused_total", &[("cause", "in_all")]) > 0.5).then_some(())
    });
    let refused = scrape(&socket);
    assert!(value(&refused, "sockeye_clients_refused_total", &[]) > 0.5);
    assert!(value(&refused, "sockeye_polls_refused_total", &[("cause", "in_all")]) > 0.5);
    drop((waiting, unread));
    until("the end of the answer that nobody read", || {
        (value(&scrape(&socket), "sockeye_answers_rolled_back_total", &[]) > 0.0).then_some(())
    });
    assert_eq!(number(&ledger.poll()["sequence"]), sequence + 2);
}
