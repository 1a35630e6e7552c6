//! What can go wrong outside of requests: the socket and its file, the TCP port.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The path cannot be the name of a unix socket.
    #[error("{path:?} cannot be a unix socket: the path must name a file and have at most 107 bytes")]
    SocketPath {
        /// The path.
        path: PathBuf,
    },
    /// The directory of the socket does not exist, nor does the one above it.
    #[error("the directory of {path:?} does not exist; create it, or choose another path for the socket")]
    DirectoryMissing {
        /// The path of the socket.
        path: PathBuf,
    },
    /// There is something else at the path.
    #[error("{path:?} exists and is no socket; remove it, or choose another path for the socket")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Another process listens on the path.
    #[error("another daemon is listening on {path:?}; stop it, or choose another path for the socket")]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// An operation on the path failed.
    #[error("cannot {operation} {path:?}")]
    Path {
        /// What was tried.
        operation: &'static str,
        /// The path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process listens on the TCP address.
    #[error("another process is listening on {address}; stop it, or choose another address for TCP")]
    PortInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The TCP address cannot be used.
    #[error("cannot listen on {address}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The bound socket cannot be used by the runtime.
    #[error("cannot listen on the bound socket")]
    Listen {
        /// Why.
        source: io::Error,
    },
}
