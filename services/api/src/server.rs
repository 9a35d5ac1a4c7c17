//! Bringing the API up.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use conductor_client::Link;
use conductor_runtime::clock::Clock;
use conductor_runtime::config;
use conductor_runtime::lifecycle::Shutdown;
use conductor_web::{ListenError, Listener, Site};

use crate::browse::FileHosts;
use crate::live::{Hub, Lines, Uses};
use crate::measure::Measures;
use crate::routes;
use crate::submits::Submits;

/// What the API is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: String,
    /// The certificate, if any.
    pub tls: config::Tls,
    /// Its HTTP side.
    pub site: conductor_web::Options,
    /// The most bytes of the files of one archive.
    pub max_archive_bytes: u64,
    /// The names that the file server answers to.
    pub(crate) file_hosts: FileHosts,
}

impl Config {
    /// Takes what concerns the API from the whole configuration.
    #[must_use]
    pub fn new(config: &config::Config) -> Self {
        let site = conductor_web::Options::new(config, "http");
        let max_archive_bytes = config.files.max_archive_bytes;
        Self {
            listen: config.api.listen.clone(),
            tls: config.tls.clone(),
            site,
            max_archive_bytes,
            file_hosts: FileHosts::new(&config.files),
        }
    }
}

/// Why the API could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen.
    #[error("the API cannot start")]
    Listen(#[from] ListenError),
}

/// An API that runs until its shutdown drains.
#[derive(Debug)]
pub struct Api {
    /// Where it listens.
    pub address: SocketAddr,
    /// The URL by which it is found on this machine.
    pub url: String,
}

/// What every handler has; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Parts>);

/// The parts of the API.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The HTTP side.
    pub(crate) site: Site,
    /// What the API measures of itself.
    pub(crate) measures: Measures,
    /// Submits that go together.
    pub(crate) submits: Submits,
    /// State changes, for all who follow them.
    pub(crate) hub: Hub,
    /// What tasks that run use, for all who follow it.
    pub(crate) uses: Uses,
    /// Connections for what takes long.
    pub(crate) lines: Lines,
    /// The most bytes of the files of one archive.
    pub(crate) max_archive_bytes: u64,
    /// The names that the file server answers to.
    pub(crate) file_hosts: Arc<FileHosts>,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl FromRef<App> for Site {
    fn from_ref(app: &App) -> Self {
        app.site.clone()
    }
}

/// Starts the API over a way to the orchestrator. Everything that it runs is tracked by `shutdown`.
///
/// # Errors
/// When it cannot listen; nothing is left running then.
pub async fn start(config: Config, clock: Clock, shutdown: &Shutdown, link: Link) -> Result<Api, StartError> {
    let listener = Listener::bind(&config.listen, &config.tls).await?;
    let (address, url) = (listener.address(), listener.url());
    let site = Site::start(config.site, link, clock, shutdown);
    let parts = Parts {
        measures: Measures::default(),
        submits: Submits::start(&site),
        hub: Hub::start(&site),
        uses: Uses::start(&site),
        lines: Lines::new(site.clone()),
        max_archive_bytes: config.max_archive_bytes,
        file_hosts: Arc::new(config.file_hosts),
        site: site.clone(),
    };
    let router = routes::router(App(Arc::new(parts)));
    shutdown.spawn("api listener", conductor_web::serve(listener, site, router, shutdown.clone()));
    Ok(Api { address, url })
}
