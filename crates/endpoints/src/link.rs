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
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, OwnedMutexGuard, oneshot};

/// A connection to the API.
#[derive(Debug)]
pub(crate) struct Link {
    peer: Peer,
    /// A descriptor of our own: the fate of an answer is still asked for when its connection has ended.
    socket: OwnedFd,
    /// The place in [`MemoryInfo`] of what the other end has not taken.
    not_taken: usize,
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
    /// The other end has read everything (unix), or its kernel has acknowledged everything (TCP).
    Arrived,
    /// Some of it waits for that.
    OnItsWay,
    /// The other end is gone, and has not taken everything.
    Lost,
}

impl Link {
    /// The other side of a connection that was just accepted, as the user that it comes from.
    ///
    /// # Errors
    /// When the kernel does not say who it is, or when there is no descriptor left.
    #[cfg(test)]
    pub(crate) fn new(stream: &UnixStream) -> io::Result<Arc<Self>> {
        Self::over_unix(stream, Peer::User(stream.peer_cred()?.uid()))
    }

    /// The other side of a connection to the unix socket.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub(crate) fn over_unix(stream: &UnixStream, peer: Peer) -> io::Result<Arc<Self>> {
        Self::over(stream, SENT_AND_UNREAD, peer)
    }

    /// The other side of a connection over TCP.
    ///
    /// # Errors
    /// When there is no descriptor left.
    pub(crate) fn over_tcp(stream: &TcpStream, peer: Peer) -> io::Result<Arc<Self>> {
        Self::over(stream, SENT_AND_UNACKNOWLEDGED, peer)
    }

    fn over(stream: &impl AsFd, not_taken: usize, peer: Peer) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            peer,
            socket: stream.as_fd().try_clone_to_owned()?,
            not_taken,
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
        // A unix socket whose other end closes without having read everything, and a TCP socket that is reset,
        // get their error before their queue is emptied, so this order cannot mistake one for the other.
        let waiting = self.waiting();
        let in_order = socket_error(&self.socket).is_ok_and(|error| error.is_ok());
        state.failed |= waiting.is_err() || !in_order;
        match waiting {
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
    fn waiting(&self) -> io::Result<bool> {
        let memory = MemoryInfo.get(&self.socket)?;
        Ok(memory[self.not_taken] != 0)
    }
}

/// The socket option `SO_MEMINFO` (since Linux 4.12): `sk_meminfo` of the kernel, in bytes.
#[derive(Debug, Clone, Copy)]
struct MemoryInfo;

/// Memory of what a unix socket has sent and nobody has read: `SK_MEMINFO_WMEM_ALLOC`. Of TCP it is what the network
/// device still holds, acknowledged or not.
const SENT_AND_UNREAD: usize = 2;
/// Memory of what TCP has not sent, or may have to send again: `SK_MEMINFO_WMEM_QUEUED`. A unix socket has none.
const SENT_AND_UNACKNOWLEDGED: usize = 5;

nix::getsockopt_impl!(
    MemoryInfo,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    [u32; 9],
    nix::sys::socket::sockopt::GetStruct<[u32; 9]>
);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::{sleep, timeout};

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

    /// A connection over TCP whose other end has room for few bytes.
    async fn over_tcp() -> (Arc<Link>, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a socket has a buffer");
        let theirs = socket.connect(listener.local_addr().expect("it is bound")).await.expect("it listens");
        let (ours, _) = listener.accept().await.expect("somebody connects");
        (Link::over_tcp(&ours, Peer::Token).expect("a link"), ours, theirs)
    }

    async fn until(link: &Link, progress: Progress) {
        let reached = async {
            while link.progress() != progress {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let reached = timeout(Duration::from_secs(20), reached).await;
        assert!(reached.is_ok(), "still {:?}", link.progress());
    }

    #[tokio::test]
    async fn over_tcp_an_answer_has_arrived_when_all_of_it_is_acknowledged() {
        let (link, mut ours, mut theirs) = over_tcp().await;
        assert_eq!(link.progress(), Progress::Arrived);
        ours.write_all(b"answer").await.expect("there is room");
        until(&link, Progress::Arrived).await;
        ours.write_all(&[0; 100_000]).await.expect("there is room at this end");
        assert_eq!(link.progress(), Progress::OnItsWay, "the other end has no room for it");
        theirs.read_exact(&mut vec![0; 100_006 - 50_000]).await.expect("the first half");
        assert_eq!(link.progress(), Progress::OnItsWay);
        theirs.read_exact(&mut vec![0; 50_000]).await.expect("the second half");
        until(&link, Progress::Arrived).await;
        drop(theirs);
        sleep(Duration::from_millis(10)).await;
        assert_eq!(link.progress(), Progress::Arrived, "closing after reading everything loses nothing");
    }

    #[tokio::test]
    async fn over_tcp_an_answer_is_lost_when_the_other_end_resets_the_connection() {
        let (link, mut ours, theirs) = over_tcp().await;
        ours.write_all(&[0; 100_000]).await.expect("there is room at this end");
        link.shut_down();
        drop(ours);
        assert_eq!(link.progress(), Progress::OnItsWay, "our own closing takes nothing back");
        drop(theirs);
        until(&link, Progress::Lost).await;
        assert_eq!(link.progress(), Progress::Lost, "and stays so");
    }
}
