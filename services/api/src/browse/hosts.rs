//! The names that the file server answers to.

use conductor_runtime::config::Files;
use url::Url;

/// The names that it answers to where none are configured. No page of another site can come with one of these.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The names that the file server answers to.
#[derive(Debug, Clone)]
pub(crate) struct FileHosts {
    /// Lower case, without port; `*` and `*.name` stand for many.
    names: Vec<String>,
}

impl FileHosts {
    pub(crate) fn new(files: &Files) -> Self {
        let configured = files.hosts.iter().map(|host| bare(host));
        let mut names: Vec<String> = match files.hosts.is_empty() {
            true => LOOPBACK.map(str::to_owned).to_vec(),
            false => configured.collect(),
        };
        names.extend(files.public_url.as_ref().and_then(Url::host_str).map(bare));
        Self { names }
    }

    /// Whether it answers to the `Host` of a request.
    pub(crate) fn answer_to(&self, host: &str) -> bool {
        let host = bare(host);
        self.names.iter().any(|name| match name.strip_prefix('*') {
            Some("") => true,
            Some(end) => end.starts_with('.') && host.len() > end.len() && host.ends_with(end),
            None => *name == host,
        })
    }
}

/// A host without its port, in lower case.
fn bare(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(hosts: &[&str], url: Option<&str>) -> FileHosts {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let public_url = url.map(|url| url.parse().unwrap());
        FileHosts::new(&Files { public_url, hosts, max_archive_bytes: 0 })
    }

    #[test]
    fn loopback_is_answered_to_when_nothing_is_configured_and_another_name_is_not() {
        let known = hosts(&[], Some("https://Files.example:8443/"));
        for host in
            ["localhost:8090", "LOCALHOST", "127.0.0.1:1", "[::1]:8090", "files.example", "files.example."]
        {
            assert!(known.answer_to(host), "{host}");
        }
        for host in ["", "evil.example", "localhost.evil.example", "files.example.evil", "127.0.0.2", "::1"] {
            assert!(!known.answer_to(host), "{host}");
        }
    }

    #[test]
    fn configured_names_stand_in_the_place_of_loopback() {
        let known = hosts(&["files.example", "*.wild.example"], None);
        assert!(known.answer_to("files.example:80") && known.answer_to("a.wild.example"));
        for host in ["localhost", "wild.example", "awild.example"] {
            assert!(!known.answer_to(host), "{host}");
        }
        assert!(hosts(&["*"], None).answer_to("any.example"));
    }
}
