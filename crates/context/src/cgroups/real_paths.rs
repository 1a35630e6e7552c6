//! Paths as systemd, the kubelet and the runtimes make them, on hosts with each kind of hierarchy.

use proptest::prelude::*;

use super::{Place, has_v1};

const ID: &str = "9f7a5c0e3b1d2f4a6c8e0b2d4f6a8c0e1f3b5d7a9c0e2f4b6d8a0c1e3f5b7d9a";
const OTHER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const POD: &str = "2f399ae7-38a0-11e9-b7a8-0a0a0a0a0a0a";
const STATIC_POD: &str = "8e1d0a6b3c5f7092a4b6c8d0e2f40517";

fn filled_in(path: &str) -> String {
    let words = [("ID", ID), ("OTHER", OTHER), ("P_D", &POD.replace('-', "_")), ("P-D", POD)];
    words.iter().fold(path.replace("STATIC", STATIC_POD), |path, (word, text)| path.replace(word, text))
}

/// Container, unit and pod; empty where there is none.
fn told(place: &Place) -> [String; 3] {
    let container = place.container.map(|id| id.to_string()).unwrap_or_default();
    let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
    [container, text(&place.unit), text(&place.pod)]
}

#[track_caller]
fn check(path: &str, expected: [&str; 3]) {
    let path = filled_in(path);
    assert_eq!(told(&Place::of_path(&path)), expected.map(filled_in), "{path}");
}

#[test]
fn the_path_of_every_runtime_says_container_unit_and_pod() {
    let besteffort = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podP_D.slice";
    let in_kind = "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice";
    for (path, expected) in [
        ("/sys/fs/cgroup/system.slice/docker-ID.scope", ["ID", "docker-ID.scope", ""]),
        ("/docker/ID", ["ID", "", ""]),
        ("/docker/ID/init", ["ID", "", ""]),
        ("/docker/ID/system.slice/nginx.service", ["ID", "nginx.service", ""]),
        ("/system.slice/docker-ID.scope/kubelet.slice", ["ID", "docker-ID.scope", ""]),
        (&format!("{besteffort}/cri-containerd-ID.scope"), ["ID", "cri-containerd-ID.scope", "P-D"]),
        (&format!("{besteffort}/crio-ID.scope/container"), ["ID", "crio-ID.scope", "P-D"]),
        (&format!("{besteffort}/docker-ID.scope"), ["ID", "docker-ID.scope", "P-D"]),
        ("/kubepods.slice/kubepods-podP_D.slice/crio-ID.scope", ["ID", "crio-ID.scope", "P-D"]),
        ("/kubepods/besteffort/podP-D/ID", ["ID", "", "P-D"]),
        ("/kubepods/burstable/podP-D/crio-ID", ["ID", "", "P-D"]),
        ("/kubepods/podSTATIC/ID", ["ID", "", "STATIC"]),
        ("/kubepods-burstable-podP_D.slice:cri-containerd:ID", ["ID", "", "P-D"]),
        (
            "/system.slice/containerd.service/kubepods-burstable-podP_D.slice:cri-containerd:ID",
            ["ID", "containerd.service", "P-D"],
        ),
        ("/../../kubepods/besteffort/podP-D/ID", ["ID", "", "P-D"]),
        (
            &format!(
                "/docker/OTHER{in_kind}/kubelet-kubepods-burstable-podP_D.slice/cri-containerd-ID.scope"
            ),
            ["ID", "cri-containerd-ID.scope", "P-D"],
        ),
        ("/docker/OTHER/kubelet/kubepods/burstable/podP-D/ID", ["ID", "", "P-D"]),
        ("/system.slice:docker:ID", ["ID", "", ""]),
        ("/machine.slice/libpod-ID.scope", ["ID", "libpod-ID.scope", ""]),
        ("/machine.slice/machine-libpod_pod_OTHER.slice/libpod-ID.scope", ["ID", "libpod-ID.scope", ""]),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            ["ID", "libpod-ID.scope", ""],
        ),
        ("/machine.slice/libpod-payload-ID", ["ID", "", ""]),
        ("/ecs/0f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c/ID", ["ID", "", ""]),
        ("/docker/OTHER/docker/ID", ["ID", "", ""]),
        ("/system.slice/docker-ID.scope (deleted)", ["ID", "docker-ID.scope", ""]),
    ] {
        check(path, expected);
    }
}

#[test]
fn the_innermost_unit_is_told_and_a_slice_is_none() {
    for (path, unit) in [
        ("/init.scope", "init.scope"),
        ("/system.slice/ssh.service", "ssh.service"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
        ("/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main.service"),
        ("/system.slice/dbus.socket", "dbus.socket"),
        ("/system.slice/var-lib-data\\x2dset.mount", "var-lib-data\\x2dset.mount"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-12.scope",
            "app-firefox-12.scope",
        ),
        ("/system.slice/docker.service/child", "docker.service"),
        ("/system.slice/_cpu.service", "cpu.service"),
        ("/user.slice/user-1000.slice", ""),
        ("/system.slice/.service", ""),
        ("/a b.service", ""),
        ("/process_api/39a6f132570ccea6ae450820941a3e47", ""),
        ("/", ""),
        ("", ""),
    ] {
        check(path, ["", unit, ""]);
    }
    let long = |length: usize| format!("/{}.service", "u".repeat(length - ".service".len()));
    assert!(Place::of_path(&long(255)).unit.is_some());
    assert_eq!(Place::of_path(&long(256)).unit, None);
}

#[test]
fn what_only_looks_like_a_container_or_a_pod_is_none() {
    for path in [
        "/docker/IDID",
        "/docker-ID.scope.d",
        "/machine.slice/libpod-conmon-ID",
        "/besteffort/podP-D",
        "/kubepods/besteffort/podP-D0",
        "/kubepods/podSTATICa",
        "/kubepods.slice/kubepods-burstable.slice",
        "/system.slice/my-podP_D.slice",
        "/kubepods/pod2f399ae7-38a0-11e9-b7a8-0A0a0a0a0a0a",
    ] {
        check(path, ["", "", ""]);
    }
    check("/kubepods.slice/crio-conmon-ID.scope", ["", "crio-conmon-ID.scope", ""]);
}

/// Each with its lines in the order of the kernel.
#[test]
fn a_process_is_placed_by_its_hierarchies_of_both_versions() {
    for (cgroups, expected) in [
        // Version 2 alone.
        ("0::/system.slice/docker-ID.scope\n", ["ID", "docker-ID.scope", ""]),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", ["", "session-3.scope", ""]),
        // Version 1 alone: Docker with the driver cgroupfs, and a pod of containerd.
        ("11:memory:/docker/ID\n10:cpu,cpuacct:/docker/ID\n1:name=systemd:/docker/ID\n", ["ID", "", ""]),
        (
            "4:memory:/kubepods/burstable/podP-D/ID\n1:name=systemd:/kubepods/burstable/podP-D/ID\n",
            ["ID", "", "P-D"],
        ),
        // Hybrid: the units are in both, the containers only where there are controllers.
        (
            "9:pids:/system.slice/ssh.service\n1:name=systemd:/system.slice/ssh.service\n0::/system.slice/ssh.service\n",
            ["", "ssh.service", ""],
        ),
        (
            "4:memory:/docker/ID\n1:name=systemd:/system.slice/app.service\n0::/system.slice/containerd.service\n",
            ["ID", "app.service", ""],
        ),
        (
            "4:memory:/docker/ID\n1:name=systemd:/\n0::/system.slice/containerd.service\n",
            ["ID", "containerd.service", ""],
        ),
        // Only a controller: its tree need not be one of units.
        ("4:memory:/odd.service\n0::/\n", ["", "", ""]),
        ("1:name=a:b:/docker/ID\n", ["ID", "", ""]),
        ("", ["", "", ""]),
        ("0::", ["", "", ""]),
    ] {
        let cgroups = filled_in(cgroups);
        assert_eq!(told(&Place::of_process(&cgroups)), expected.map(filled_in), "{cgroups}");
    }
}

#[test]
fn version_1_is_known_by_its_lines() {
    assert!(has_v1("1:name=systemd:/\n0::/\n") && has_v1("4:memory:/\n"));
    assert!(!has_v1("0::/\n") && !has_v1(""));
}

proptest! {
    #[test]
    fn no_path_is_too_odd(path in r"(/|kubepods|-pod|\.slice|pod|:|_|-|\.scope|\.service|[0-9a-f]{32}|\PC){0,24}") {
        let place = Place::of_path(&path);
        if let Some(unit) = place.unit {
            prop_assert!(path.contains(&*unit) && unit.len() <= 255);
        }
        prop_assert!(place.pod.is_none_or(|uid| uid.len() == 36 || uid.len() == 32));
    }

    #[test]
    fn no_bytes_in_place_of_cgroups_are_too_odd(bytes in any::<Vec<u8>>()) {
        let text = String::from_utf8_lossy(&bytes);
        let _ = (Place::of_process(&text), has_v1(&text));
    }
}
