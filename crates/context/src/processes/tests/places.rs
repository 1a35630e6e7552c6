//! Units and pods, and that they are those of the time at which an owner was recorded.

use super::*;

const POD: &str = "2f399ae7-38a0-11e9-b7a8-0a0a0a0a0a0a";

fn place(process: &Process) -> (Option<&str>, Option<&str>) {
    (process.unit.as_deref(), process.pod.as_deref())
}

#[test]
fn a_process_that_was_moved_is_told_where_it_was_with_each_connection() {
    let proc = FakeProc::new("places");
    run(&proc, 1, "/bin/it", b"it\0");
    let processes = Processes::new(settings(&proc), |id| match id {
        1 => Some(format!("/kubepods/burstable/pod{POD}/a.service").into()),
        2 => Some("/system.slice/b.service".into()),
        _ => None,
    });
    let in_cgroup = |id| Owner { cgroup_id: Some(id), ..owner(1) };
    for _ in 0..2 {
        assert_eq!(place(&look(&processes, &in_cgroup(1))), (Some("a.service"), Some(POD)));
        assert_eq!(place(&look(&processes, &in_cgroup(2))), (Some("b.service"), None));
        assert_eq!(place(&look(&processes, &in_cgroup(3))), (None, None), "a cgroup that is gone");
    }
    assert!(Arc::ptr_eq(&look(&processes, &in_cgroup(1)), &look(&processes, &in_cgroup(1))));
    assert_eq!(processes.counts().read, 1, "version 2 alone needs no /proc for this");
}

#[test]
fn where_the_kernel_gives_no_cgroup_proc_says_where_a_process_runs() {
    let proc = FakeProc::new("no-cgroup");
    run(&proc, 1, "/bin/it", b"it\0");
    let processes = of_v2(&proc);
    let without = Owner { cgroup_id: None, ..owner(1) };
    assert_eq!(place(&look(&processes, &without)), (Some("read.service"), None));
    assert_eq!(
        place(&look(&processes, &owner(1))),
        (None, None),
        "the cgroup that the kernel gave says nothing"
    );
}

/// Version 2 has the unit, version 1 the pod.
fn hybrid(name: &str) -> (FakeProc, Processes) {
    let proc = FakeProc::new(name);
    std::fs::create_dir(proc.0.join("self")).expect("it is writable");
    std::fs::write(proc.0.join("self/cgroup"), "4:memory:/\n0::/\n").expect("it is writable");
    run(&proc, 1, "/bin/it", b"it\0");
    let cgroups =
        format!("4:memory:/kubepods/burstable/pod{POD}/x\n1:name=systemd:/a.service\n0::/b.service\n");
    proc.write(1, "cgroup", cgroups.as_bytes());
    let processes = of_v2(&proc);
    (proc, processes)
}

#[test]
fn on_a_hybrid_host_version_1_says_what_version_2_does_not() {
    let (_proc, processes) = hybrid("hybrid");
    assert_eq!(place(&look(&processes, &owner(1))), (Some("a.service"), Some(POD)));
    let in_v2 = Owner { cgroup_id: Some(9), ..owner(1) };
    assert_eq!(place(&look(&processes, &in_v2)), (Some("nine.service"), Some(POD)));
}

#[test]
fn what_proc_says_of_a_place_is_used_for_ten_seconds() {
    let (proc, processes) = hybrid("hybrid-moved");
    let began = Instant::now();
    look(&processes, &owner(1));
    proc.write(1, "cgroup", b"1:name=systemd:/c.service\n");
    let later = |seconds| Looking {
        shared: &processes.shared,
        now: Instant::now() + Duration::from_secs(seconds),
        deadline: began,
    };
    let unit = |looking: Looking<'_>| looking.of(&owner(1)).and_then(|process| process.unit.clone());
    assert_eq!(unit(later(9)).as_deref(), Some("a.service"));
    // The clock of those who read cannot be set, so what was read is made older.
    let age = |seconds| {
        let mut state = processes.shared.lock();
        state.kept.change(key(1), |entry| {
            let placed = entry.placed.as_mut().expect("it was read");
            placed.at -= Duration::from_secs(seconds);
            entry.forget_completed();
        });
    };
    assert_eq!(look(&processes, &owner(1)).unit.as_deref(), Some("a.service"));
    age(10);
    assert_eq!(look(&processes, &owner(1)).unit.as_deref(), Some("c.service"));
    age(10);
    proc.end(1);
    assert_eq!(
        look(&processes, &owner(1)).unit.as_deref(),
        Some("c.service"),
        "what has ended is moved no more"
    );
    assert_eq!(processes.counts().ended, 1);
}

#[test]
fn what_was_completed_with_an_old_place_is_not_told() {
    let (_proc, processes) = hybrid("hybrid-old");
    let first = look(&processes, &owner(1));
    assert!(Arc::ptr_eq(&first, &look(&processes, &owner(1))));
    let later = Instant::now() + Duration::from_secs(10);
    let looking = Looking { shared: &processes.shared, now: later, deadline: Instant::now() };
    assert!(!Arc::ptr_eq(&first, &looking.of(&owner(1)).expect("it has one")));
}

#[test]
fn where_many_cgroups_are_all_are_forgotten_and_looked_up_again() {
    let proc = FakeProc::new("many-cgroups");
    let processes = Processes::new(settings(&proc), |id| Some(format!("/u{id}.service").into()));
    for id in 0..=4096 {
        let found = look(&processes, &Owner { cgroup_id: Some(id), kernel: true, ..owner(1) });
        assert_eq!(found.unit.as_deref(), Some(&*format!("u{id}.service")));
    }
    assert_eq!(processes.shared.lock().cgroups_remembered(), 1);
}
