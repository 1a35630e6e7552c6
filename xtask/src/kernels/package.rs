//! Getting a kernel: the package of a Debian suite, taken apart into what a machine boots with.
//!
//! It goes through an apt of its own; that of the host stays as it is, and root is not needed. Booting is for `machine`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Kernel;
use crate::programs::output;

/// Where packages are, the second for suites that have left the first.
const MIRRORS: [&str; 2] = ["http://deb.debian.org", "http://archive.debian.org"];
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Depends on the newest kernel of its suite in the flavour for virtual machines.
const META: &str = "linux-image-cloud-amd64";
/// The directories of modules that networking, and what the tests need beside it, can load.
const MODULES: [&str; 10] = [
    "net",
    "lib",
    "crypto",
    "arch/x86",
    "drivers/net",
    "fs/nfs",
    "fs/nfs_common",
    "fs/lockd",
    "fs/netfs",
    "fs/fscache",
];

/// A kernel on this machine.
#[derive(Debug)]
pub(crate) struct Image {
    /// The directory that holds it, and what comes of its runs.
    pub(crate) place: PathBuf,
}

impl Image {
    /// What is booted.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.place.join("vmlinuz")
    }

    /// The tree that holds `lib/modules/RELEASE`.
    pub(crate) fn modules(&self) -> PathBuf {
        self.place.join("modules")
    }
}

/// The kernel, from `store` if it is there, else from Debian.
///
/// # Errors
/// Why it cannot be had, for a person.
pub(crate) fn provide(kernel: &Kernel, store: &Path) -> Result<Image, String> {
    let image = Image { place: store.join(kernel.name) };
    if image.kernel().exists() {
        return Ok(image);
    }
    let new = store.join(format!("{}.new", kernel.name));
    remove(&new)?;
    let packages = download(kernel, &new.join("apt"))?;
    let tree = new.join("tree");
    for package in packages {
        output(Command::new("dpkg").arg("-x").arg(package).arg(&tree))?;
    }
    let image_of = Image { place: new.join("image") };
    take_apart(&tree, &image_of)?;
    remove(&image.place)?;
    std::fs::rename(&image_of.place, &image.place).map_err(|error| format!("moving {new:?}: {error}"))?;
    remove(&new)?;
    Ok(image)
}

/// Downloads the packages of the newest kernel of the suites into `work`.
fn download(kernel: &Kernel, work: &Path) -> Result<Vec<PathBuf>, String> {
    let mut reasons = Vec::new();
    for mirror in MIRRORS {
        match download_from(mirror, kernel, work) {
            Ok(packages) => return Ok(packages),
            Err(reason) => reasons.push(format!("{mirror}: {reason}")),
        }
    }
    Err(reasons.join("; "))
}

fn download_from(mirror: &str, kernel: &Kernel, work: &Path) -> Result<Vec<PathBuf>, String> {
    let apt = Apt::new(mirror, kernel.suites, work)?;
    output(apt.command("apt-get").args(["-qq", "update"]))?;
    let all = output(apt.command("apt-cache").args(["depends", "--recurse", "--important", META]))?;
    let names: Vec<&str> = all.lines().filter(|line| is_of_a_kernel(line)).collect();
    let release = format!("linux-image-{}.", kernel.name);
    if !names.iter().any(|name| name.starts_with(&release)) {
        return Err(format!("no Linux {} but: {}", kernel.name, names.join(" ")));
    }
    output(apt.command("apt-get").args(["-q", "download"]).args(names).current_dir(work))?;
    let files = std::fs::read_dir(work).map_err(|error| format!("reading {work:?}: {error}"))?;
    let files = files.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(files.filter(|file| file.extension().is_some_and(|end| end == "deb")).collect())
}

/// Newer suites cut a kernel into several packages.
fn is_of_a_kernel(name: &str) -> bool {
    let parts = ["linux-image-", "linux-binary-", "linux-modules-", "linux-base-"];
    let version = parts.iter().find_map(|part| name.strip_prefix(part));
    version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
        && name.ends_with("-cloud-amd64")
}

/// A package manager with sources, lists and cache in a directory of its own, which knows no installed package.
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn new(mirror: &str, suites: &[(&str, &str)], work: &Path) -> Result<Self, String> {
        let failed = |error| format!("writing into {work:?}: {error}");
        for directory in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(work.join(directory)).map_err(failed)?;
        }
        let line = |(archive, suite): &(&str, &str)| {
            format!("deb [signed-by={KEYS}] {mirror}/{archive} {suite} main\n")
        };
        std::fs::write(work.join("sources.list"), suites.iter().map(line).collect::<String>())
            .map_err(failed)?;
        std::fs::write(work.join("status"), "").map_err(failed)?;
        let place = |option: &str, name: &str| format!("{option}={}", work.join(name).display());
        let options = vec![
            place("Dir::Etc::sourcelist", "sources.list"),
            "Dir::Etc::sourceparts=-".to_owned(),
            place("Dir::State::lists", "lists"),
            place("Dir::State::status", "status"),
            place("Dir::Cache", "cache"),
            "APT::Architecture=amd64".to_owned(),
            "APT::Architectures=amd64".to_owned(),
            "APT::Sandbox::User=root".to_owned(),
            "APT::Update::Error-Mode=any".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=3".to_owned(),
            // A mirror that lags, and a suite that nobody signs again, hold kernels that are as good for tests.
            "Acquire::Check-Valid-Until=false".to_owned(),
        ];
        Ok(Self { options })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(self.options.iter().flat_map(|option| ["-o", option]));
        command
    }
}

/// Of the unpacked packages the kernel and those modules that tests can need, with what these depend on.
fn take_apart(tree: &Path, image: &Image) -> Result<(), String> {
    let find = |arguments: &[&str]| output(Command::new("find").arg(tree).args(arguments));
    let modules = find(&["-type", "d", "-path", "*/lib/modules/*-cloud-amd64"])?;
    let modules = PathBuf::from(modules.lines().next().ok_or("the package holds no modules")?);
    let release = modules.file_name().and_then(|name| name.to_str()).ok_or("modules without a release")?;
    let (by_name, by_place) = (format!("vmlinuz-{release}"), format!("*/{release}/vmlinuz"));
    let kernel = find(&["-name", &by_name, "-o", "-path", &by_place])?;
    let kernel = kernel.lines().next().ok_or("the package holds no kernel")?;
    let target = image.modules().join("lib/modules").join(release);
    std::fs::create_dir_all(target.join("kernel")).map_err(|error| format!("making {target:?}: {error}"))?;
    // No machine here has such hardware.
    remove(&modules.join("kernel/drivers/net/ethernet"))?;
    let present = MODULES.into_iter().filter(|part| modules.join("kernel").join(part).exists());
    let mut copy = Command::new("cp");
    copy.current_dir(modules.join("kernel")).args(["-a", "--parents"]).args(present);
    output(copy.arg(target.join("kernel")))?;
    let lists = ["modules.order", "modules.builtin", "modules.builtin.modinfo"];
    output(Command::new("cp").args(lists.map(|list| modules.join(list))).arg(&target))?;
    for (ending, program) in [("*.ko.xz", "xz"), ("*.ko.zst", "zstd")] {
        let execute = [program, "--decompress", "--quiet", "{}", "+"];
        output(Command::new("find").arg(&target).args(["-name", ending, "-exec"]).args(execute))?;
    }
    output(Command::new("busybox").args(["depmod", "-b"]).arg(image.modules()).arg(release))?;
    std::fs::copy(kernel, image.kernel()).map_err(|error| format!("copying {kernel}: {error}"))?;
    Ok(())
}

fn remove(directory: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("removing {directory:?}: {error}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_of_a_kernel_of_the_flavour_are_taken() {
        for name in ["linux-image-5.10.0-32-cloud-amd64", "linux-binary-7.2-cloud-amd64"] {
            assert!(is_of_a_kernel(name), "{name}");
        }
        for name in ["linux-image-cloud-amd64", "linux-image-6.1.0-50-amd64", "linux-base", "  Depends: kmod"]
        {
            assert!(!is_of_a_kernel(name), "{name}");
        }
    }
}
