//! Both listeners as one: the next connection, wherever it comes from. How many are served at once is not decided
//! here, nor who may ask.

use std::future::pending;
use std::io;
use std::iter;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::access::SocketAccess;
use crate::tcp::BoundTcp;
use crate::token::Token;

/// Where connections come from.
pub(crate) struct Listeners {
    unix: UnixListener,
    pub(crate) access: SocketAccess,
    tcp: Option<(TcpListener, Arc<Token>)>,
}

/// A connection that was accepted.
pub(crate) enum Accepted {
    Unix(UnixStream),
    Tcp(TcpStream, Arc<Token>),
}

impl Listeners {
    /// # Errors
    /// When the runtime cannot use one of them.
    pub(crate) fn new(
        unix: StdUnixListener,
        access: SocketAccess,
        tcp: Option<BoundTcp>,
    ) -> io::Result<Self> {
        unix.set_nonblocking(true)?;
        let unix = UnixListener::from_std(unix)?;
        let tcp = tcp.map(|BoundTcp { listener, token, .. }| {
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>((TcpListener::from_std(listener)?, token))
        });
        Ok(Self { unix, access, tcp: tcp.transpose()? })
    }

    /// The next connection of either listener; of two that wait, any.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        tokio::select! {
            accepted = self.unix.accept() => Ok(Accepted::Unix(accepted?.0)),
            accepted = self.accept_tcp() => accepted,
        }
    }

    /// The next connection over TCP; never where there is no TCP.
    async fn accept_tcp(&self) -> io::Result<Accepted> {
        let Some((listener, token)) = &self.tcp else { return pending().await };
        let (stream, _) = listener.accept().await?;
        // The last piece of an answer does not wait until those before it are acknowledged.
        stream.set_nodelay(true)?;
        Ok(Accepted::Tcp(stream, Arc::clone(token)))
    }

    /// True when a connection is there to be accepted. Does not wait.
    pub(crate) fn somebody_waits(&self) -> bool {
        let listening = |listener| PollFd::from_borrowed_fd(listener, PollFlags::IN);
        let tcp = self.tcp.as_ref().map(|(listener, _)| listener.as_fd());
        let mut listening: Vec<_> = iter::once(self.unix.as_fd()).chain(tcp).map(listening).collect();
        poll(&mut listening, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }
}
