//! The head of a request to the proxy.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conductor_runtime::credentials::Secret;
use subtle::ConstantTimeEq as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use url::Url;

/// The longest head.
const MAX_HEAD_BYTES: usize = 32 << 10;

/// The head of a request, and what came with it of what follows.
#[derive(Debug)]
pub(super) struct Head {
    line: String,
    headers: Vec<(String, String)>,
    rest: Vec<u8>,
}

/// Where a request is to go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub host: String,
    pub port: u16,
    /// The path and query of a request that is sent on; none for one that only connects.
    path: Option<String>,
}

impl Head {
    /// Reads a head; none when it is too long, or no head.
    pub async fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = bytes.split_off(end + 4);
                return Ok(Self::parse(&bytes, rest));
            }
            if bytes.len() > MAX_HEAD_BYTES || stream.read_buf(&mut bytes).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn parse(head: &[u8], rest: Vec<u8>) -> Option<Self> {
        let mut lines = std::str::from_utf8(head).ok()?.trim_end_matches("\r\n").split("\r\n");
        let line = lines.next()?.to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
            is_name.then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self { headers: headers.collect::<Option<Vec<_>>>()?, line, rest })
    }

    /// What came behind it.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// Whether it shows a token, as the password of any user.
    pub fn shows(&self, token: &Secret) -> bool {
        let mut shown = self.headers.iter().filter(|(name, _)| name == "proxy-authorization");
        shown.any(|(_, value)| {
            let Some((scheme, value)) = value.split_once(' ') else { return false };
            if !scheme.eq_ignore_ascii_case("basic") {
                return false;
            }
            let decoded = STANDARD.decode(value.trim()).unwrap_or_default();
            let password = decoded.iter().position(|byte| *byte == b':').map(|at| &decoded[at + 1..]);
            password.is_some_and(|password| password.ct_eq(token.reveal().as_bytes()).into())
        })
    }

    /// Where it is to go.
    pub fn target(&self) -> Result<Target, &'static str> {
        let mut words = self.line.split(' ');
        let (Some(method), Some(to), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("Conductor: this is no request");
        };
        if !version.starts_with("HTTP/1.") {
            return Err("Conductor: this is no request");
        }
        let no_place = "Conductor: a request to a proxy names a host";
        if method == "CONNECT" {
            let (host, port) = to.rsplit_once(':').ok_or(no_place)?;
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let port = port.parse().map_err(|_| no_place)?;
            return Ok(Target { host, port, path: None });
        }
        let url = Url::parse(to).ok().filter(|url| url.scheme() == "http").ok_or(no_place)?;
        let host = url.host_str().ok_or(no_place)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Target { host, port: url.port_or_known_default().unwrap_or(80), path: Some(path) })
    }

    /// The head as it is sent on; none for a request that only connects. One request goes over one connection, so
    /// that each names its host here.
    pub fn onward(&self, target: &Target) -> Option<Vec<u8>> {
        let path = target.path.as_ref()?;
        let method = self.line.split(' ').next().unwrap_or_default();
        let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.clone() };
        let host = if target.port == 80 { host } else { format!("{host}:{}", target.port) };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            let is_ours =
                name.starts_with("proxy-") || matches!(name.as_str(), "host" | "connection" | "keep-alive");
            if !is_ours {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str("\r\n");
        Some(head.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Option<Head> {
        Head::parse(text.as_bytes(), Vec::new())
    }

    #[test]
    fn a_target_is_read_from_both_kinds_of_request() {
        let connect = head("CONNECT [2606:4700::1]:443 HTTP/1.1\r\n\r\n").unwrap();
        let target = connect.target().unwrap();
        assert_eq!((target.host.as_str(), target.port), ("2606:4700::1", 443));
        assert!(connect.onward(&target).is_none());
        let get = head("GET http://deb.debian.org/x?y HTTP/1.1\r\nHost: evil\r\nProxy-Authorization: Basic x\r\nAccept: */*\r\n\r\n").unwrap();
        let target = get.target().unwrap();
        let onward = String::from_utf8(get.onward(&target).unwrap()).unwrap();
        assert_eq!(
            onward,
            "GET /x?y HTTP/1.1\r\nHost: deb.debian.org\r\nConnection: close\r\naccept: */*\r\n\r\n"
        );
        for bad in
            ["GET / HTTP/1.1", "CONNECT x HTTP/1.1", "GET https://x/ HTTP/1.1", "CONNECT a:1 HTTP/2", "x"]
        {
            assert!(head(&format!("{bad}\r\n\r\n")).unwrap().target().is_err(), "{bad}");
        }
        assert!(head("GET http://x/ HTTP/1.1\r\n folded: x\r\n\r\n").is_none());
    }

    #[test]
    fn a_token_is_the_password_of_any_user() {
        let shows = |value: &str| {
            let text = format!("CONNECT x:1 HTTP/1.1\r\nProxy-Authorization: {value}\r\n\r\n");
            head(&text).unwrap().shows(&Secret::new("tok"))
        };
        assert!(shows(&format!("Basic {}", STANDARD.encode("me:tok"))));
        assert!(!shows(&format!("Basic {}", STANDARD.encode("me:tok2"))));
        assert!(!shows(&format!("Bearer {}", STANDARD.encode("me:tok"))) && !shows("Basic") && !shows("tok"));
    }
}
