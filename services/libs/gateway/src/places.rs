//! Getting connected: names are resolved once, and what was resolved and checked is what is connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conductor_runtime::config::Reachable;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

/// Addresses of a host that are tried.
const MAX_ADDRESSES: usize = 4;
/// How long connecting may take, with what a proxy in between takes.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a proxy's answer.
const MAX_ANSWER_BYTES: usize = 16 << 10;

/// A proxy of the owner's network, through which others are reached.
#[derive(Clone)]
pub struct Proxy {
    url: Url,
    /// What is reached without it: names, their subdomains, addresses, or `*`.
    except: Vec<String>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Reads what HTTPS_PROXY and NO_PROXY say; none when it is no `http` URL.
    #[must_use]
    pub fn new(url: &str, except: &str) -> Option<Self> {
        let url = Url::parse(url).ok().filter(|url| url.scheme() == "http" && url.has_host())?;
        let except = except.split(',').map(|host| host.trim().trim_start_matches('.').to_ascii_lowercase());
        Some(Self { url, except: except.filter(|host| !host.is_empty()).collect() })
    }

    /// Whether a host is reached through it.
    pub(crate) fn serves(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let is_own = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|at| at.is_loopback());
        let excepts = |except: &String| {
            except == "*"
                || host == *except
                || host.strip_suffix(except).is_some_and(|rest| rest.ends_with('.'))
        };
        !is_own && !self.except.iter().any(excepts)
    }

    /// Has it connect.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let at = (self.url.host_str().unwrap_or_default(), self.url.port_or_known_default().unwrap_or(80));
        let mut stream = TcpStream::connect(at).await?;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if !self.url.username().is_empty() {
            let user = format!("{}:{}", self.url.username(), self.url.password().unwrap_or_default());
            head.push_str(&format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user)));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        // Byte by byte, so that nothing is taken of what comes after.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == MAX_ANSWER_BYTES {
                return Err(io::Error::other("the proxy's answer is too long"));
            }
            answer.push(stream.read_u8().await?);
        }
        let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        match line.get(9..12) {
            Some([b'2', _, _]) => Ok(stream),
            _ => Err(io::Error::other(format!("the proxy said {}", String::from_utf8_lossy(line)))),
        }
    }
}

/// The addresses of a host that may be reached, as they are now.
pub(crate) async fn resolve(host: &str, port: u16, allowed: &[Reachable]) -> io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host((host, port)).await?;
    let may = |at: &SocketAddr| conductor_outbound::may_reach(allowed, host, at.ip());
    Ok(found.filter(may).take(MAX_ADDRESSES).collect())
}

/// Connects to the first of these addresses that answers.
pub(crate) async fn connect_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::other("it has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_left_out_for_what_it_excepts_and_for_this_machine() {
        let proxy = Proxy::new("http://me:pw@proxy:3128", "corp.example, .internal,10.0.0.1").unwrap();
        for host in ["api.anthropic.com", "notcorp.example", "10.0.0.2"] {
            assert!(proxy.serves(host), "{host}");
        }
        for host in
            ["corp.example", "a.CORP.example", "x.internal", "10.0.0.1", "localhost", "127.0.0.1", "::1"]
        {
            assert!(!proxy.serves(host), "{host}");
        }
        assert!(Proxy::new("socks5://proxy", "").is_none());
        assert!(!Proxy::new("http://p", "*").unwrap().serves("x"));
        assert!(!format!("{proxy:?}").contains("pw"));
    }
}
