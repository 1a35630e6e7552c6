//! Requests of any bytes against the API as it is served: the real accept loop, router and endpoints on a unix socket, in
//! front of the state of the contract tests.
//!
//! Owns how bytes become what is sent, and what an answer must be. A panic ends the fuzzer; so does an answer that is none
//! of HTTP's, a server error, an error that does not say what it is in JSON, and a server that answers nobody any more.

#![no_main]

mod answer;
mod request;
#[allow(dead_code, reason = "shared with the contract tests, which use all of it")]
#[path = "../../../crates/endpoints/tests/contract/state.rs"]
mod state;

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use endpoints::{BoundSocket, HttpLimits, SocketAccess, serve};
use libfuzzer_sys::fuzz_target;
use state::Fake;

/// Longer than every limit of the server below.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request that every server answers that is alive; one in so many inputs asks it.
const PROBE: &[u8] = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const PROBE_EVERY: u32 = 64;

/// The socket of the server, which runs as long as the process.
static SOCKET: LazyLock<PathBuf> = LazyLock::new(start);

fn start() -> PathBuf {
    let path = std::env::temp_dir().join(format!("sockeye-fuzz-{}.sock", std::process::id()));
    let bound = path.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime can be started").block_on(async {
            let access = SocketAccess { mode: 0o600, owner: None, group: None };
            let socket = BoundSocket::bind(&bound, access).expect("the path is free");
            let state = Fake::start(3, 64, 256 << 20);
            let short = Duration::from_millis(50);
            let limits = HttpLimits { header_read: short, body_read: short, ..HttpLimits::default() };
            let served = serve(socket, None, state, limits, std::future::pending()).await;
            panic!("the server has ended: {served:?}");
        });
    });
    while UnixStream::connect(&path).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    path
}

/// What comes back when these bytes are all that is sent.
fn exchange(bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(&*SOCKET).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has time-outs");
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    if !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        // It would wait for the rest of the head. Who has asked and closes this end gets no answer.
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    let mut read = Vec::new();
    match stream.read_to_end(&mut read) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no end within {PATIENCE:?}"),
        // What came before a reset is an answer all the same.
        _ => read,
    }
}

thread_local! {
    static INPUTS: Cell<u32> = const { Cell::new(0) };
}

fuzz_target!(|bytes: &[u8]| {
    let sent = request::made(bytes);
    answer::check(&sent, &exchange(&sent));
    let inputs = INPUTS.get().wrapping_add(1);
    INPUTS.set(inputs);
    if inputs.is_multiple_of(PROBE_EVERY) {
        let is_alive = || exchange(PROBE).starts_with(b"HTTP/1.1 200 ");
        // On a busy machine one may miss the short time-outs.
        assert!((0..5).any(|_| is_alive()), "the server does not answer any more");
    }
});
