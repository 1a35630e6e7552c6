//! Who a process at the other end of a unix socket was when it connected, as the kernel has kept it. What
//! follows from that is the business of `access`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::GetSockOpt;
use nix::sys::socket::sockopt::{GetStruct, PeerCredentials};

/// The user, and the groups, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    /// The primary group, and what more the process had.
    pub(crate) gids: Vec<u32>,
}

impl Credentials {
    /// Those of the process that connected this socket. Its supplementary groups are missing where it has more
    /// than [`GROUPS_MAX`], and where the kernel does not tell them.
    ///
    /// # Errors
    /// When the kernel does not say who it is.
    pub(crate) fn of(socket: &impl AsFd) -> io::Result<Self> {
        // Where this process has a pid namespace of its own, the other one may have no pid in it: that is no error here.
        let peer = PeerCredentials.get(socket)?;
        let (uid, mut gids) = (peer.uid(), vec![peer.gid()]);
        match supplementary(socket) {
            Ok(more) => gids.extend(more),
            Err(Errno::ERANGE) => {
                tracing::warn!(
                    uid,
                    "a user of the api has more than {GROUPS_MAX} groups: only the first counts"
                );
            }
            Err(error) => tracing::warn!(uid, %error, "the supplementary groups of a user are not known"),
        }
        Ok(Self { uid, gids })
    }
}

/// Supplementary groups that can be read.
const GROUPS_MAX: usize = 255;

type ReadGroups = fn(BorrowedFd) -> Result<Vec<u32>, Errno>;

/// Reads the socket option `SO_PEERGROUPS` (since Linux 4.13), all supplementary groups, into room for so many as
/// the place in this table says; `ERANGE` where there are more. Safe code can read it only into exactly as much
/// room as it fills.
static READ_GROUPS: [[ReadGroups; 16]; (GROUPS_MAX + 1) / 16] = {
    macro_rules! read {
        ($count:expr) => {{
            #[derive(Clone, Copy)]
            struct PeerGroups;
            type Groups = [u32; $count];
            nix::getsockopt_impl!(
                PeerGroups,
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                Groups,
                GetStruct<Groups>
            );
            |socket| PeerGroups.get(&socket).map(Vec::from)
        }};
    }
    macro_rules! sixteen {
        ($first:expr; $($more:literal)*) => { [$(read!($first + $more)),*] };
    }
    macro_rules! each_sixteen {
        ($($sixteens:literal)*) => { [$(sixteen!(16 * $sixteens; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)),*] };
    }
    each_sixteen!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
};

/// All supplementary groups. Each try takes the kernel 0.1 µs.
fn supplementary(socket: &impl AsFd) -> Result<Vec<u32>, Errno> {
    let tries = READ_GROUPS.iter().flatten().map(|read| read(socket.as_fd()));
    // Room for more than there are would be taken for a fault of the kernel, so the smallest comes first.
    tries.into_iter().find(|read| *read != Err(Errno::ERANGE)).unwrap_or(Err(Errno::ERANGE))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::process::{Gid, getgid, getuid};
    use rustix::thread::set_thread_groups;

    use super::*;

    /// What the other end of a socket sees of a thread with these supplementary groups; nothing where they cannot
    /// be set.
    fn seen_with(groups: Vec<u32>) -> Option<Credentials> {
        let connect = move || {
            let groups: Vec<Gid> = groups.into_iter().map(Gid::from_raw).collect();
            set_thread_groups(&groups).ok()?;
            let (ours, _theirs) = UnixStream::pair().expect("a socket pair");
            Some(Credentials::of(&ours).expect("the kernel knows who made it"))
        };
        std::thread::spawn(connect).join().expect("it does not panic")
    }

    #[test]
    fn all_groups_are_seen_up_to_the_limit_and_beyond_it_the_primary_one() {
        let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
        for count in [0, 1, 2, 15, 16, 17, 254, 255, 256, 1000] {
            let groups: Vec<u32> = (0..count).map(|number| 100_000 + number).collect();
            // Only root may choose its groups.
            let Some(seen) = seen_with(groups.clone()) else { return };
            let more = if count <= 255 { groups } else { Vec::new() };
            assert_eq!(seen, Credentials { uid, gids: [vec![gid], more].concat() }, "{count}");
        }
    }
}
