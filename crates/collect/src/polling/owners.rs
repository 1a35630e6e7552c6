//! Which process holds a socket: the open files of all processes, by the inode number of the socket.
//!
//! A search costs about a microsecond for each open file of the host. Of several holders the one with the lowest process id
//! is taken. Kept is what the last search found.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use connections::{Command, KernelTime, Owner, OwnerSource};

use crate::clock::kernel_now;

/// What is kept of at most so many sockets; 96 bytes each.
const SOCKETS_MAX: usize = 262_144;

/// Nanoseconds of a tick in which /proc tells when a process began: `USER_HZ` is 100 everywhere.
const TICK_NS: u64 = 10_000_000;

/// Owners by the inode of their sockets.
#[derive(Debug, Default)]
pub(super) struct Owners {
    by_inode: HashMap<u32, Owner>,
    /// Processes whose files may not be looked at, in the last search.
    pub(super) refused: u64,
    /// When the last search began.
    pub(super) searched_at: KernelTime,
}

impl Owners {
    /// The owner as of the last search.
    pub(super) fn of(&self, inode: u32) -> Option<Owner> {
        self.by_inode.get(&inode).copied()
    }

    /// Looks through the open files of all processes anew.
    pub(super) fn search(&mut self) {
        self.searched_at = kernel_now();
        self.by_inode.clear();
        self.refused = 0;
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let mut pids: Vec<u32> = entries
            .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
            .collect();
        pids.sort_unstable();
        for pid in pids {
            match sockets_of(pid) {
                Ok(inodes) if inodes.is_empty() => {}
                Ok(inodes) => self.note(pid, &inodes),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.refused += 1,
                // It has ended.
                Err(_) => {}
            }
        }
    }

    fn note(&mut self, pid: u32, inodes: &[u32]) {
        let Some(owner) = owner(pid) else { return };
        for inode in inodes {
            if self.by_inode.len() < SOCKETS_MAX {
                self.by_inode.entry(*inode).or_insert(owner);
            }
        }
    }
}

fn sockets_of(pid: u32) -> io::Result<Vec<u32>> {
    let mut inodes = Vec::new();
    for file in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let target = match fs::read_link(file?.path()) {
            Ok(target) => target,
            // The list of files is open to who has the same user, and what they are is not.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => continue,
        };
        let name = target.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']'));
        inodes.extend(name.and_then(|number| number.parse::<u32>().ok()));
    }
    Ok(inodes)
}

/// The process as /proc tells it.
fn owner(pid: u32) -> Option<Owner> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (command, started_at_boot_ns) = from_stat(&stat)?;
    Some(Owner {
        pid,
        tid: pid,
        uid: fs::metadata(format!("/proc/{pid}")).ok()?.uid(),
        command,
        cgroup_id: None,
        container: None,
        started_at_boot_ns,
        kernel: false,
        source: OwnerSource::Descriptor,
    })
}

/// Name and start from a line of /proc/PID/stat: the name is in parentheses, and may have any in it.
fn from_stat(stat: &str) -> Option<(Command, u64)> {
    const START_BEHIND_NAME: usize = 19;
    let (front, behind) = stat.rsplit_once(')')?;
    let (_, name) = front.split_once('(')?;
    let mut command = Command::default();
    for (to, from) in command.0.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    let ticks: u64 = behind.split_whitespace().nth(START_BEHIND_NAME)?.parse().ok()?;
    Some((command, ticks.saturating_mul(TICK_NS)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_move_the_start() {
        let stat = format!("7 (a) b) S {} 4711 0 0", ["0"; 18].join(" "));
        let (command, started) = from_stat(&stat).expect("it is a line of stat");
        assert_eq!((command.text().as_ref(), started), ("a) b", 47_110_000_000));
        assert_eq!(from_stat("7 (cut) S 1 2"), None);
    }

    #[test]
    fn the_own_sockets_are_found() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let inode = rustix::fs::fstat(socket.as_fd()).expect("it is open").st_ino;
        let mut owners = Owners::default();
        owners.search();
        let owner = owners.of(u32::try_from(inode).expect("it has 32 bits")).expect("it is found");
        assert_eq!((owner.pid, owner.source), (std::process::id(), OwnerSource::Descriptor));
        assert_eq!(owners.of(0), None);
    }
}
