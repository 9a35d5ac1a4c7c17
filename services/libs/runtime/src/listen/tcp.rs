//! TCP listeners.

use std::io;

use tokio::net::TcpListener;

use super::{Error, Holder};

/// Listens on `address` (`host:port`); port 0 lets the system choose, and `local_addr` then says which.
///
/// # Errors
/// [`Error::AddressTaken`] with the holder when /proc tells, else the system's.
pub async fn tcp(address: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| {
        if source.kind() != io::ErrorKind::AddrInUse {
            return Error::Address { address: address.to_owned(), source };
        }
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Error::AddressTaken { address: address.to_owned(), holder: port.and_then(Holder::of_tcp_port) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_zero_picks_a_port_and_taking_it_again_names_the_holder() {
        let first = tcp("127.0.0.1:0").await.unwrap();
        let address = first.local_addr().unwrap().to_string();
        let error = tcp(&address).await.unwrap_err().to_string();
        let pid = std::process::id();
        assert!(error.contains(&address) && error.contains(&format!("pid {pid}")), "{error}");
        drop(first);
        tcp(&address).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused_by_name() {
        let error = tcp("192.0.2.1:0").await.unwrap_err();
        assert!(matches!(error, Error::Address { .. }), "{error:?}");
        assert!(error.to_string().contains("192.0.2.1:0"));
    }
}
