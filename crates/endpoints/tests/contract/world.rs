//! A running API in a directory of its own, and waiting with a deadline.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use deltas::{ClientId, Peer, Settings};
use endpoints::{
    Backend, BoundSocket, BoundTcp, Drained, EndpointError, HttpLimits, Query, SocketAccess, Token, serve,
};
use rustix::process::{Gid, Uid, getuid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::http::{Answer, Http};
use crate::not_run::not_run;
use crate::state::Fake;

const DEADLINE: Duration = Duration::from_secs(20);

/// What a request over TCP needs.
pub(crate) const TOKEN: &str = "0123456789abcdefghij";

/// Everybody may use the socket.
pub(crate) const OPEN: SocketAccess = SocketAccess { mode: 0o666, owner: None, group: None };

/// By which way a test connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Unix,
    Tcp,
}

impl Over {
    pub(crate) const BOTH: [Over; 2] = [Over::Unix, Over::Tcp];
}

/// Waits for something that has to happen.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}

/// Waits until a value that others change is as wanted.
pub(crate) async fn until<T: Clone>(mut watched: watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) -> T {
    let found = in_time("a change of the state", watched.wait_for(wanted)).await;
    found.expect("the state is there").clone()
}

/// A directory that is removed with all that is in it.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sockeye-api-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("the temporary directory is writable");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How the API of a test differs from an ordinary one.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) limits: HttpLimits,
    pub(crate) connections: u64,
    pub(crate) clients: usize,
    pub(crate) answer_bytes: usize,
    pub(crate) access: SocketAccess,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            limits: HttpLimits::default(),
            connections: 3,
            clients: 64,
            answer_bytes: 256 << 20,
            access: OPEN,
        }
    }
}

/// A running API.
pub(crate) struct World {
    pub(crate) state: Fake,
    pub(crate) socket: PathBuf,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<Drained, EndpointError>>,
    _directory: Directory,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with(Setting::default())
    }

    pub(crate) fn with(setting: Setting) -> Self {
        let directory = Directory::new();
        let socket = directory.path().join("api.sock");
        let bound = BoundSocket::bind(&socket, setting.access).expect("the path is free");
        let token = Token::parse(TOKEN).expect("a good token");
        let tcp = BoundTcp::bind((Ipv4Addr::LOCALHOST, 0).into(), token).expect("there is a free port");
        let address = tcp.address();
        let state = Fake::start(setting.connections, setting.clients, setting.answer_bytes);
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let serving = tokio::spawn(serve(bound, Some(tcp), state.clone(), setting.limits, shutdown));
        Self { state, socket, address, stop, serving, _directory: directory }
    }

    pub(crate) async fn connect(&self) -> Http {
        Http::connect(&self.socket).await
    }

    pub(crate) async fn connect_over(&self, over: Over) -> Http {
        match over {
            Over::Unix => self.connect().await,
            Over::Tcp => {
                let header = format!("Authorization: Bearer {TOKEN}\r\n");
                Http::connect_tcp(self.address, &header, 64 * 1024).await
            }
        }
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, method: &str, path: &str) -> Answer {
        let mut http = self.connect().await;
        http.request(method, path).await;
        http.answer().await
    }

    /// One request with headers and a body on a connection of its own.
    pub(crate) async fn ask_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut http = self.connect().await;
        http.request_with(method, path, headers, body).await;
        http.answer().await
    }

    /// One registration with this body on a connection of its own.
    pub(crate) async fn put(&self, id: &str, body: &str) -> Answer {
        let length = format!("Content-Length: {}\r\n", body.len());
        self.ask_with("PUT", &format!("/v1/clients/{id}"), &length, body).await
    }

    /// A poll of this client on a connection of its own, with a query such as `?after=1` or none; its answer is not
    /// read.
    pub(crate) async fn polling(&self, id: &str, query: &str) -> Http {
        let mut http = self.connect().await;
        http.request("GET", &format!("/v1/clients/{id}/connections{query}")).await;
        http
    }

    /// One poll of this client on a connection of its own.
    pub(crate) async fn poll(&self, id: &str, query: &str) -> Answer {
        self.polling(id, query).await.answer().await
    }

    /// Waits until the API has asked the state for this many polls.
    pub(crate) async fn polls_asked(&self, polls: usize) {
        until(self.state.polls_asked(), |asked| *asked >= polls).await;
    }

    pub(crate) async fn register(&self, id: &str) {
        let answer = self.ask("PUT", &format!("/v1/clients/{id}")).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }

    /// Registers a client of another user, past the API.
    pub(crate) async fn register_as(&self, id: &str, peer: Peer) {
        let (reply, registered) = oneshot::channel();
        let id = ClientId::parse(id).expect("a valid id");
        self.state
            .ask(Query::Register { id, peer, settings: Settings::default(), reply })
            .await
            .expect("the state is there");
        registered.await.expect("the state answers").expect("there is room");
    }

    /// Waits until the fates of this many answers are known.
    pub(crate) async fn resolved(&self, answers: usize) -> Vec<bool> {
        until(self.state.resolved(), |resolved| resolved.len() >= answers).await
    }

    /// Tells the API to stop; wait for [`Stopping::drained`] then.
    pub(crate) fn stop(self) -> Stopping {
        let _ = self.stop.send(());
        Stopping { serving: self.serving, _directory: self._directory }
    }
}

/// An API that finishes its answers.
pub(crate) struct Stopping {
    serving: JoinHandle<Result<Drained, EndpointError>>,
    _directory: Directory,
}

impl Stopping {
    pub(crate) async fn drained(self) -> Drained {
        let ended = in_time("the end of the API", self.serving).await;
        ended.expect("it does not panic").expect("it could listen")
    }
}

/// Connects as a user other than root: as this one, or, when this is root, as somebody else.
///
/// Gives the connection and the user's id.
pub(crate) fn connect_as_ordinary_user(socket: &Path) -> (Http, u32) {
    let somebody = Uid::from_raw(65_534);
    let socket = socket.to_owned();
    // The kernel takes the peer from the thread that connects; the thread ends, and with it the change.
    let connect = move || {
        let user = if getuid().is_root() { somebody } else { getuid() };
        if getuid().is_root() {
            set_thread_res_uid(somebody, somebody, somebody).expect("root may be anyone");
        }
        (std::os::unix::net::UnixStream::connect(socket).expect("the API listens"), user.as_raw())
    };
    let (stream, uid) = std::thread::spawn(connect).join().expect("it does not panic");
    stream.set_nonblocking(true).expect("a socket can be non-blocking");
    (Http::new(UnixStream::from_std(stream).expect("a runtime is there")), uid)
}

/// Connects as the user with these groups, of which the first is the primary one. `None` where only root could,
/// which is noted.
pub(crate) fn connect_as(socket: &Path, uid: u32, groups: &[u32]) -> Option<Http> {
    if !getuid().is_root() {
        let thread = std::thread::current();
        let noted = not_run("contract", thread.name().unwrap_or("unnamed"), "needs root");
        noted.unwrap_or_else(|failure| panic!("{failure}"));
        return None;
    }
    let (uid, socket) = (Uid::from_raw(uid), socket.to_owned());
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    // The kernel takes the peer from the thread that connects; the thread ends, and with it the change.
    let connect = move || {
        let (gid, more) = groups.split_first().expect("a primary group");
        set_thread_groups(more).expect("root may have any groups");
        set_thread_res_gid(*gid, *gid, *gid).expect("root may have any group");
        set_thread_res_uid(uid, uid, uid).expect("root may be anyone");
        std::os::unix::net::UnixStream::connect(socket).expect("the API listens")
    };
    let stream = std::thread::spawn(connect).join().expect("it does not panic");
    stream.set_nonblocking(true).expect("a socket can be non-blocking");
    Some(Http::new(UnixStream::from_std(stream).expect("a runtime is there")))
}

/// Device and inode of what is at the path.
pub(crate) fn file_at(path: &Path) -> (u64, u64) {
    let found = std::fs::symlink_metadata(path).expect("there is something at the path");
    (found.dev(), found.ino())
}
