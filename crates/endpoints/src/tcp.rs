//! The TCP port: bound, with the token that its requests need. Accepting is not its business.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::error::EndpointError;
use crate::token::Token;

/// A listening TCP port.
#[derive(Debug)]
pub struct BoundTcp {
    pub(crate) listener: TcpListener,
    pub(crate) token: Arc<Token>,
    address: SocketAddr,
}

impl BoundTcp {
    /// Listens on `address`, for requests that have the token. For port 0 the kernel chooses one.
    ///
    /// # Errors
    /// [`EndpointError`]: another process has the port, or the address is none of this host's.
    pub fn bind(address: SocketAddr, token: Token) -> Result<Self, EndpointError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => EndpointError::PortInUse { address },
            _ => EndpointError::Tcp { address, source },
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, token: Arc::new(token), address })
    }

    /// Where clients find it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
