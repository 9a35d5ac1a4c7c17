//! Which hosts a run may reach.

use std::str::FromStr;
use std::sync::Arc;

use conductor_runtime::config::Reachable;

use crate::places::Proxy;

/// The ports of a rule that names none.
const USUAL_PORTS: [u16; 2] = [80, 443];

/// Which hosts a run may reach.
#[derive(Debug, Clone, Default)]
pub struct EgressRules {
    /// Whether it may reach all that are public.
    pub open: bool,
    /// Those that all runs may reach.
    pub hosts: Arc<[HostRule]>,
    /// Those that this one may reach besides.
    pub own: Vec<HostRule>,
    /// Addresses that may be reached although they are private. No rule opens this machine or its link.
    pub private: Vec<Reachable>,
    /// Through which others are reached.
    pub proxy: Option<Proxy>,
}

/// A host, or all hosts below a name, with a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    name: String,
    below: bool,
    port: Option<u16>,
}

/// Why a text is no such rule.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is neither a host such as crates.io or *.example.com nor one with a port such as example.com:8443"
)]
pub struct NoRule(String);

impl FromStr for HostRule {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        let no_rule = || NoRule(text.to_owned());
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| no_rule())?)),
            None => (text, None),
        };
        let (name, below) = name.strip_prefix("*.").map_or((name, false), |name| (name, true));
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
            return Err(no_rule());
        }
        Ok(Self { name: name.to_ascii_lowercase(), below, port })
    }
}

impl HostRule {
    /// One host and one port.
    #[must_use]
    pub fn exact(host: &str, port: u16) -> Self {
        Self { name: host.to_ascii_lowercase(), below: false, port: Some(port) }
    }

    fn allows(&self, host: &str, port: u16) -> bool {
        let is_port = self.port.map_or(USUAL_PORTS.contains(&port), |known| known == port);
        let is_host = match self.below {
            false => host == self.name,
            true => host.strip_suffix(&self.name).is_some_and(|rest| rest.ends_with('.')),
        };
        is_port && is_host
    }
}

impl EgressRules {
    /// Whether a host may be reached, by its name. Its addresses are looked at besides.
    #[must_use]
    pub fn allow(&self, host: &str, port: u16) -> bool {
        // A name with a dot at its end is the same name.
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.open || self.hosts.iter().chain(&self.own).any(|rule| rule.allows(&host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_reached_by_name_and_port() {
        let hosts = ["crates.io", "*.example.com", "git.corp:8443"].map(|text| text.parse().unwrap());
        let rules = EgressRules {
            hosts: hosts.into(),
            own: vec![HostRule::exact("own.example", 22)],
            ..EgressRules::default()
        };
        for (host, port) in [
            ("crates.io", 443),
            ("CRATES.IO.", 80),
            ("a.b.example.com", 443),
            ("git.corp", 8443),
            ("own.example", 22),
        ] {
            assert!(rules.allow(host, port), "{host}:{port}");
        }
        for (host, port) in [
            ("crates.io", 22),
            ("evil-crates.io", 443),
            ("crates.io.evil.com", 443),
            ("example.com", 443),
            ("notexample.com", 443),
            ("git.corp", 443),
            ("", 443),
        ] {
            assert!(!rules.allow(host, port), "{host}:{port}");
        }
        assert!(EgressRules { open: true, ..EgressRules::default() }.allow("any", 22));
    }

    #[test]
    fn what_is_no_host_is_no_rule() {
        for text in ["", "*", "*.", "http://x", "a/b", "x:", "x:99999", "*.x y"] {
            assert!(text.parse::<HostRule>().is_err(), "{text}");
        }
    }
}
