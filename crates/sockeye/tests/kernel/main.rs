//! Tests of the kernel side against the kernel's own numbers: real sockets of real processes in namespaces
//! made for the test.
//!
//! Has its own main, because it also serves as the processes that make the traffic (`peer`). Tests run one
//! after the other; each loads its own programs.

#![allow(unreachable_pub, clippy::print_stdout, reason = "a test binary; the peer answers on its output")]

mod attempts;
mod audit;
mod churn;
mod cost;
mod crowd;
mod dns;
mod dns_tap;
mod dns_tcp;
mod ends;
mod everything;
mod failures;
mod fast_open;
mod harness;
mod life;
mod live;
mod lossy;
mod mptcp;
mod needs;
#[path = "../fixtures/not_run.rs"]
mod not_run;
mod older;
mod owners;
mod peer;
mod polling;
mod process_bounds;
mod processes;
mod resets;
mod scene;
mod short_lived;
mod stress;
mod support;
mod tally;
mod tight;
mod udp;
mod udp_peers;
mod udp_scene;
mod udp_shapes;
mod unpolled;
#[path = "../fixtures/world.rs"]
mod world;

use libtest_mimic::{Arguments, Failed, Trial};

use harness::Outcome;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next();
    if role.as_deref() == Some(support::ROLE) {
        return support::main();
    }
    if role.as_deref() == Some(peer::ROLE) {
        return peer::main(arguments);
    }
    let all = [
        live::TESTS,
        short_lived::TESTS,
        older::TESTS,
        ends::TESTS,
        failures::TESTS,
        resets::TESTS,
        life::TESTS,
        churn::TESTS,
        stress::TESTS,
        polling::TESTS,
    ];
    // Of what polling does not tell, or tells otherwise.
    let of_programs = [
        attempts::TESTS,
        audit::TESTS,
        owners::TESTS,
        processes::TESTS,
        process_bounds::TESTS,
        fast_open::TESTS,
        tight::TESTS,
        cost::TESTS,
        udp::TESTS,
        udp_peers::TESTS,
        udp_shapes::TESTS,
        dns::TESTS,
        dns_tcp::TESTS,
    ];
    let needing = [
        lossy::NEEDING,
        stress::NEEDING,
        everything::NEEDING,
        failures::NEEDING,
        resets::NEEDING,
        life::NEEDING,
        mptcp::NEEDING,
        processes::NEEDING,
        udp_peers::NEEDING,
        udp_shapes::NEEDING,
        dns::NEEDING,
    ];
    let all = all.into_iter().flatten().map(|(name, test)| trial("kernel", name, || None, *test));
    let of_programs = of_programs.into_iter().flatten();
    let of_programs = of_programs.map(|(name, test)| trial("kernel", name, needs::programs, *test));
    let needing =
        needing.into_iter().flatten().map(|(name, needs, test)| trial("kernel", name, *needs, *test));
    let elsewhere =
        udp_shapes::ELSEWHERE.iter().map(|(name, needs, test)| trial("matrix", name, *needs, *test));
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let trials: Vec<Trial> = all.chain(of_programs).chain(needing).chain(elsewhere).collect();
    let is_there = |name: &&str| trials.iter().any(|trial| trial.name() == *name);
    let unknown = unpolled::names().find(|name| !is_there(name));
    assert_eq!(unknown, None, "no test has this name");
    libtest_mimic::run(&arguments, trials).exit();
}

/// The test, run if the host has what all tests and this one need. What needs a kernel of another kind is of the class
/// `matrix`.
fn trial(
    class: &'static str,
    name: &'static str,
    needs: fn() -> Option<&'static str>,
    test: fn() -> Outcome,
) -> Trial {
    let unpolled = || unpolled::reason(name).filter(|_| harness::polls_in_all());
    Trial::test(name, move || match not_run_reason().or_else(unpolled).or_else(needs) {
        Some(reason) => not_run::not_run(class, name, reason).map_err(Failed::from),
        None => match needs::unless_served(test) {
            Some(reason) => not_run::not_run(class, name, &reason).map_err(Failed::from),
            None => Ok(()),
        },
    })
}

/// Why these tests cannot run on this host; a host that could run them and does not load the programs fails.
fn not_run_reason() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root");
    }
    if !std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Some("the kernel has no BTF");
    }
    let missing = ["ip", "ss"].into_iter().find(|program| !world::runs(program));
    missing.map(|_| "iproute2 is missing")
}

/// A test: a sentence that names what it protects, and what it does.
type Test = (&'static str, fn() -> Outcome);

/// A test that needs more of the host than the others: also why this host lacks it, if it does.
type Needing = (&'static str, fn() -> Option<&'static str>, fn() -> Outcome);
