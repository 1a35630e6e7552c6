//! The accept loop over both listeners: how many connections at once, until when.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::access::{Entrance, Need, SocketAccess};
use crate::api::{Api, Caller};
use crate::counts::Counts;
use crate::dialect::Dialect;
use crate::error::EndpointError;
use crate::limits::HttpLimits;
use crate::link::Link;
use crate::link_io::LinkIo;
use crate::listeners::{Accepted, Listeners};
use crate::query::Backend;
use crate::routes::router;
use crate::socket::BoundSocket;
use crate::tcp::BoundTcp;

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

/// Serves the API on `socket`, and on `tcp` if there is one, until `shutdown` is done, then finishes the answers in
/// flight and waits until they have been read, both within [`HttpLimits::drain`].
///
/// The bounds are of both together. The socket's file is removed, and no connection accepted, from the moment of
/// `shutdown`. `backend` must answer until this returns; then no clone of it is left but in an encoding that is
/// about to be given up.
///
/// # Errors
/// [`EndpointError::Listen`] when the runtime cannot use a listener.
pub async fn serve<B: Backend>(
    socket: BoundSocket,
    tcp: Option<BoundTcp>,
    backend: B,
    limits: HttpLimits,
    shutdown: impl Future<Output = ()>,
) -> Result<Drained, EndpointError> {
    let BoundSocket { file, listener, access } = socket;
    let listeners =
        Listeners::new(listener, access, tcp).map_err(|source| EndpointError::Listen { source })?;
    let api = Api::new(backend, limits);
    let mut server = Server::new(router(Arc::clone(&api)), Arc::clone(&api.counts), limits);
    tokio::select! {
        never = server.accept_all(&listeners) => match never {},
        () = shutdown => {}
    }
    // In the order of `BoundSocket`.
    drop((file, listeners));
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

    async fn accept_all(&mut self, listeners: &Listeners) -> Infallible {
        loop {
            // One place for whichever listener is first: with one for each, the last place of all could be held by
            // the listener where nobody waits.
            let slot = self.free_slot().await;
            // Those that have ended meanwhile.
            while self.connections.try_join_next().is_some() {}
            // Whoever is there when a place comes free has waited for it.
            self.crowded = self.crowded && listeners.somebody_waits();
            match listeners.accept().await {
                Ok(accepted) => {
                    if let Err(error) = self.begin(accepted, &listeners.access, slot) {
                        tracing::warn!(%error, "cannot tell who connects to the api");
                    }
                }
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

    fn begin(
        &mut self,
        accepted: Accepted,
        access: &SocketAccess,
        slot: OwnedSemaphorePermit,
    ) -> io::Result<()> {
        match accepted {
            Accepted::Unix(stream) => {
                let Entrance { peer, need } = Entrance::by_socket(access, &stream)?;
                self.run(Link::over_unix(&stream, peer)?, need, stream, slot);
            }
            Accepted::Tcp(stream, token) => {
                let Entrance { peer, need } = Entrance::by_token(token);
                self.run(Link::over_tcp(&stream, peer)?, need, stream, slot);
            }
        }
        Ok(())
    }

    fn run<S>(&mut self, link: Arc<Link>, need: Need, stream: S, slot: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.crowded {
            self.counts.connection_waited();
        }
        let open = self.counts.open();
        let counts = Arc::clone(&self.counts);
        let connection = Connection { router: self.router.clone(), counts, link, need };
        let connection = connection.run(stream, self.limits, self.stopping.subscribe());
        self.connections.spawn(async move {
            connection.await;
            drop((open, slot));
        });
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
    need: Need,
}

impl Connection {
    async fn run<S>(self, stream: S, limits: HttpLimits, mut stopping: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
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
        let mut response = match self.need.is_met_by(request.headers()) {
            Ok(()) => {
                request.extensions_mut().insert(caller);
                TowerToHyperService::new(self.router).call(request).await?
            }
            Err(problem) => {
                let mut refused = problem.response(Dialect::of(request.uri().path()), &caller.request_id);
                // Who may not use the API takes no place of those who may.
                refused.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                refused
            }
        };
        self.counts.answered(response.status());
        response.headers_mut().extend(request_id.map(|id| (REQUEST_ID, id)));
        Ok(response)
    }
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender lives as long as the server; without one there is nothing left to serve.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
