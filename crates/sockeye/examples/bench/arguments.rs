//! The command line: which measurements, and how much of them. The defaults take less than 20 minutes.

use clap::{Parser, ValueEnum};

/// Measures what Sockeye costs
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub struct Arguments {
    /// Only this measurement
    #[arg(long, value_name = "NAME")]
    only: Option<Measurement>,
    /// Pairs of each comparison, and passes of the snapshot
    #[arg(long, value_name = "N", default_value_t = 25)]
    pub rounds: u32,
    /// Connections that are held, both ends counted, as the tracer counts them. Of several numbers the
    /// snapshot is measured with each, the daemon with the first
    #[arg(long, value_name = "N", value_delimiter = ',', num_args = 1.., default_value = "10000")]
    pub connections: Vec<u32>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measurement {
    /// Small messages over a connection that is open
    PingPong,
    /// Small messages of UDP
    Datagrams,
    /// Connections opened and closed
    Connect,
    /// Processes that execute and end
    Processes,
    /// Memory and CPU time of the daemon while nothing happens, and one answer
    Daemon,
    /// Time of a pass over the live connections, beside ss and `inet_diag`
    Snapshot,
    /// Time that a delta takes, of 100 000 and of a million connections
    Deltas,
    /// Time that writing an answer takes, in each of its forms
    Encode,
    /// Time that telling who is behind connections takes
    Context,
    /// Processor time that learning names takes of the daemon
    Names,
    /// Processor time that following translated addresses takes of the daemon
    Translations,
    /// Closed connections told at a high rate, none lost
    Closed,
    /// Time to the first byte of an answer that tells 100 000 connections
    FirstByte,
    /// Time of a poll beside idle HTTP connections and readers that are slow
    SlowReaders,
    /// What an audit takes
    Audits,
}

impl Arguments {
    /// What was asked for, in the order in which it is measured.
    pub fn measurements(&self) -> Vec<Measurement> {
        self.only.map_or_else(|| Measurement::value_variants().to_vec(), |only| vec![only])
    }
}
