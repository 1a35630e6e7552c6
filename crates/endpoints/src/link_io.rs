//! Reading and writing one connection to the API: notes failures and flushes in its [`Link`], and cuts an
//! answer of which nothing is read for too long.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

use crate::link::Link;

/// The socket as hyper uses it. Dropped, the connection is shut down: the link keeps a descriptor of it.
pub(crate) struct LinkIo<S> {
    io: TokioIo<S>,
    link: Arc<Link>,
    write_stall: Duration,
    /// Runs while a write waits for room.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> LinkIo<S> {
    pub(crate) fn new(stream: S, link: Arc<Link>, write_stall: Duration) -> Self {
        Self { io: TokioIo::new(stream), link, write_stall, stalled: None }
    }

    /// Does something with the socket and notes its failure, so that nobody asks between the two.
    fn noting<T>(
        &mut self,
        operation: impl FnOnce(Pin<&mut TokioIo<S>>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut state = self.link.state();
        let result = operation(Pin::new(&mut self.io));
        state.failed |= matches!(result, Poll::Ready(Err(_)));
        result
    }

    fn limit_stall<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let write_stall = self.write_stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(write_stall)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.link.state().failed = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for LinkIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.noting(|io| io.poll_read(cx, buffer))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for LinkIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.noting(|io| io.poll_write(cx, bytes));
        self.limit_stall(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.noting(|io| io.poll_write_vectored(cx, slices));
        self.limit_stall(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// Hyper flushes here only when all that it holds has been written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.noting(|io| io.poll_flush(cx));
        if matches!(flushed, Poll::Ready(Ok(())))
            && let Some(waiting) = self.link.state().flushed.take()
        {
            // Nobody waits for it when the poll was given up.
            let _ = waiting.send(());
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.noting(|io| io.poll_shutdown(cx))
    }
}

impl<S> Drop for LinkIo<S> {
    fn drop(&mut self) {
        self.link.shut_down();
    }
}
