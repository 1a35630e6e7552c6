//! The body of an answer to a poll: the encoding runs on a thread of its own and is streamed in chunks, so
//! that a large answer never stands in memory twice.
//!
//! A reader that does not keep up holds the encoding back. An encoding that fails cuts the connection: a
//! body that ends properly is complete.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

use crate::admission::Place;
use crate::coding::{Coded, Coding};
use crate::link::Link;
use crate::readers::{Readers, Reading};

/// Bytes of a chunk.
const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks between the encoding and the socket.
const CHUNKS_WAITING: usize = 4;

/// A piece of the encoding. Without a last one it is not complete.
enum Chunk {
    Part(Bytes),
    Last(Bytes),
}

/// Starts the encoding and gives the body once its first chunk is there; `flushed` is told when its end is in
/// the socket, and dropped when that does not come to pass.
///
/// # Errors
/// [`Truncated`] when the encoding failed before the first chunk.
pub(crate) async fn stream(
    link: Arc<Link>,
    flushed: oneshot::Sender<()>,
    reading: Arc<Reading>,
    coding: Coding,
    encode: impl FnOnce(&mut Coded<ChunkWriter>) -> io::Result<()> + Send + 'static,
) -> Result<AnswerBody, Truncated> {
    let (sender, mut chunks) = mpsc::channel(CHUNKS_WAITING);
    let read = Arc::clone(&reading);
    tokio::task::spawn_blocking(move || {
        let out = ChunkWriter { sender, buffer: BytesMut::new() };
        if let Err(error) = written(out, coding, encode) {
            // Mostly because the client went away; the poll is told again in any case.
            tracing::debug!(%error, "the encoding of an answer was given up");
        }
        // Only now that what it was made from is given back.
        drop(read);
    });
    let first = chunks.recv().await.ok_or(Truncated)?;
    Ok(AnswerBody { first: Some(first), chunks, reading, end: Some((link, flushed)) })
}

/// The same for what is no answer to a poll: nobody waits for its end, and with it its place is given back.
///
/// # Errors
/// Those of [`stream`].
pub(crate) async fn stream_apart(
    readers: &Arc<Readers>,
    link: &Arc<Link>,
    place: Place,
    coding: Coding,
    encode: impl FnOnce(&mut Coded<ChunkWriter>) -> io::Result<()> + Send + 'static,
) -> Result<AnswerBody, Truncated> {
    let (flushed, _) = oneshot::channel();
    stream(Arc::clone(link), flushed, readers.begin(Arc::clone(link), Some(place)), coding, encode).await
}

fn written(
    out: ChunkWriter,
    coding: Coding,
    encode: impl FnOnce(&mut Coded<ChunkWriter>) -> io::Result<()>,
) -> io::Result<()> {
    let mut coded = Coded::new(coding, out)?;
    encode(&mut coded)?;
    coded.finish()?.finish()
}

/// Where the encoding goes.
pub(crate) struct ChunkWriter {
    sender: mpsc::Sender<Chunk>,
    buffer: BytesMut,
}

impl ChunkWriter {
    fn send(&self, chunk: Chunk) -> io::Result<()> {
        self.sender.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn finish(mut self) -> io::Result<()> {
        let last = self.buffer.split().freeze();
        self.send(Chunk::Last(last))
    }
}

impl io::Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == CHUNK_BYTES {
            let full = std::mem::take(&mut self.buffer).freeze();
            self.send(Chunk::Part(full))?;
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(CHUNK_BYTES);
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Does nothing: the chunks are sent as they fill.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A streamed answer. Dropped before its end, it counts as not delivered.
pub(crate) struct AnswerBody {
    first: Option<Chunk>,
    chunks: mpsc::Receiver<Chunk>,
    reading: Arc<Reading>,
    /// Taken at the end.
    end: Option<(Arc<Link>, oneshot::Sender<()>)>,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let chunk = match self.first.take() {
            Some(first) => Some(first),
            None => {
                let chunk = self.chunks.poll_recv(cx);
                if chunk.is_pending() {
                    self.reading.waits();
                }
                ready!(chunk)
            }
        };
        self.reading.took();
        Poll::Ready(Some(match chunk {
            Some(Chunk::Part(bytes)) => Ok(Frame::data(bytes)),
            Some(Chunk::Last(bytes)) => {
                // Hyper takes this frame and the end together, before it can flush again.
                if let Some((link, flushed)) = self.end.take() {
                    link.when_flushed(flushed);
                }
                Ok(Frame::data(bytes))
            }
            None => Err(Truncated),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.first {
            Some(Chunk::Last(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

/// The encoding ended before its end.
#[derive(Debug)]
pub(crate) struct Truncated;

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the encoding of the answer was not finished")
    }
}

impl std::error::Error for Truncated {}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use http_body_util::BodyExt;
    use tokio::net::UnixStream;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    async fn collected(
        encode: impl FnOnce(&mut Coded<ChunkWriter>) -> io::Result<()> + Send + 'static,
    ) -> (Option<u64>, Result<Bytes, Truncated>, Result<(), TryRecvError>) {
        let (ours, _theirs) = UnixStream::pair().expect("a socket pair");
        let link = Link::new(&ours).expect("a link");
        let (flushed, mut is_flushed) = oneshot::channel();
        let reading = Readers::new(Duration::ZERO, Arc::default()).begin(Arc::clone(&link), None);
        let body = match stream(Arc::clone(&link), flushed, reading, Coding::Identity, encode).await {
            Ok(body) => body,
            Err(truncated) => return (None, Err(truncated), is_flushed.try_recv()),
        };
        let size = body.size_hint().exact();
        let bytes = body.collect().await.map(http_body_util::Collected::to_bytes);
        assert!(is_flushed.try_recv().is_err(), "nothing of it is in the socket yet");
        if let Some(waiting) = link.state().flushed.take() {
            waiting.send(()).expect("the test waits for it");
        }
        (size, bytes, is_flushed.try_recv())
    }

    #[tokio::test]
    async fn a_small_answer_has_a_known_size() {
        let (size, bytes, flushed) = collected(|out| out.write_all(b"{}")).await;
        assert_eq!((size, bytes.expect("complete").as_ref(), flushed), (Some(2), b"{}".as_ref(), Ok(())));
    }

    #[tokio::test]
    async fn a_large_answer_arrives_whole_and_in_order() {
        let large: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let written = large.clone();
        let (size, bytes, flushed) = collected(move |out| out.write_all(&written)).await;
        assert_eq!((size, bytes.expect("complete").as_ref(), flushed), (None, large.as_ref(), Ok(())));
    }

    #[tokio::test]
    async fn an_encoding_that_fails_never_ends_cleanly() {
        let (_, bytes, flushed) = collected(|_| Err(io::ErrorKind::Other.into())).await;
        assert!(bytes.is_err() && flushed.is_err());
        let (_, bytes, flushed) = collected(|out| {
            out.write_all(&[0; 2 * CHUNK_BYTES])?;
            Err(io::ErrorKind::Other.into())
        })
        .await;
        assert!(bytes.is_err() && flushed.is_err());
    }
}
