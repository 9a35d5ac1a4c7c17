//! One way through: what connects to a listener is connected to one address.

use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpStream;

use crate::egress::copy;
use crate::places::CONNECT_TIMEOUT;
use crate::thread::{Error, Gateways, Open};

/// The most connections at the same time; more wait to be taken.
const MAX_CONNECTIONS: usize = 64;

/// A way to one address. It and its connections end when this goes.
#[derive(Debug)]
pub struct Forward {
    open: Open,
}

impl Gateways {
    /// Opens a way from a listener, which may be in another network than this process, to an address.
    ///
    /// # Errors
    /// When it cannot be listened on, or the thread of gateways is gone.
    pub fn forward(&self, listener: TcpListener, to: SocketAddr) -> Result<Forward, Error> {
        let open = self.open(Some(listener), MAX_CONNECTIONS, move |stream| pass(stream, to))?;
        Ok(Forward { open })
    }
}

impl Forward {
    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.open.address()
    }
}

async fn pass(mut stream: TcpStream, to: SocketAddr) {
    // Who connected hears that it failed by the end of the connection.
    if let Ok(Ok(mut other)) = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(to)).await {
        copy(&mut stream, &mut other).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn what_is_said_on_one_side_is_heard_on_the_other_until_it_is_closed() {
        let far = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = far.local_addr().unwrap();
        let gateways = Gateways::default();
        let forward = gateways.forward(TcpListener::bind("127.0.0.1:0").unwrap(), to).unwrap();
        let mut near = std::net::TcpStream::connect(forward.address()).unwrap();
        let (mut other, _) = far.accept().unwrap();
        near.write_all(b"there").unwrap();
        let mut heard = [0; 5];
        other.read_exact(&mut heard).unwrap();
        other.write_all(b"back").unwrap();
        let mut heard_back = [0; 4];
        near.read_exact(&mut heard_back).unwrap();
        assert_eq!((&heard, &heard_back), (b"there", b"back"));
        drop(forward);
        assert_eq!(near.read(&mut heard).unwrap_or(0), 0);
    }
}
