//! How much is remembered, who leaves first, and what a look-up costs.

use std::hint::black_box;

use super::*;

fn limited(proc: &FakeProc, limit: usize, limit_bytes: usize) -> Processes {
    Processes::new(ProcessSettings { limit, limit_bytes, ..settings(proc) }, |_| None)
}

fn pids(processes: &Processes) -> Vec<u32> {
    let mut pids = Vec::new();
    processes.each(|process, _| pids.push(process.key.pid));
    pids.sort_unstable();
    pids
}

#[test]
fn those_that_have_ended_leave_first_and_then_those_that_nobody_asked_for() {
    let proc = FakeProc::new("leave");
    let processes = limited(&proc, 4, usize::MAX);
    let begin = |pid| processes.apply(&[executed(pid, "/bin/it", b"it\0")]);
    (1..=4).for_each(begin);
    processes.apply(&[ProcessEvent::Exited { process: key(3) }]);
    begin(5);
    assert_eq!(pids(&processes), [1, 2, 4, 5]);
    begin(1);
    begin(6);
    assert_eq!(pids(&processes), [1, 4, 5, 6]);
    assert_eq!((processes.counts().evicted, processes.counts().kept), (2, 4));
}

#[test]
fn a_look_up_is_a_use() {
    let proc = FakeProc::new("used");
    (1..=5).for_each(|pid| run(&proc, pid, "/bin/it", b"it\0"));
    let processes = limited(&proc, 4, usize::MAX);
    (1..=4).for_each(|pid| drop(look(&processes, &owner(pid))));
    look(&processes, &owner(1));
    look(&processes, &owner(5));
    assert_eq!(pids(&processes), [1, 3, 4, 5]);
}

#[test]
fn the_bytes_are_bounded_whatever_processes_are_called_with() {
    let proc = FakeProc::new("bytes");
    let processes = limited(&proc, 16_384, 1 << 20);
    let large = [b"y\0".repeat(63), b"z".repeat(400)].concat();
    for pid in 1..2000 {
        processes.apply(&[executed(pid, &"/long".repeat(100), &large)]);
        let counts = processes.counts();
        assert!(counts.bytes <= 1 << 20, "{counts:?}");
    }
    let counts = processes.counts();
    assert!(
        counts.kept < 500 && counts.kept > 100 && counts.evicted == 1999 - counts.kept as u64,
        "{counts:?}"
    );
    assert_eq!(pids(&processes).last(), Some(&1999));
}

#[test]
fn copies_of_a_process_count_as_if_each_had_its_own() {
    let proc = FakeProc::new("copies");
    let processes = limited(&proc, 16_384, 100_000);
    let large = b"z".repeat(400);
    processes.apply(&[executed(1, "/bin/it", &large)]);
    for child in 2..1000 {
        processes.apply(&[ProcessEvent::Forked { parent: key(child - 1), child: key(child) }]);
    }
    let counts = processes.counts();
    assert!(counts.bytes <= 100_000 && counts.kept < 150 && counts.kept > 50, "{counts:?}");
}

#[test]
fn forms_of_one_process_are_bounded() {
    let proc = FakeProc::new("forms");
    run(&proc, 1, "/bin/it", b"it\0");
    let processes = limited(&proc, 16_384, usize::MAX);
    let mut most = 0;
    for uid in 0..100 {
        look(&processes, &Owner { uid, ..owner(1) });
        most = most.max(processes.counts().bytes);
    }
    assert!(most < 2500, "{most}");
    assert_eq!(processes.counts().bytes, most);
}

#[test]
fn a_limit_of_one_is_one() {
    let proc = FakeProc::new("one");
    (1..=3).for_each(|pid| run(&proc, pid, "/bin/it", b"it\0"));
    let processes = limited(&proc, 0, 0);
    for pid in [1, 2, 3, 1] {
        let found = processes.look(Instant::now() + Duration::from_millis(5)).of(&owner(pid));
        assert_eq!(found.map(|process| process.key.pid), Some(pid));
        assert!(processes.counts().kept <= 1);
    }
}

#[test]
fn all_may_be_done_at_once() {
    let proc = FakeProc::new("at-once");
    (1..=20).for_each(|pid| run(&proc, pid, "/bin/it", b"it\0"));
    let processes = limited(&proc, 32, 20_000);
    let until = Instant::now() + Duration::from_millis(300);
    let rounds = || std::iter::repeat_with(|| 1..=60).flatten().take_while(|_| Instant::now() < until);
    std::thread::scope(|scope| {
        scope.spawn(|| rounds().for_each(|pid| processes.note(&owner(pid))));
        scope.spawn(|| {
            for pid in rounds() {
                let child = ProcessEvent::Forked { parent: key(pid), child: key(pid + 1) };
                let exited = ProcessEvent::Exited { process: key(pid + 2) };
                processes.apply(&[executed(pid, "/bin/it", b"it\0"), child, exited]);
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                for pid in rounds() {
                    let found = processes.look(until).of(&owner(pid));
                    assert_eq!(found.map(|process| process.key), Some(key(pid)));
                    let counts = processes.counts();
                    assert!(counts.kept <= 32 && counts.bytes <= 20_000, "{counts:?}");
                }
            });
        }
    });
    assert_eq!(processes.degradation(), None);
    println!("{:?}", processes.counts());
}

/// The bound is that of a build without optimization.
#[test]
fn what_is_remembered_costs_little() {
    const ALL: u32 = 16_000;
    let proc = FakeProc::new("warm");
    let processes = limited(&proc, 16_384, 16 << 20);
    let owners: Vec<_> = (1..=ALL).map(owner).collect();
    let life = |pid| [executed(pid, "/bin/it", b"it\0"), ProcessEvent::Exited { process: key(pid) }];
    let began = Instant::now();
    owners.iter().for_each(|owner| processes.apply(&life(owner.pid)));
    let applied = began.elapsed() / ALL;
    let round = |owners: &[Owner]| {
        let began = Instant::now();
        let looking = processes.look(began + Duration::from_secs(20));
        owners.iter().for_each(|owner| assert!(looking.of(black_box(owner)).is_some()));
        began.elapsed() / u32::try_from(owners.len()).expect("it is small")
    };
    let cold = round(&owners);
    let [few, all] =
        [&owners[..1000], &owners].map(|some| (0..20).map(|_| round(some)).min().expect("twenty"));
    let began = Instant::now();
    owners.iter().for_each(|owner| processes.note(black_box(owner)));
    let noted = began.elapsed() / ALL;
    let worst = (ALL + 1..=ALL + 1000).map(|pid| {
        let began = Instant::now();
        processes.apply(&life(pid));
        began.elapsed()
    });
    println!("applied {applied:?}, at the limit {:?} at worst", worst.max().expect("a thousand"));
    println!("cold {cold:?}, warm {few:?} of 1000 and {all:?} of {ALL}, noted {noted:?}");
    assert!(few < Duration::from_micros(2), "{few:?}");
}
