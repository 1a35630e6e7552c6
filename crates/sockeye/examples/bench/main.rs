//! What Sockeye costs: the traffic that it traces, and the machine that it runs on.
//!
//! Owns the order of the measurements and the exit code: 0 when every limit is met, 1 when one is not. How a
//! comparison is made stands in `pairs`, who takes part in `contenders`; what is compared or measured in
//! `ping_pong`, `datagrams`, `connect_close`, `processes`, `own_cost`, `snapshot`, `deltas`, `encoding`, `behind`, `names`, `translations`,
//! `closed`, `first_byte`, `slow_readers` and `audits`; what each row means in
//! `docs/performance.md`. Runs as root, in a network namespace of its own.

#![allow(clippy::print_stdout, reason = "the tables are the output")]
#![allow(unreachable_pub, reason = "a program; nothing outside of it uses its parts")]

mod acquainted;
mod arguments;
mod audits;
mod behind;
#[path = "../../../collect/clang.rs"]
mod clang;
mod closed;
mod compile;
mod connect_close;
mod contender;
mod contenders;
mod cpu_time;
mod daemon;
mod datagrams;
mod deltas;
mod dns;
mod driver;
mod empty;
mod encoding;
mod first_byte;
mod held;
mod idle_http;
mod inet_diag;
mod loopback;
mod machine;
mod miniature;
mod names;
mod namespace;
mod own_cost;
mod paced;
mod pairs;
mod per_call;
mod per_packet;
mod ping_pong;
mod processes;
mod producer;
mod program_runs;
mod request;
mod root_cgroup;
mod sample;
mod slow_reader;
mod slow_readers;
mod snapshot;
mod socket_statistics;
mod table;
mod tracer;
mod translations;
mod udp_sockets;
mod unloading;

use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;

use arguments::{Arguments, Measurement};
use namespace::NetNs;
use table::Table;

fn main() -> anyhow::Result<ExitCode> {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(held::ROLE) {
        return held::hold(words).map(|()| ExitCode::SUCCESS);
    }
    let arguments = Arguments::parse();
    // The numbers of a build without optimization would be read as if they meant something.
    if cfg!(debug_assertions) {
        bail!("this is not a release build: cargo x bench");
    }
    collect::check_privileges(collect::Backend::Bpf)?;
    let met = measure(&arguments)?;
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Measures what was asked for; answers whether every limit was met.
fn measure(arguments: &Arguments) -> anyhow::Result<bool> {
    println!("{}\n", machine::describe());
    let world = NetNs::new()?;
    let mut met = true;
    for measurement in arguments.measurements() {
        let load = machine::load();
        let table: Box<dyn Table> = match measurement {
            Measurement::PingPong => Box::new(ping_pong::measure(&world, arguments.rounds)?),
            Measurement::Datagrams => Box::new(datagrams::measure(&world, arguments.rounds)?),
            Measurement::Connect => Box::new(connect_close::measure(&world, arguments.rounds)?),
            Measurement::Processes => Box::new(processes::measure(&world, arguments.rounds)?),
            Measurement::Daemon => Box::new(own_cost::measure(&world, &arguments.connections)?),
            Measurement::Snapshot => Box::new(snapshot::measure(&world, arguments)?),
            Measurement::Deltas => Box::new(deltas::measure(arguments.rounds)?),
            Measurement::Encode => Box::new(encoding::measure(arguments.rounds)?),
            Measurement::Context => Box::new(behind::measure(&world, arguments.rounds)?),
            Measurement::Names => Box::new(names::measure(&world)?),
            Measurement::Translations => Box::new(translations::measure(&world)?),
            Measurement::Closed => Box::new(closed::measure(&world)?),
            Measurement::FirstByte => Box::new(first_byte::measure(&world, arguments.rounds)?),
            Measurement::SlowReaders => Box::new(slow_readers::measure(&world)?),
            Measurement::Audits => Box::new(audits::measure(&world, &arguments.connections)?),
        };
        println!("{}load before {load}, after {}\n", table.text(), machine::load());
        met &= table.met();
    }
    Ok(met)
}
