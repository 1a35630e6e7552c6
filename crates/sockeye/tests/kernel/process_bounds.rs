//! What is told of processes has bounds: arguments are cut, and what the ring has no room for is counted.

use std::process::Command;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use collect::CollectLimits;

use crate::Test;
use crate::harness::Outcome;
use crate::processes::{Watch, executions, key, limits, run_to_end};

pub const TESTS: &[Test] = &[
    ("arguments_beyond_512_bytes_are_cut_and_said_to_be", arguments_cut),
    ("the_longest_path_is_told_whole", longest_path),
    ("what_processes_do_beyond_a_full_ring_is_counted", full_ring),
    ("a_ring_that_fills_faster_than_it_is_looked_at_loses_nothing", woken),
];

/// The bound on the arguments.
const ARGUMENT_BYTES: usize = 512;

fn arguments_cut() -> Outcome {
    let mut watch = Watch::start();
    let program = "/bin/true\0";
    let fitting = ARGUMENT_BYTES - program.len() - 1;
    for (length, cut) in [(fitting, false), (fitting + 1, true), (100_000, true)] {
        let argument = "x".repeat(length);
        let pid = run_to_end(Command::new("/bin/true").arg(&argument));
        let events = watch.told_of(pid);
        let executed = *executions(&events).first().expect("it executed");
        let all = format!("{program}{argument}\0");
        let told = all.get(..ARGUMENT_BYTES).expect("it is as long");
        let arguments = String::from_utf8_lossy(&executed.arguments);
        assert_eq!((arguments.as_ref(), executed.arguments_cut), (told, cut), "{length} bytes");
    }
}

/// A path of 4095 bytes, the most that the kernel takes.
fn longest() -> String {
    let path = format!("{}bin/true", "/".repeat(4095 - "bin/true".len()));
    assert_eq!(path.len(), 4095);
    path
}

fn longest_path() -> Outcome {
    let mut watch = Watch::start();
    let pid = run_to_end(Command::new(longest()).arg("x".repeat(ARGUMENT_BYTES)));
    let events = watch.told_of(pid);
    let executed = *executions(&events).first().expect("it executed");
    assert_eq!(executed.file, longest().as_bytes());
    assert_eq!(executed.arguments.len(), ARGUMENT_BYTES);
}

/// The programs run while nobody drains the ring.
fn full_ring() -> Outcome {
    const COUNT: usize = 50;
    let held = Arc::new(Mutex::new(()));
    let of_sink = Arc::clone(&held);
    // Room for 14 executions of that length.
    let mut watch = watch(64 << 10, move || drop(of_sink.lock().expect("nobody panics with it")));
    let hold = held.lock().expect("nobody panics with it");
    let pids: Vec<u32> = (0..COUNT).map(|_| run_to_end(&mut Command::new(longest()))).collect();
    drop(hold);
    let lost = watch.pass().process_records_lost;
    let told = watch.events.iter().filter(|event| pids.contains(&key(event).pid)).count();
    let missing = u64::try_from(3 * COUNT - told).expect("not negative");
    assert!(missing > 0 && lost >= missing, "{missing} are missing and {lost} counted");
    let pid = run_to_end(&mut Command::new("/bin/true"));
    assert_eq!(watch.told_of(pid).len(), 3, "there is room again");
}

/// The kernel wakes the collector when half of the ring is full. By itself it would look after 100 ms.
fn woken() -> Outcome {
    // Room for 14 executions of that length. It was looked at just before 30 of them, which take less than 100 ms.
    let mut watch = watch(64 << 10, || ());
    let script = "n=0; while [ $n -lt 30 ]; do n=$((n + 1)); \"$0\" \"$1\"; done";
    let argument = "x".repeat(ARGUMENT_BYTES);
    let mut lost = watch.pass().process_records_lost;
    // Whoever is woken may still come too late, on a machine that has other things to do.
    let round_without_loss = (0..20).any(|_| {
        run_to_end(Command::new("/bin/sh").args(["-c", script, &longest(), &argument]));
        let before = std::mem::replace(&mut lost, watch.pass().process_records_lost);
        lost == before
    });
    assert!(round_without_loss, "{lost} lost");
}

/// With a ring of so many bytes; calls `before_each` before each report is handed over.
fn watch(process_ring_bytes: u32, before_each: impl Fn() + Send + 'static) -> Watch {
    let (sender, reports) = mpsc::channel();
    let limits = CollectLimits { process_ring_bytes, ..limits() };
    Watch::with(limits, reports, move |report| {
        before_each();
        let _ = sender.send(report);
    })
}
