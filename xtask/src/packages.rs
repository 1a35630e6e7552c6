//! The system packages that building, testing and running need: one table, and which rows this machine lacks.
//!
//! It installs nothing; `install` does.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;

/// Oldest clang that compiles the BPF programs.
const OLDEST_CLANG: u32 = 14;
/// Newest versioned name that is looked for; a plain `clang` may be newer.
const NEWEST_CLANG: u32 = 40;

/// What a package is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Compiling the workspace.
    Build,
    /// Pasting the lines that `run` prints.
    Paste,
    /// Checking the format of the C sources.
    Format,
    /// Making namespaces and traffic in the kernel tests.
    Kernel,
    /// Real clients and servers in the end-to-end tests.
    EndToEnd,
    /// Other kernels in virtual machines.
    Matrix,
}

/// How the presence of a package is told.
#[derive(Debug, Clone, Copy)]
enum Probe {
    /// Every one of these programs is found.
    Programs(&'static [&'static str]),
    /// The program is found as NAME or NAME-VERSION, and is at least as new as the oldest clang.
    Clang(&'static str),
    /// The file exists.
    File(&'static str),
    /// Python has all of these modules.
    Python(&'static [&'static str]),
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Package {
    /// What is looked for, in words.
    pub(crate) what: &'static str,
    probe: Probe,
    /// Name on Debian and Ubuntu.
    pub(crate) debian: &'static str,
    /// Name on Fedora.
    pub(crate) fedora: &'static str,
    /// Name on Arch.
    pub(crate) arch: &'static str,
    /// Why it is needed.
    pub(crate) why: &'static str,
    uses: &'static [Use],
}

#[rustfmt::skip]
static PACKAGES: &[Package] = &[
    Package { what: "clang, 14 or newer", probe: Probe::Clang("clang"),
        debian: "clang", fedora: "clang", arch: "clang",
        why: "compiles the BPF programs", uses: &[Use::Build] },
    Package { what: "a C compiler", probe: Probe::Programs(&["cc"]),
        debian: "gcc", fedora: "gcc", arch: "gcc",
        why: "compiles libbpf and links", uses: &[Use::Build] },
    Package { what: "make", probe: Probe::Programs(&["make"]),
        debian: "make", fedora: "make", arch: "make",
        why: "drives the build of libbpf", uses: &[Use::Build] },
    Package { what: "pkg-config", probe: Probe::Programs(&["pkg-config"]),
        debian: "pkg-config", fedora: "pkgconf-pkg-config", arch: "pkgconf",
        why: "finds libelf and zlib for libbpf", uses: &[Use::Build] },
    Package { what: "headers of libelf", probe: Probe::File("/usr/include/gelf.h"),
        debian: "libelf-dev", fedora: "elfutils-libelf-devel", arch: "libelf",
        why: "libbpf reads BPF objects with it", uses: &[Use::Build] },
    Package { what: "headers of zlib", probe: Probe::File("/usr/include/zlib.h"),
        debian: "zlib1g-dev", fedora: "zlib-devel", arch: "zlib",
        why: "libelf unpacks sections with it", uses: &[Use::Build] },
    Package { what: "curl", probe: Probe::Programs(&["curl"]),
        debian: "curl", fedora: "curl", arch: "curl",
        why: "asks the daemon, by hand and in tests", uses: &[Use::Paste, Use::EndToEnd] },
    Package { what: "clang-format, 14 or newer", probe: Probe::Clang("clang-format"),
        debian: "clang-format", fedora: "clang-tools-extra", arch: "clang",
        why: "checks the format of the BPF sources", uses: &[Use::Format] },
    Package { what: "ip and ss", probe: Probe::Programs(&["ip", "ss"]),
        debian: "iproute2", fedora: "iproute", arch: "iproute2",
        why: "makes namespaces and links for tests, and reads the kernel's own counters", uses: &[Use::Kernel, Use::EndToEnd, Use::Matrix] },
    Package { what: "nft", probe: Probe::Programs(&["nft"]),
        debian: "nftables", fedora: "nftables", arch: "nftables",
        why: "drops, rejects, resets and translates what the tests send", uses: &[Use::Kernel, Use::EndToEnd, Use::Matrix] },
    Package { what: "nginx", probe: Probe::Programs(&["nginx"]),
        debian: "nginx-light", fedora: "nginx", arch: "nginx",
        why: "the real server of the end-to-end tests", uses: &[Use::EndToEnd] },
    Package { what: "promtool", probe: Probe::Programs(&["promtool"]),
        debian: "prometheus", fedora: "golang-github-prometheus", arch: "prometheus",
        why: "reads the metrics in the end-to-end tests", uses: &[Use::EndToEnd] },
    Package { what: "dnsmasq", probe: Probe::Programs(&["dnsmasq"]),
        debian: "dnsmasq-base", fedora: "dnsmasq", arch: "dnsmasq",
        why: "the name server of the end-to-end tests", uses: &[Use::EndToEnd] },
    Package { what: "unbound", probe: Probe::Programs(&["unbound"]),
        debian: "unbound", fedora: "unbound", arch: "unbound",
        why: "the resolver of the end-to-end tests", uses: &[Use::EndToEnd] },
    Package { what: "dig", probe: Probe::Programs(&["dig"]),
        debian: "bind9-dnsutils", fedora: "bind-utils", arch: "bind",
        why: "asks name servers in the end-to-end tests", uses: &[Use::EndToEnd] },
    Package { what: "python3 with venv and pip", probe: Probe::Python(&["venv", "ensurepip"]),
        debian: "python3-venv", fedora: "python3", arch: "python",
        why: "makes the environment of the decoders and validators that the end-to-end tests use", uses: &[Use::EndToEnd] },
    Package { what: "qemu for x86-64", probe: Probe::Programs(&["qemu-system-x86_64"]),
        debian: "qemu-system-x86", fedora: "qemu-system-x86-core", arch: "qemu-system-x86",
        why: "boots other kernels, emulated by software", uses: &[Use::Matrix] },
    Package { what: "busybox", probe: Probe::Programs(&["busybox"]),
        debian: "busybox-static", fedora: "busybox", arch: "busybox",
        why: "is everything else that runs in a virtual machine", uses: &[Use::Matrix] },
    Package { what: "cpio", probe: Probe::Programs(&["cpio"]),
        debian: "cpio", fedora: "cpio", arch: "cpio",
        why: "packs what a virtual machine starts with", uses: &[Use::Matrix] },
    Package { what: "strip", probe: Probe::Programs(&["strip"]),
        debian: "binutils", fedora: "binutils", arch: "binutils",
        why: "makes the test binary small for virtual machines", uses: &[Use::Matrix] },
    Package { what: "xz", probe: Probe::Programs(&["xz"]),
        debian: "xz-utils", fedora: "xz", arch: "xz",
        why: "unpacks modules of other kernels", uses: &[Use::Matrix] },
    Package { what: "zstd", probe: Probe::Programs(&["zstd"]),
        debian: "zstd", fedora: "zstd", arch: "zstd",
        why: "unpacks modules of other kernels", uses: &[Use::Matrix] },
    Package { what: "apt-get and dpkg", probe: Probe::Programs(&["apt-get", "apt-cache", "dpkg"]),
        debian: "apt", fedora: "apt", arch: "apt",
        why: "gets kernels from Debian", uses: &[Use::Matrix] },
    Package { what: "keys of Debian's archives", probe: Probe::File("/usr/share/keyrings/debian-archive-keyring.gpg"),
        debian: "debian-archive-keyring", fedora: "debian-keyring", arch: "debian-archive-keyring",
        why: "tells Debian's kernels from others", uses: &[Use::Matrix] },
];

/// The packages that one of `uses` needs and this machine does not have.
pub(crate) fn missing(uses: &[Use]) -> Vec<&'static Package> {
    PACKAGES.iter().filter(|package| package.serves(uses) && !package.probe.finds()).collect()
}

/// The clang that the build would not take by itself: a versioned one beside a plain `clang` that is too old.
pub(crate) fn overlooked_clang() -> Option<PathBuf> {
    if programs::find("clang").is_none() || recent("clang").is_some() {
        return None;
    }
    newest_versioned("clang")
}

/// The program of clang's family to call: NAME where it is new enough, else the newest NAME-VERSION.
pub(crate) fn clang_program(name: &str) -> Option<PathBuf> {
    recent(name).or_else(|| newest_versioned(name))
}

impl Package {
    /// Whether one of `uses` needs it.
    pub(crate) fn serves(&self, uses: &[Use]) -> bool {
        uses.iter().any(|needed| self.uses.contains(needed))
    }
}

impl Probe {
    fn finds(self) -> bool {
        match self {
            Self::Programs(names) => names.iter().all(|name| programs::find(name).is_some()),
            Self::Clang(name) => clang_program(name).is_some(),
            Self::File(path) => Path::new(path).exists(),
            Self::Python(modules) => imports(modules),
        }
    }
}

fn imports(modules: &[&str]) -> bool {
    let Some(python) = programs::find("python3") else { return false };
    let import = format!("import {}", modules.join(", "));
    Command::new(python).args(["-c", &import]).output().is_ok_and(|output| output.status.success())
}

fn recent(name: &str) -> Option<PathBuf> {
    programs::find(name)
        .filter(|program| programs::major_version(program).is_some_and(|version| version >= OLDEST_CLANG))
}

fn newest_versioned(name: &str) -> Option<PathBuf> {
    (OLDEST_CLANG..=NEWEST_CLANG).rev().find_map(|version| programs::find(&format!("{name}-{version}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_or_program_is_missing() {
        assert!(!Probe::File("/usr/include/no-such-header.h").finds());
        assert!(!Probe::Programs(&["sh", "no-such-program"]).finds());
        assert!(!Probe::Clang("no-such-clang").finds());
        assert!(Probe::Programs(&["sh"]).finds());
        assert!(!Probe::Python(&["no_such_module"]).finds());
    }

    #[test]
    fn building_needs_no_server_and_no_formatter() {
        let names: Vec<_> = PACKAGES
            .iter()
            .filter(|package| package.serves(&[Use::Build]))
            .map(|package| package.debian)
            .collect();
        assert_eq!(names, ["clang", "gcc", "make", "pkg-config", "libelf-dev", "zlib1g-dev"]);
    }
}
