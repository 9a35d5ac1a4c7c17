//! Where a program listens.

use std::net::SocketAddr;

use conductor_runtime::config::Tls;
use conductor_runtime::listen;
use tokio::net::TcpListener;

use crate::tls::{self, Certificate};

/// Why a program cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or is not one of this machine's.
    #[error(transparent)]
    Listen(#[from] listen::Error),
    /// The certificate cannot be used.
    #[error("cannot listen with TLS")]
    Tls(#[from] tls::Error),
    /// The system does not say where it listens.
    #[error("cannot tell the address of the listener")]
    Address(#[source] std::io::Error),
}

/// Where a program listens, with the certificate if there is one.
#[derive(Debug)]
pub struct Listener {
    pub(crate) inner: TcpListener,
    pub(crate) certificate: Option<Certificate>,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `address` (`host:port`); port 0 lets the system choose.
    ///
    /// # Errors
    /// Names who holds the address when it is taken.
    pub async fn bind(address: &str, tls: &Tls) -> Result<Self, Error> {
        let certificate = Certificate::configured(tls)?;
        let inner = listen::tcp(address).await?;
        let address = inner.local_addr().map_err(Error::Address)?;
        Ok(Self { inner, certificate, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL by which it is found on this machine. It ends without a slash.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("{scheme}://{address}")
    }
}
