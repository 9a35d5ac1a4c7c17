//! Sending over HTTP: to checked addresses only, without following where an answer points, within bounds.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use conductor_runtime::config::Reachable;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
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
pub type Resolve =
    Arc<dyn Fn(String, u16) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// What may be reached besides what is public.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Those that the owner allows.
    pub allowed: Vec<Reachable>,
    /// The key of the configuration that allows them.
    pub key: &'static str,
}

/// Sends over HTTP.
pub struct Outbound {
    reach: Reach,
    tls: TlsConnector,
    resolve: Resolve,
    timeout: Duration,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("reach", &self.reach).finish_non_exhaustive()
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Post {
    /// Where to.
    pub url: Url,
    /// What the body is.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What is asked, of whom an answer is expected. Its headers may hold a credential, so it has no Debug.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "its headers may hold a credential")]
pub struct Call {
    /// How.
    pub method: Method,
    /// What.
    pub post: Post,
    /// The most bytes of the answer's body.
    pub max_answer_bytes: usize,
}

/// An answer, whatever its status is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// Why something was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What was answered, if anything was.
    pub status: Option<u16>,
    /// What happened.
    pub why: String,
    /// Whether there is no use in trying again.
    pub hopeless: bool,
}

impl Refused {
    /// It may be taken another time.
    #[must_use]
    pub fn new(why: impl Into<String>) -> Self {
        Self { status: None, why: why.into(), hopeless: false }
    }

    /// It never will be.
    #[must_use]
    pub fn hopeless(why: impl Into<String>) -> Self {
        Self { hopeless: true, ..Self::new(why) }
    }
}

/// Asks the system for addresses.
#[must_use]
pub fn system() -> Resolve {
    Arc::new(|host, port| Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) }))
}

/// Trusts what the machine trusts. A certificate among `authorities`, which are PEM, is trusted besides.
#[must_use]
pub fn tls(authorities: Option<&[u8]>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    // Besides, what the machine trusts, as a company's own authority; a certificate that does not read is passed over.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let own = authorities.into_iter().flat_map(CertificateDer::pem_slice_iter);
    roots.add_parsable_certificates(own.filter_map(Result::ok));
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has what the protocol's versions need")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

impl Outbound {
    /// Trusts what the machine trusts. A certificate among `authorities`, which are PEM, is trusted besides.
    #[must_use]
    pub fn new(reach: Reach, resolve: Resolve, timeout: Duration, authorities: Option<&[u8]>) -> Self {
        Self { reach, tls: tls(authorities), resolve, timeout }
    }

    /// Sends something; answers the status of who took it.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn send(&self, post: Post) -> Result<u16, Refused> {
        let sent = async {
            let (url, request) = (post.url.clone(), request(Method::POST, post)?);
            taken(self.exchange(&url, request, |answer| limited(answer, 0)).await?)
        };
        self.in_time(sent).await
    }

    /// Asks something and gives the answer, whatever its status is.
    ///
    /// # Errors
    /// When there is no answer, or a longer one than is wanted.
    pub async fn call(&self, call: Call) -> Result<Answer, Refused> {
        let Call { method, post, max_answer_bytes } = call;
        let asked = async {
            let (url, request) = (post.url.clone(), request(method, post)?);
            self.exchange(&url, request, |answer| limited(answer, max_answer_bytes)).await
        };
        self.in_time(asked).await
    }

    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(done) => done,
            Err(_) => Err(Refused::new(format!("no answer within {:?}", self.timeout))),
        }
    }

    pub(super) async fn exchange<B, T, F>(
        &self,
        url: &Url,
        request: Request<B>,
        read: impl FnOnce(Response<Incoming>) -> F,
    ) -> Result<T, Refused>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
        F: Future<Output = Result<T, Refused>>,
    {
        let stream = self.connect(url).await?;
        if url.scheme() != "https" {
            return talk(stream, request, read).await;
        }
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| Refused::hopeless(error.to_string()))?;
        let connected = self.tls.connect(name, stream).await;
        let stream = connected.map_err(|error| Refused::new(format!("no TLS with it: {error}")))?;
        talk(stream, request, read).await
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
        let may = |at: &&SocketAddr| address::may_reach(&self.reach.allowed, &host, at.ip());
        let reachable: Vec<&SocketAddr> = found.iter().filter(may).take(MAX_ADDRESSES).collect();
        let mut why = format!("{host} has no public address; {} can allow others", self.reach.key);
        for at in reachable {
            match TcpStream::connect(at).await {
                Ok(stream) => return Ok(stream),
                Err(error) => why = format!("no connection to {host}: {error}"),
            }
        }
        Err(Refused::new(why))
    }
}

async fn talk<S, B, T, F>(
    stream: S,
    request: Request<B>,
    read: impl FnOnce(Response<Incoming>) -> F,
) -> Result<T, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
    F: Future<Output = Result<T, Refused>>,
{
    let broke = |error: hyper::Error| Refused::new(format!("it did not answer as HTTP has it: {error}"));
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broke)?;
    let answered = async { read(sender.send_request(request).await.map_err(broke)?).await };
    let mut answered = std::pin::pin!(answered);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        _ = &mut connection => answered.await,
    }
}

/// Reads an answer whose body has at most so many bytes; with 0 it is not read.
pub(super) async fn limited(answer: Response<Incoming>, most: usize) -> Result<Answer, Refused> {
    let status = answer.status().as_u16();
    if most == 0 {
        return Ok(Answer { status, body: Vec::new() });
    }
    let body = Limited::new(answer.into_body(), most).collect().await;
    let body = body.map_err(|error| Refused::new(format!("its answer cannot be read: {error}")))?;
    Ok(Answer { status, body: body.to_bytes().to_vec() })
}

/// Whether an answer says that something was taken.
fn taken(answer: Answer) -> Result<u16, Refused> {
    let status = hyper::StatusCode::from_u16(answer.status).expect("it came as a status");
    if status.is_success() {
        return Ok(answer.status);
    }
    let why = match status.is_redirection() {
        true => format!("it answered {status}; redirects are not followed"),
        false => format!("it answered {status}"),
    };
    // Gone is the one answer by which a receiver says that it wants no more.
    Err(Refused { status: Some(answer.status), why, hopeless: status == hyper::StatusCode::GONE })
}

fn request(method: Method, post: Post) -> Result<Request<Full<Bytes>>, Refused> {
    let headers = post.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let head = Head { method, content_type: Some(post.content_type), headers };
    head.request(&post.url, Full::new(Bytes::from(post.body)))
}

/// What a request says before its body.
pub(super) struct Head {
    pub method: Method,
    pub content_type: Option<&'static str>,
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn request<B>(self, url: &Url, body: B) -> Result<Request<B>, Refused> {
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut request = Request::builder()
            .method(self.method)
            .uri(path)
            .header(HOST, host)
            .header(USER_AGENT, concat!("Conductor/", env!("CARGO_PKG_VERSION")));
        if let Some(content_type) = self.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        for (name, value) in &self.headers {
            let value =
                HeaderValue::from_str(value).map_err(|_| Refused::hopeless("a header cannot be written"))?;
            request = request.header(name, value);
        }
        request
            .body(body)
            .map_err(|error| Refused::hopeless(format!("the request cannot be written: {error}")))
    }
}

#[cfg(test)]
mod tests;
