//! Where the file server is, for a browser that found this one.

use axum::http::{HeaderMap, header};
use url::Url;

/// The names of this machine: a session under one of them is none under another.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The address of the file server, without a slash at its end. One that is on loopback is called as the browser called us,
/// so that the session of the one opens the other.
#[must_use]
pub fn found(url: &Url, headers: &HeaderMap) -> String {
    let mut url = url.clone();
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let asked =
        asked.rsplit_once(':').filter(|(_, port)| !port.contains(']')).map_or(asked, |(name, _)| name);
    let is_loopback = |name: &str| LOOPBACK.contains(&name);
    if url.host_str().is_some_and(is_loopback) && is_loopback(asked) {
        // A name of loopback is a host.
        let _always = url.set_host(Some(asked));
    }
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_file_server_on_loopback_is_called_as_the_browser_called_us() {
        let found = |url: &str, host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            super::found(&url.parse().unwrap(), &headers)
        };
        assert_eq!(found("http://localhost:8090", "127.0.0.1:8080"), "http://127.0.0.1:8090");
        assert_eq!(found("http://127.0.0.1:8090/", "localhost:8080"), "http://localhost:8090");
        assert_eq!(found("http://localhost:8090", "[::1]:8080"), "http://[::1]:8090");
        assert_eq!(found("http://localhost:8090/sub/", "tasks.example"), "http://localhost:8090/sub");
        assert_eq!(found("https://files.example", "localhost"), "https://files.example");
        assert_eq!(found("http://localhost:8090", "evil.localhost:1"), "http://localhost:8090");
    }
}
