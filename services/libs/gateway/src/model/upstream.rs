//! A connection to the model's service.

use std::io;

use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_rustls::rustls::pki_types::ServerName;
use url::Url;

use crate::places::{CONNECT_TIMEOUT, Proxy};
use crate::tls;

/// Header lines of an answer, and bytes of its head.
const MAX_HEADERS: usize = 128;
const MAX_HEAD_BYTES: usize = 64 << 10;

/// What is sent on.
pub(super) type Outgoing = UnsyncBoxBody<Bytes, io::Error>;

/// Where the model is.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    url: Url,
    proxy: Option<Proxy>,
    authorities: Option<Vec<u8>>,
}

impl Upstream {
    pub fn new(url: Url, proxy: Option<Proxy>, authorities: Option<Vec<u8>>) -> Self {
        Self { url, proxy, authorities }
    }

    /// The host as a request names it.
    pub fn host(&self) -> Option<HeaderValue> {
        let host = self.url.host_str()?;
        let text = self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        HeaderValue::from_str(&text).ok()
    }

    /// The path and query that a request has there.
    pub fn target(&self, path: &str, query: Option<&str>) -> String {
        let base = self.url.path().trim_end_matches('/');
        match query {
            Some(query) => format!("{base}{path}?{query}"),
            None => format!("{base}{path}"),
        }
    }

    /// Connects; what keeps the connection going is among `tasks`.
    pub async fn connect(&self, tasks: &mut JoinSet<()>) -> io::Result<SendRequest<Outgoing>> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.connected(tasks)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")),
        }
    }

    async fn connected(&self, tasks: &mut JoinSet<()>) -> io::Result<SendRequest<Outgoing>> {
        let host = self.url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = self.url.port_or_known_default().unwrap_or(443);
        // Its owner wrote the address, so it may be anywhere.
        let stream = match &self.proxy {
            Some(proxy) if proxy.serves(&host) => proxy.connect(&host, port).await?,
            Some(_) | None => tokio::net::TcpStream::connect((host.as_str(), port)).await?,
        };
        // Words come one by one.
        stream.set_nodelay(true)?;
        if self.url.scheme() == "https" {
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            let connector = tls::connector(self.authorities.as_deref());
            speak(connector.connect(name, stream).await?, tasks).await
        } else {
            speak(stream, tasks).await
        }
    }
}

async fn speak<S>(stream: S, tasks: &mut JoinSet<()>) -> io::Result<SendRequest<Outgoing>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tasks.spawn(async move {
        // What breaks it shows at whoever waits for an answer.
        let _ = connection.await;
    });
    Ok(sender)
}
