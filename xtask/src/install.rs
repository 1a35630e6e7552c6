//! Getting missing system packages: through apt on Debian and its relatives, by telling their names elsewhere.
//!
//! What is needed is the table in `packages`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::packages::{self, Package, Use};
use crate::programs;
use crate::stop::{Stop, failed};
use crate::superuser;

/// Packages that would start a server, and its name. It is wanted as a program for tests.
const SERVERS: [(&str, &str); 3] =
    [("nginx-light", "nginx"), ("prometheus", "prometheus"), ("unbound", "unbound")];

/// The families of distributions whose package names are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Debian,
    Fedora,
    Arch,
    Other,
}

/// Makes sure that everything for `uses` is installed, or says what is missing and fails.
pub(crate) fn provide(uses: &[Use]) -> Result<(), Stop> {
    let missing = packages::missing(uses);
    if missing.is_empty() {
        return Ok(());
    }
    println!("This machine lacks:");
    for package in &missing {
        println!("  {:28} {}", package.what, package.why);
    }
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let family = Family::of(&release);
    let names = family.names(&missing);
    if family != Family::Debian || programs::find("apt-get").is_none() {
        let source = match family {
            Family::Debian | Family::Other => "named as in Debian",
            Family::Fedora => "with dnf install",
            Family::Arch => "with pacman -S",
        };
        return Err(Stop::Failed(format!("install these packages, {source}: {}", names.join(" "))));
    }
    if !superuser::is_within_reach() {
        return Err(Stop::Failed(format!(
            "this needs root and there is no sudo; as root: apt-get update && apt-get install -y --no-install-recommends {}",
            names.join(" ")
        )));
    }
    install_with_apt(&names)?;
    let still: Vec<_> = packages::missing(uses).iter().map(|package| package.what).collect();
    if still.is_empty() {
        return Ok(());
    }
    Err(Stop::Failed(format!("apt-get succeeded and this is still missing: {}", still.join("; "))))
}

fn install_with_apt(names: &[&str]) -> Result<(), Stop> {
    apt(&["update", "-qq"])?;
    let install = [&["install", "-qq", "--no-install-recommends", "-o=Dpkg::Use-Pty=0"][..], names].concat();
    let servers = SERVERS.iter().filter(|(package, _)| names.contains(package)).map(|(_, server)| *server);
    let servers: Vec<&str> = servers.collect();
    // Its package would start it on its port, now and at each boot.
    let systemd = Path::new("/run/systemd/system").exists();
    if systemd {
        each(&servers, "systemctl", &["mask", "--runtime"], &[])?;
    }
    let outcome = apt(&install);
    if systemd {
        each(&servers, "systemctl", &["unmask", "--runtime"], &[])?;
    }
    outcome?;
    if systemd {
        each(&servers, "systemctl", &["disable"], &[])
    } else {
        each(&servers, "update-rc.d", &[], &["disable"])
    }
}

/// Calls the program for each server.
fn each(servers: &[&str], program: &str, before: &[&str], after: &[&str]) -> Result<(), Stop> {
    servers.iter().try_for_each(|&server| execute(program, &[before, &[server], after].concat(), &[]))
}

fn apt(arguments: &[&str]) -> Result<(), Stop> {
    // Where systemd does not run, packages look at the runlevel, and start nothing in the one for maintenance.
    let variables = [("DEBIAN_FRONTEND", "noninteractive"), ("RUNLEVEL", "1")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    execute("apt-get", arguments, &variables)
}

fn execute(program: &str, arguments: &[&str], variables: &[(String, String)]) -> Result<(), Stop> {
    let line = format!("{program} {}", arguments.join(" "));
    println!("{}{line}", if superuser::is_root() { "" } else { "sudo " });
    let status = superuser::command(program, variables).args(arguments).status().map_err(failed(&line))?;
    if status.success() { Ok(()) } else { Err(Stop::Failed(format!("{line}: {status}"))) }
}

impl Family {
    /// Reads ID and ID_LIKE of an `os-release` file.
    fn of(release: &str) -> Self {
        let words: BTreeSet<&str> = release
            .lines()
            .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
            .flat_map(|value| value.trim().trim_matches(['"', '\'']).split_whitespace())
            .collect();
        let any = |names: &[&str]| names.iter().any(|name| words.contains(name));
        if any(&["debian", "ubuntu"]) {
            Self::Debian
        } else if any(&["fedora", "rhel", "centos"]) {
            Self::Fedora
        } else if any(&["arch"]) {
            Self::Arch
        } else {
            Self::Other
        }
    }

    /// The names of the packages here, each once.
    fn names(self, missing: &[&Package]) -> Vec<&'static str> {
        let names: BTreeSet<&'static str> = missing
            .iter()
            .map(|package| match self {
                Self::Debian | Self::Other => package.debian,
                Self::Fedora => package.fedora,
                Self::Arch => package.arch,
            })
            .collect();
        names.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relatives_of_a_distribution_count_as_it() {
        assert_eq!(Family::of("NAME=\"Debian GNU/Linux\"\nID=debian\n"), Family::Debian);
        assert_eq!(Family::of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Family::Debian);
        assert_eq!(Family::of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Family::Fedora);
        assert_eq!(Family::of("ID=arch\n"), Family::Arch);
        assert_eq!(Family::of("VERSION_ID=debian\nID=nixos\n"), Family::Other);
        assert_eq!(Family::of(""), Family::Other);
    }
}
