//! An orchestrator behind an API: the control protocol through `GET /v1/control`, with a token.

use std::fmt;
use std::sync::Arc;

use conductor_protocol::{Code, Problem};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode, header};
use url::{Host, Url};

use crate::control::{Control, Options};
use crate::error::Error;

/// Where the API takes the control protocol.
const PATH: &str = "/v1/control";

/// An API and the token that is shown to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote {
    url: Url,
    token: String,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Remote {
    /// Reads the address of an API.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn new(url: &str, token: impl Into<String>) -> Result<Self, String> {
        let read = Url::parse(url).map_err(|error| format!("{url:?} is not a URL: {error}"))?;
        if !matches!(read.scheme(), "http" | "https") || read.host().is_none() {
            return Err(format!("{url:?} is not an http or https URL"));
        }
        if !read.username().is_empty() || read.password().is_some() {
            return Err("the URL holds a name or a password; the token goes into CONDUCTOR_TOKEN".to_owned());
        }
        Ok(Self { url: read, token: token.into() })
    }

    fn address(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    pub(crate) async fn connect(&self, options: Options) -> Result<Control, Error> {
        let unreachable = |source| Error::Unreachable { address: self.address(), source: Arc::new(source) };
        let host = match self.url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(Error::lost("the URL has no host")),
        };
        let port = self.url.port_or_known_default().unwrap_or(80);
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(unreachable)?;
        // Requests are small and waited for.
        stream.set_nodelay(true).map_err(unreachable)?;
        if self.url.scheme() != "https" {
            return self.open(stream, options).await;
        }
        let name = ServerName::try_from(host).map_err(|error| Error::lost(error.to_string()))?;
        let stream = trusting().connect(name, stream).await.map_err(unreachable)?;
        self.open(stream, options).await
    }

    async fn open<S>(&self, stream: S, options: Options) -> Result<Control, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // The key is the socket's; an API asks for a token in the request.
        let opened = Control::with_request(self.request()?, stream, "", options).await;
        opened.map_err(|error| self.without_token(error))
    }

    /// Says where a token is taken from when one is asked for and none was shown.
    fn without_token(&self, error: Error) -> Error {
        match error {
            Error::Refused(problem) if problem.code == Code::Unauthorized && self.token.is_empty() => {
                let detail = format!("{} asks for a token: set CONDUCTOR_TOKEN", self.address());
                Error::Refused(Problem::new(Code::Unauthorized, detail))
            }
            other => other,
        }
    }

    fn request(&self) -> Result<Request, Error> {
        let address = format!("{}{PATH}", self.address());
        let address = address.replacen("http", "ws", 1);
        let mut request =
            address.into_client_request().map_err(|error| Error::lost(format!("no request: {error}")))?;
        if !self.token.is_empty() {
            let value = HeaderValue::try_from(format!("Bearer {}", self.token)).map_err(|_| {
                Error::Refused(Problem::new(Code::Unauthorized, "CONDUCTOR_TOKEN holds no token"))
            })?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        Ok(request)
    }
}

/// What the machine trusts; `SSL_CERT_FILE` names other authorities.
fn trusting() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has what the protocol's versions need")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// An answer of HTTP in place of the protocol: the API's own problem where it is one.
pub(crate) fn refused(status: StatusCode, body: &[u8]) -> Error {
    let told = serde_json::from_slice::<serde_json::Value>(body).ok();
    let told = told.and_then(|told| {
        let code = serde_json::from_value::<Code>(told.get("code")?.clone()).ok()?;
        Some(Problem::new(code, told.get("detail")?.as_str()?))
    });
    match told {
        Some(problem) if problem.code == Code::Unavailable => Error::lost(problem.detail),
        Some(problem) => Error::Refused(problem),
        None => Error::lost(format!("HTTP {status}: this is no API of Conductor, or an older one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_without_a_secret_in_it() {
        for (url, part) in [
            ("localhost:8081", "not an http"),
            ("ftp://a", "not an http"),
            ("what", "not a URL"),
            ("https://me:pw@a", "CONDUCTOR_TOKEN"),
        ] {
            let error = Remote::new(url, "").unwrap_err();
            assert!(error.contains(part), "{url}: {error}");
        }
        let remote = Remote::new("https://a.example/conductor/", "secret").unwrap();
        assert_eq!(remote.request().unwrap().uri().to_string(), "wss://a.example/conductor/v1/control");
        assert!(!format!("{remote:?}").contains("secret"));
    }

    #[test]
    fn who_shows_no_token_is_told_where_one_is_taken_from() {
        let refused = || Error::Refused(Problem::new(Code::Unauthorized, "show a token"));
        for (token, part) in [("", "set CONDUCTOR_TOKEN"), ("old", "show a token")] {
            let remote = Remote::new("https://a.example", token).unwrap();
            let Error::Refused(problem) = remote.without_token(refused()) else { panic!("{token}") };
            assert!(problem.detail.ends_with(part), "{}", problem.detail);
        }
    }

    #[test]
    fn an_answer_of_http_is_told_as_what_it_is() {
        let body = br#"{"code":"unauthorized","detail":"show a token"}"#;
        let Error::Refused(problem) = refused(StatusCode::UNAUTHORIZED, body) else { panic!() };
        assert_eq!((problem.code, problem.detail.as_str()), (Code::Unauthorized, "show a token"));
        assert!(refused(StatusCode::NOT_FOUND, b"<html>").is_of_the_connection());
        let body = br#"{"code":"unavailable","detail":"the orchestrator is away"}"#;
        assert!(refused(StatusCode::SERVICE_UNAVAILABLE, body).is_of_the_connection());
    }
}
