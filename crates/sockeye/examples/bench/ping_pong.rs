//! Messages of 64 bytes, there and back, over one connection on loopback.
//!
//! The connection is the same in every reading, so that pairs differ in the tracer alone. A send puts the
//! message into the other end's queue, so that one thread that reads after it writes never waits.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use crate::driver;
use crate::namespace::NetNs;
use crate::pairs;
use crate::program_runs::RunCounting;
use crate::table::{Comparisons, Limit};
use crate::tracer::Tracer;

const MESSAGE_BYTES: usize = 64;
const ROUND_TRIPS_PER_PIECE: u32 = 100;

/// The runs of the programs are counted in so many windows of so many messages.
const WINDOWS: u32 = 10;
const ROUND_TRIPS_PER_WINDOW: u32 = 5_000;
const FIRST_PASS: Duration = Duration::from_millis(500);

struct Connection {
    client: TcpStream,
    server: TcpStream,
}

pub fn measure(world: &NetNs, rounds: u32) -> anyhow::Result<Comparisons> {
    let mut connection = world.inside(Connection::open)?;
    let compared =
        pairs::compare(rounds, || driver::cpu_ns(world, ROUND_TRIPS_PER_PIECE, || connection.round_trip()))?;
    let mut table = Comparisons::default();
    table.add("TCP, 64 bytes there and back", "ns", compared);
    let runs = runs_by_window(&mut connection)?;
    let least = runs.iter().copied().min().unwrap_or(0);
    let messages = 2 * ROUND_TRIPS_PER_WINDOW;
    // Other sockets of the host may open and close meanwhile, and programs run for them. If one ran for
    // messages, it would run in every window.
    let limit = Limit::AtMost(0.0);
    let total: u64 = runs.iter().sum();
    table.note(
        format!(
            "runs of our programs while {messages} messages passed, least of {WINDOWS} windows \
             ({total} in all)"
        ),
        least as f64,
        limit,
    );
    Ok(table)
}

/// How often our programs ran in each window.
fn runs_by_window(connection: &mut Connection) -> anyhow::Result<Vec<u64>> {
    let tracer = Tracer::start()?;
    // The collector makes its first pass at once, and a program of ours runs for that.
    sleep(FIRST_PASS);
    let counting = RunCounting::start(&tracer)?;
    let mut runs = Vec::new();
    for _ in 0..WINDOWS {
        let before = counting.runs()?;
        for _ in 0..ROUND_TRIPS_PER_WINDOW {
            connection.round_trip()?;
        }
        runs.push(counting.runs()? - before);
    }
    drop(counting);
    tracer.stop()?;
    Ok(runs)
}

impl Connection {
    fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept()?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        Ok(Self { client, server })
    }

    fn round_trip(&mut self) -> anyhow::Result<()> {
        let mut message = [7; MESSAGE_BYTES];
        self.client.write_all(&message)?;
        self.server.read_exact(&mut message)?;
        self.server.write_all(&message)?;
        self.client.read_exact(&mut message)?;
        Ok(())
    }
}
