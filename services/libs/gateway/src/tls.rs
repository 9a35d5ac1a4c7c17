//! How servers are trusted: made once, because reading the machine's authorities takes a while.

use std::sync::OnceLock;

use tokio_rustls::TlsConnector;

/// Trusts what the machine trusts; the authorities that the first caller brings are trusted besides.
pub(crate) fn connector(authorities: Option<&[u8]>) -> TlsConnector {
    static CONNECTOR: OnceLock<TlsConnector> = OnceLock::new();
    CONNECTOR.get_or_init(|| conductor_outbound::tls(authorities)).clone()
}
