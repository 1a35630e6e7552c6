//! Traffic through `io_uring` alone: connect, accept, send, receive and close are submissions.

use std::net::SocketAddr;

use tokio_uring::net::{TcpListener, TcpStream};

type Answer = Result<String, Box<dyn std::error::Error>>;

/// Connects, sends and receives `bytes`, and answers the local port.
pub(super) fn connect(address: &str, bytes: usize) -> Answer {
    let address: SocketAddr = address.parse()?;
    tokio_uring::start(async {
        let stream = TcpStream::connect(address).await?;
        stream.write_all(vec![7; bytes]).await.0?;
        receive(&stream, bytes).await?;
        Ok("done".into())
    })
}

/// Takes one connection, receives and sends `bytes`, and waits for its end. The listener came from elsewhere.
pub(super) fn serve(listener: std::net::TcpListener, bytes: usize) -> Answer {
    tokio_uring::start(async {
        let listener = TcpListener::from_std(listener);
        let (stream, from) = listener.accept().await?;
        receive(&stream, bytes).await?;
        stream.write_all(vec![7; bytes]).await.0?;
        let rest = stream.read(vec![0; 1]).await.0?;
        if rest != 0 {
            return Err("bytes too many".into());
        }
        Ok(from.port().to_string())
    })
}

async fn receive(stream: &TcpStream, bytes: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut left = bytes;
    while left > 0 {
        let count = stream.read(vec![0; left]).await.0?;
        if count == 0 {
            return Err("the other end closed early".into());
        }
        left -= count;
    }
    Ok(())
}
