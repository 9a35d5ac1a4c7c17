//! What a program asks of its HTTP side.

use conductor_runtime::config::{AuthMode, Config, Network};
use url::Url;

use crate::limits::Limits;

/// How a program wants its HTTP side.
#[derive(Debug, Clone)]
pub struct Options {
    /// How requests are said to have come: `http` or `web`.
    pub via: &'static str,
    /// Where it is found, when that differs from where it listens.
    pub public_url: Option<Url>,
    /// Names besides its own that it answers to.
    pub allowed_hosts: Vec<String>,
    /// Who is believed about whom it speaks for.
    pub trusted_proxies: Vec<Network>,
    /// What it bears with.
    pub limits: Limits,
    /// Whether everybody is let in as an admin, as `auth.mode: none` asks for on a laptop's loopback.
    pub open: bool,
    /// Whether handlers check the token of each form themselves; else a change by cookie has to show where it comes from.
    pub forms: bool,
}

impl Options {
    /// Takes what concerns HTTP from the whole configuration.
    #[must_use]
    pub fn new(config: &Config, via: &'static str) -> Self {
        Self {
            via,
            public_url: config.public_url.clone(),
            allowed_hosts: config.allowed_hosts.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            limits: Limits {
                connections: config.api.max_connections,
                body_bytes: config.api.max_body_bytes,
                upload_bytes: config.api.max_upload_bytes,
                failures: config.auth.failures_per_minute,
                ..Limits::default()
            },
            open: config.auth.mode == AuthMode::None,
            forms: false,
        }
    }
}
