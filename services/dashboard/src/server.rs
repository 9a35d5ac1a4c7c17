//! Bringing the dashboard up.

use std::net::SocketAddr;
use std::sync::Arc;

use conductor_client::Link;
use conductor_runtime::clock::Clock;
use conductor_runtime::config;
use conductor_runtime::lifecycle::Shutdown;
use conductor_web::{ListenError, Listener, Site};
use url::Url;

use crate::app::App;
use crate::routes;

/// What the dashboard is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: String,
    /// The certificate, if any.
    pub tls: config::Tls,
    /// Its HTTP side.
    pub site: conductor_web::Options,
    /// Where the file server is, when there is one.
    pub files: Option<Url>,
}

impl Config {
    /// Takes what concerns the dashboard from the whole configuration.
    #[must_use]
    pub fn new(config: &config::Config) -> Self {
        // Every form here carries its session's token.
        let site = conductor_web::Options { forms: true, ..conductor_web::Options::new(config, "web") };
        let files = config.files.public_url.clone();
        Self { listen: config.dashboard.listen.clone(), tls: config.tls.clone(), site, files }
    }
}

/// Why the dashboard could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen.
    #[error("the dashboard cannot start")]
    Listen(#[from] ListenError),
}

/// A dashboard that runs until its shutdown drains.
#[derive(Debug)]
pub struct Dashboard {
    /// Where it listens.
    pub address: SocketAddr,
    /// The URL by which it is found on this machine.
    pub url: String,
}

/// Starts the dashboard over a way to the orchestrator. Everything that it runs is tracked by `shutdown`.
///
/// # Errors
/// When it cannot listen; nothing is left running then.
pub async fn start(
    config: Config,
    clock: Clock,
    shutdown: &Shutdown,
    link: Link,
) -> Result<Dashboard, StartError> {
    let listener = Listener::bind(&config.listen, &config.tls).await?;
    let (address, url) = (listener.address(), listener.url());
    let site = Site::start(config.site, link, clock, shutdown);
    let router = routes::router(App { site: site.clone(), beginnings: Arc::default(), files: config.files });
    shutdown.spawn("dashboard listener", conductor_web::serve(listener, site, router, shutdown.clone()));
    Ok(Dashboard { address, url })
}
