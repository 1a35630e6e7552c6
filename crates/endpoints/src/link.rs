//! One connection to the API, as those see it who do not read or write it: who is at the other end, and how
//! much of what was written has been read there.
//!
//! Reading and writing is the business of `link_io`, what follows from it that of `delivery`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deltas::Peer;
use nix::libc;
use nix::sys::socket::GetSockOpt;
use rustix::net::Shutdown;
use rustix::net::sockopt::socket_error;
use tokio::net::UnixStream;
use tokio::sync::{Notify, OwnedMutexGuard, oneshot};

/// A connection to the API.
#[derive(Debug)]
pub(crate) struct Link {
    peer: Peer,
    /// A descriptor of our own: the fate of an answer is still asked for when its connection has ended.
    socket: OwnedFd,
    state: Mutex<LinkState>,
    turn: Arc<tokio::sync::Mutex<()>>,
    nudged: Notify,
}

#[derive(Debug, Default)]
pub(crate) struct LinkState {
    /// An operation on the socket failed. The kernel tells an error only once, to whoever comes first, so
    /// it is noted here under the same lock as the operation.
    pub(crate) failed: bool,
    /// Whom to tell that everything written so far is in the socket.
    pub(crate) flushed: Option<oneshot::Sender<()>>,
}

/// How far what was written has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The other end has read everything.
    Arrived,
    /// Some of it waits to be read.
    OnItsWay,
    /// The other end is gone, and has not read everything.
    Lost,
}

impl Link {
    /// The other side of a connection that was just accepted.
    ///
    /// # Errors
    /// When the kernel does not say who it is, or when there is no descriptor left.
    pub(crate) fn new(stream: &UnixStream) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            peer: Peer::User(stream.peer_cred()?.uid()),
            socket: stream.as_fd().try_clone_to_owned()?,
            state: Mutex::default(),
            turn: Arc::default(),
            nudged: Notify::new(),
        }))
    }

    /// Who is at the other end, as of its `connect`.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// What reading and writing share with the question how far it came.
    pub(crate) fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells `flushed` when everything that is written until then is in the socket. When that does not come
    /// to pass, `flushed` is dropped.
    pub(crate) fn when_flushed(&self, flushed: oneshot::Sender<()>) {
        self.state().flushed = Some(flushed);
    }

    /// How far it has come what was written before.
    pub(crate) fn progress(&self) -> Progress {
        let mut state = self.state();
        // A unix socket whose other end closes without having read everything gets its error before its
        // queue is emptied, so this order cannot mistake one for the other.
        let unread = self.unread();
        let in_order = socket_error(&self.socket).is_ok_and(|error| error.is_ok());
        state.failed |= unread.is_err() || !in_order;
        match unread {
            _ if state.failed => Progress::Lost,
            Ok(false) => Progress::Arrived,
            _ => Progress::OnItsWay,
        }
    }

    /// Waits for the answers to earlier requests of this connection to meet their fate, and keeps later
    /// requests waiting as long as the guard lives: what is in the socket is then of one answer only.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Wakes whoever waits for progress: a further request shows that there is some.
    pub(crate) fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Waits for the next nudge.
    pub(crate) async fn nudged(&self) {
        self.nudged.notified().await;
    }

    /// Ends both directions. What is in the queue can still be read by the other end.
    pub(crate) fn shut_down(&self) {
        // Fails only when the other end is gone already.
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Both);
        self.state().flushed = None;
    }

    /// True when something written has not been read (unix) or acknowledged (TCP). This is what `SIOCOUTQ`
    /// answers, by a way that needs no unsafe code.
    fn unread(&self) -> io::Result<bool> {
        let memory = MemoryInfo.get(&self.socket)?;
        Ok(memory[SEND_MEMORY] != 0 || memory[SEND_QUEUE] != 0)
    }
}

/// The socket option `SO_MEMINFO` (since Linux 4.12): `sk_meminfo` of the kernel, in bytes.
#[derive(Debug, Clone, Copy)]
struct MemoryInfo;

/// Memory of sent data that nobody has taken: `SK_MEMINFO_WMEM_ALLOC`.
const SEND_MEMORY: usize = 2;
/// Memory of data that TCP may have to send again: `SK_MEMINFO_WMEM_QUEUED`.
const SEND_QUEUE: usize = 5;

nix::getsockopt_impl!(
    MemoryInfo,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    [u32; 9],
    nix::sys::socket::sockopt::GetStruct<[u32; 9]>
);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn written() -> (Arc<Link>, UnixStream, UnixStream) {
        let (mut ours, theirs) = UnixStream::pair().expect("a socket pair");
        let link = Link::new(&ours).expect("a link");
        assert_eq!(link.progress(), Progress::Arrived);
        ours.write_all(b"answer").await.expect("there is room");
        (link, ours, theirs)
    }

    #[tokio::test]
    async fn an_answer_has_arrived_when_its_last_byte_is_read() {
        let (link, _ours, mut theirs) = written().await;
        assert_eq!(link.progress(), Progress::OnItsWay);
        theirs.read_exact(&mut [0; 5]).await.expect("five bytes");
        assert_eq!(link.progress(), Progress::OnItsWay);
        theirs.read_exact(&mut [0; 1]).await.expect("the last byte");
        assert_eq!(link.progress(), Progress::Arrived);
        drop(theirs);
        assert_eq!(link.progress(), Progress::Arrived, "closing after reading everything loses nothing");
    }

    #[tokio::test]
    async fn an_answer_is_lost_when_the_other_end_closes_without_reading() {
        let (link, ours, mut theirs) = written().await;
        theirs.read_exact(&mut [0; 5]).await.expect("five bytes");
        link.shut_down();
        drop(ours);
        assert_eq!(link.progress(), Progress::OnItsWay, "our own closing takes nothing back");
        drop(theirs);
        assert_eq!(link.progress(), Progress::Lost);
        assert_eq!(link.progress(), Progress::Lost, "and stays so");
    }
}
