//! The names that a listener answers to.

use std::net::{IpAddr, SocketAddr};

use url::Url;

/// The names that a listener answers to, besides those of where it listens.
#[derive(Debug)]
pub(crate) struct Hosts {
    /// Lower case, without port; `*` and `*.name` stand for many.
    allowed: Vec<String>,
    public: Option<Authority>,
}

/// A host and, where it is said, a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    host: String,
    port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port` or `[address]:port`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, rest) = rest.split_once(']')?;
                address.parse::<std::net::Ipv6Addr>().ok()?;
                (address, rest.strip_prefix(':').or(rest.is_empty().then_some(""))?)
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(fits) || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
        Some(Self { host: host.trim_end_matches('.').to_ascii_lowercase(), port })
    }

    /// Reads an `Origin`; its port is always known.
    pub(crate) fn of_origin(origin: &str) -> Option<Self> {
        let (scheme, rest) = origin.split_once("://")?;
        let default = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let mut authority = Self::parse(rest)?;
        authority.port.get_or_insert(default);
        Some(authority)
    }

    fn of_url(url: &Url) -> Option<Self> {
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port: url.port_or_known_default() })
    }

    fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether an origin is this host. A host without a port has the one that is usual for either scheme.
    fn is_origin(&self, origin: &Self) -> bool {
        let port_fits = match self.port {
            Some(port) => origin.port == Some(port),
            None => matches!(origin.port, Some(80 | 443)),
        };
        self.host == origin.host && port_fits
    }
}

impl Hosts {
    pub(crate) fn new(allowed: &[String], public: Option<&Url>) -> Self {
        let bare = |host: &String| match Authority::parse(host) {
            Some(authority) => authority.host,
            None => host.to_ascii_lowercase(),
        };
        Self { allowed: allowed.iter().map(bare).collect(), public: public.and_then(Authority::of_url) }
    }

    /// Whether a listener at `local` answers to this name. A page of another site can make a browser come with the
    /// site's own name, and never with one of these.
    pub(crate) fn answers_to(&self, host: &Authority, local: SocketAddr) -> bool {
        if self.is_named(&host.host) || host.host == "localhost" {
            return true;
        }
        match host.address() {
            // Nobody can make a name of theirs look like an address.
            Some(address) if local.ip().is_loopback() => address.to_canonical().is_loopback(),
            Some(_) => true,
            // A name without a dot is one of this network: of a container, say.
            None => !local.ip().is_loopback() && !host.host.contains('.'),
        }
    }

    /// Whether a page of `origin` is one of ours, when it asks for `host`.
    pub(crate) fn is_ours(&self, origin: &Authority, host: &Authority) -> bool {
        host.is_origin(origin) || self.public.as_ref().is_some_and(|public| public == origin)
    }

    /// Whether this is the public name of a server that is reached by https.
    pub(crate) fn is_public(&self, host: &Authority, url: &Url) -> bool {
        let port = url.port_or_known_default();
        url.scheme() == "https"
            && self.public.as_ref().is_some_and(|public| public.host == host.host)
            && host.port.is_none_or(|found| Some(found) == port)
    }

    fn is_named(&self, host: &str) -> bool {
        self.public.as_ref().is_some_and(|public| public.host == host)
            || self.allowed.iter().any(|allowed| match allowed.strip_prefix('*') {
                Some("") => true,
                Some(end) => end.starts_with('.') && host.len() > end.len() && host.ends_with(end),
                None => allowed == host,
            })
    }
}

/// What the paths of a public URL begin with: empty, or `/...` without a slash at its end.
pub(crate) fn path_prefix(url: &Url) -> String {
    url.path().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(hosts: &Hosts, host: &str, local: &str) -> bool {
        Authority::parse(host).is_some_and(|host| hosts.answers_to(&host, local.parse().unwrap()))
    }

    #[test]
    fn a_loopback_listener_answers_to_the_names_of_loopback_alone() {
        let hosts = Hosts::new(&[], None);
        for host in ["localhost", "localhost:8081", "LOCALHOST.", "127.0.0.1:8081", "[::1]:9", "127.8.8.8"] {
            assert!(answers(&hosts, host, "127.0.0.1:8081"), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", "api", "", "a b", "[::1", "x:y"] {
            assert!(!answers(&hosts, host, "127.0.0.1:8081"), "{host}");
        }
    }

    #[test]
    fn an_open_listener_answers_to_addresses_and_to_names_of_its_network() {
        let hosts = Hosts::new(&[], None);
        for host in ["192.0.2.1:8081", "api:8081", "localhost", "[2001:db8::1]"] {
            assert!(answers(&hosts, host, "0.0.0.0:8081"), "{host}");
        }
        assert!(!answers(&hosts, "evil.example", "0.0.0.0:8081"));
    }

    #[test]
    fn configured_names_are_answered_to() {
        let url = Url::parse("https://Tasks.example:8443/conductor/").unwrap();
        let hosts = Hosts::new(&["ci.example:80".into(), "*.wild.example".into()], Some(&url));
        for host in ["tasks.example:8443", "ci.example", "a.wild.example"] {
            assert!(answers(&hosts, host, "127.0.0.1:1"), "{host}");
        }
        assert!(!answers(&hosts, "wild.example", "127.0.0.1:1"));
        assert!(!answers(&hosts, "awild.example", "127.0.0.1:1"));
        assert!(answers(&Hosts::new(&["*".into()], None), "evil.example", "127.0.0.1:1"));
        assert_eq!(path_prefix(&url), "/conductor");
    }

    #[test]
    fn an_origin_is_ours_when_host_and_port_are() {
        let url = Url::parse("https://tasks.example/").unwrap();
        let hosts = Hosts::new(&["other.example".into()], Some(&url));
        let ours = |origin: &str, host: &str| {
            Authority::of_origin(origin)
                .is_some_and(|origin| hosts.is_ours(&origin, &Authority::parse(host).unwrap()))
        };
        assert!(ours("http://localhost:8080", "localhost:8080"));
        assert!(
            ours("https://host.example", "host.example") && ours("http://host.example", "host.example:80")
        );
        assert!(ours("https://tasks.example", "dashboard:8080"), "the public origin");
        assert!(!ours("http://localhost:3000", "localhost:8080"), "another program on this machine");
        assert!(!ours("http://localhost:8080", "127.0.0.1:8080"));
        assert!(!ours("null", "localhost:8080") && !ours("http://other.example", "localhost:8080"));
    }
}
