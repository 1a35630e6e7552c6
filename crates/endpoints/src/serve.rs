//! The accept loop: who is there, how many at once, until when.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::api::{Api, Caller};
use crate::counts::Counts;
use crate::error::EndpointError;
use crate::limits::HttpLimits;
use crate::link::Link;
use crate::link_io::LinkIo;
use crate::query::Backend;
use crate::routes::router;
use crate::socket::BoundSocket;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes that hyper holds for one connection in each direction before it waits for the other end.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Pause after a failed accept: without descriptors the next one would fail at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How the API ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut because their answer was not finished in time.
    pub cut: usize,
}

/// Serves the API on `socket` until `shutdown` is done, then finishes the answers in flight and waits until
/// they have been read, both within [`HttpLimits::drain`].
///
/// The socket's file is removed, and no connection accepted, from the moment of `shutdown`. `backend` must
/// answer until this returns; then no clone of it is left but in an encoding that is about to be given up.
///
/// # Errors
/// [`EndpointError::Listen`] when the runtime cannot use the socket.
pub async fn serve<B: Backend>(
    socket: BoundSocket,
    backend: B,
    limits: HttpLimits,
    shutdown: impl Future<Output = ()>,
) -> Result<Drained, EndpointError> {
    let BoundSocket { file, listener } = socket;
    let listen = |source| EndpointError::Listen { source };
    listener.set_nonblocking(true).map_err(listen)?;
    let listener = UnixListener::from_std(listener).map_err(listen)?;
    let api = Api::new(backend, limits);
    let mut server = Server::new(router(Arc::clone(&api)), Arc::clone(&api.counts), limits);
    tokio::select! {
        never = server.accept_all(&listener) => match never {},
        () = shutdown => {}
    }
    // In the order of `BoundSocket`.
    drop((file, listener));
    let deadline = Instant::now() + limits.drain;
    let drained = server.drain(deadline).await;
    api.polls.finish(deadline).await;
    Ok(drained)
}

struct Server {
    router: Router,
    counts: Arc<Counts>,
    limits: HttpLimits,
    slots: Arc<Semaphore>,
    /// True from when all places are taken until nobody waits for one any more.
    crowded: bool,
    connections: JoinSet<()>,
    stopping: watch::Sender<bool>,
}

impl Server {
    fn new(router: Router, counts: Arc<Counts>, limits: HttpLimits) -> Self {
        let slots = Arc::new(Semaphore::new(limits.connections));
        let (connections, stopping) = (JoinSet::new(), watch::Sender::new(false));
        Self { router, counts, limits, slots, crowded: false, connections, stopping }
    }

    async fn accept_all(&mut self, listener: &UnixListener) -> Infallible {
        loop {
            let slot = self.free_slot().await;
            // Those that have ended meanwhile.
            while self.connections.try_join_next().is_some() {}
            // Whoever is there when a place comes free has waited for it.
            self.crowded = self.crowded && somebody_waits(listener);
            match listener.accept().await {
                Ok((stream, _)) => self.begin(stream, slot),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the api");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn free_slot(&mut self) -> OwnedSemaphorePermit {
        if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
            return slot;
        }
        self.crowded = true;
        Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed")
    }

    fn begin(&mut self, stream: UnixStream, slot: OwnedSemaphorePermit) {
        match Link::new(&stream) {
            Ok(link) => {
                if self.crowded {
                    self.counts.connection_waited();
                }
                let open = self.counts.open();
                let counts = Arc::clone(&self.counts);
                let connection = Connection { router: self.router.clone(), counts, link };
                let connection = connection.run(stream, self.limits, self.stopping.subscribe());
                self.connections.spawn(async move {
                    connection.await;
                    drop((open, slot));
                });
            }
            Err(error) => tracing::warn!(%error, "cannot tell who connects to the api"),
        }
    }

    async fn drain(mut self, deadline: Instant) -> Drained {
        self.stopping.send_replace(true);
        let all = async { while self.connections.join_next().await.is_some() {} };
        if timeout_at(deadline, all).await.is_ok() {
            return Drained { cut: 0 };
        }
        let cut = self.connections.len();
        self.connections.shutdown().await;
        tracing::warn!(cut, "answers were not finished in time");
        Drained { cut }
    }
}

/// One connection and the requests on it, one after the other.
#[derive(Clone)]
struct Connection {
    router: Router,
    counts: Arc<Counts>,
    link: Arc<Link>,
}

impl Connection {
    async fn run(self, stream: UnixStream, limits: HttpLimits, mut stopping: watch::Receiver<bool>) {
        let io = LinkIo::new(stream, Arc::clone(&self.link), limits.write_stall);
        let service = service_fn(move |request| self.clone().respond(request));
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_read)
            .max_header_size(limits.header_bytes)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(io, service);
        let mut serving = std::pin::pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = stopped(&mut stopping) => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the api ended early");
        }
    }

    async fn respond(self, mut request: hyper::Request<Incoming>) -> Result<Response, Infallible> {
        // The fate of the last answer is known before the next one follows it into the socket.
        self.link.nudge();
        drop(self.link.turn().await);
        let caller = Caller::new(self.link);
        let request_id = HeaderValue::from_str(&caller.request_id);
        request.extensions_mut().insert(caller);
        let mut response = TowerToHyperService::new(self.router).call(request).await?;
        self.counts.answered(response.status());
        response.headers_mut().extend(request_id.map(|id| (REQUEST_ID, id)));
        Ok(response)
    }
}

/// True when a connection is there to be accepted. Does not wait.
fn somebody_waits(listener: &UnixListener) -> bool {
    let mut listening = [PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
    poll(&mut listening, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender lives as long as the server; without one there is nothing left to serve.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
