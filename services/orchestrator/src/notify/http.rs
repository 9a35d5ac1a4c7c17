//! Sending over HTTP: to checked addresses only, without following where an answer points, within bounds.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use conductor_runtime::config::Reachable;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use url::{Host, Url};

use super::address;

/// Addresses of a host that are tried.
const MAX_ADDRESSES: usize = 4;
/// Bytes of an answer's head that are read; its body is not.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// Header lines of an answer.
const MAX_HEADERS: usize = 64;

/// Finds the addresses of a host.
pub(super) type Resolve =
    Arc<dyn Fn(String, u16) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Sends over HTTP.
pub(super) struct Outbound {
    allowed: Vec<Reachable>,
    tls: TlsConnector,
    resolve: Resolve,
    timeout: Duration,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) url: Url,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: Option<u16>,
    pub(super) why: String,
    /// Whether there is no use in trying again.
    pub(super) hopeless: bool,
}

impl Refused {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { status: None, why: why.into(), hopeless: false }
    }

    pub(super) fn hopeless(why: impl Into<String>) -> Self {
        Self { hopeless: true, ..Self::new(why) }
    }
}

/// Asks the system for addresses.
pub(super) fn system() -> Resolve {
    Arc::new(|host, port| Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }))
}

impl Outbound {
    pub(super) fn new(allowed: Vec<Reachable>, resolve: Resolve, timeout: Duration) -> Self {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        // Besides, what the machine trusts, as a company's own authority; a certificate that does not read is passed over.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what the protocol's versions need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { allowed, tls: TlsConnector::from(Arc::new(config)), resolve, timeout }
    }

    /// Sends something; answers the status of who took it.
    pub(super) async fn send(&self, post: Post) -> Result<u16, Refused> {
        match tokio::time::timeout(self.timeout, self.send_slowly(post)).await {
            Ok(sent) => sent,
            Err(_) => Err(Refused::new(format!("no answer within {:?}", self.timeout))),
        }
    }

    async fn send_slowly(&self, post: Post) -> Result<u16, Refused> {
        let stream = self.connect(&post.url).await?;
        if post.url.scheme() != "https" {
            return talk(stream, post).await;
        }
        let host = post.url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| Refused::hopeless(error.to_string()))?;
        let connected = self.tls.connect(name, stream).await;
        talk(connected.map_err(|error| Refused::new(format!("no TLS with it: {error}")))?, post).await
    }

    /// Connects to an address that was checked; the host's name is resolved this once.
    async fn connect(&self, url: &Url) -> Result<TcpStream, Refused> {
        let port = url.port_or_known_default().ok_or_else(|| Refused::hopeless("the URL has no port"))?;
        let (host, found) = match url.host() {
            Some(Host::Ipv4(address)) => (address.to_string(), vec![(IpAddr::V4(address), port).into()]),
            Some(Host::Ipv6(address)) => (address.to_string(), vec![(IpAddr::V6(address), port).into()]),
            Some(Host::Domain(name)) => {
                let found = (self.resolve)(name.to_owned(), port).await;
                let unknown = |error| Refused::new(format!("{name} cannot be resolved: {error}"));
                (name.to_owned(), found.map_err(unknown)?)
            }
            None => return Err(Refused::hopeless("the URL has no host")),
        };
        let may = |at: &&SocketAddr| address::may_reach(&self.allowed, &host, at.ip());
        let reachable: Vec<&SocketAddr> = found.iter().filter(may).take(MAX_ADDRESSES).collect();
        let mut why = format!("{host} has no public address; webhooks.allow_private can allow others");
        for at in reachable {
            match TcpStream::connect(at).await {
                Ok(stream) => return Ok(stream),
                Err(error) => why = format!("no connection to {host}: {error}"),
            }
        }
        Err(Refused::new(why))
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, post: Post) -> Result<u16, Refused> {
    let broke = |error: hyper::Error| Refused::new(format!("it did not answer as HTTP has it: {error}"));
    let request = request(post)?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broke)?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let mut connection = std::pin::pin!(connection);
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    };
    let status = answer.map_err(broke)?.status();
    if status.is_success() {
        return Ok(status.as_u16());
    }
    let why = match status.is_redirection() {
        true => format!("it answered {status}; redirects are not followed"),
        false => format!("it answered {status}"),
    };
    // Gone is the one answer by which a receiver says that it wants no more.
    Err(Refused { status: Some(status.as_u16()), why, hopeless: status == hyper::StatusCode::GONE })
}

fn request(post: Post) -> Result<Request<Full<Bytes>>, Refused> {
    let url = &post.url;
    let host = match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("Conductor/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, post.content_type);
    for (name, value) in &post.headers {
        let value =
            HeaderValue::from_str(value).map_err(|_| Refused::hopeless("a header cannot be written"))?;
        request = request.header(*name, value);
    }
    let body = Full::new(Bytes::from(post.body));
    request.body(body).map_err(|error| Refused::hopeless(format!("the request cannot be written: {error}")))
}

#[cfg(test)]
mod tests;
