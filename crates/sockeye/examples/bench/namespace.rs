//! The network namespace of the measurements: loopback, and no sockets but theirs.
//!
//! It has a name, so that the tracer finds it although no process lives in it. A bench that is killed leaves
//! it behind, and the next one removes it.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Far more than one run leaves behind: a table that fills half-way would change what a close costs.
const TIME_WAIT_MAX: u32 = 4_000_000;

const DIRECTORY: &str = "/run/netns";
/// The number of the bench's process follows.
const PREFIX: &str = "sockeye-bench-";

/// A network namespace of its own, with loopback up.
pub struct NetNs {
    name: String,
}

impl NetNs {
    pub fn new() -> anyhow::Result<Self> {
        remove_orphans();
        let name = format!("{PREFIX}{}", std::process::id());
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"])?;
        namespace.inside(|| {
            std::fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", TIME_WAIT_MAX.to_string())
                .context("cannot raise the limit of connections in TIME_WAIT")
        })?;
        Ok(namespace)
    }

    /// Inode number, as the tracer names it.
    pub fn inode(&self) -> anyhow::Result<u32> {
        Ok(u32::try_from(std::fs::metadata(self.path())?.ino())?)
    }

    /// Runs `work` on a thread of its own inside; processes that it starts live there too.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let file = File::open(self.path())?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .context("cannot enter the namespace")?;
                work()
            });
            thread.join().map_err(|_| anyhow!("the thread in the namespace panicked"))?
        })
    }

    fn path(&self) -> String {
        format!("{DIRECTORY}/{}", self.name)
    }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.name]);
    }
}

/// Removes the namespaces of benches that do not run any more.
fn remove_orphans() {
    for entry in std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let orphan = |process: &str| !std::path::Path::new("/proc").join(process).exists();
        if name.strip_prefix(PREFIX).is_some_and(orphan) {
            // What cannot be removed does no harm.
            let _ = ip(&["netns", "del", &name]);
        }
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot start ip (iproute2)")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {error}", arguments.join(" "));
    Ok(())
}
