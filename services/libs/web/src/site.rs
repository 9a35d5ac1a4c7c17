//! A program's HTTP side.

mod known;
mod options;
mod ready;

use std::sync::Arc;

use conductor_client::{Control, Link, Options as ControlOptions};
use conductor_protocol::Problem;
use conductor_protocol::control::{Groups, Identity, Role, TokenKind};
use conductor_runtime::clock::Clock;
use conductor_runtime::lifecycle::Shutdown;
use tokio::sync::Semaphore;
use url::Url;

use crate::attempts::Attempts;
use crate::caller::Caller;
use crate::client::Client;
use crate::hosts::{Hosts, path_prefix};
use crate::identities::Identities;
use crate::limits::Limits;
use crate::orchestrator::Orchestrator;

pub use known::digest;
pub(crate) use known::{Shown, nobody};
pub use options::Options;

/// A program's HTTP side: its way to the orchestrator, who it knows, and what it bears with. Clones share it.
#[derive(Debug, Clone)]
pub struct Site {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    hosts: Hosts,
    prefix: String,
    orchestrator: Orchestrator,
    aside: tokio::sync::Mutex<Link>,
    identities: Identities,
    attempts: Attempts,
    /// Room for bodies that are being read, in KiB.
    reading: Arc<Semaphore>,
    /// Why nothing could be served, and when that was asked.
    ready: tokio::sync::Mutex<Option<(u64, Option<String>)>>,
    clock: Clock,
    shutdown: Shutdown,
}

impl Site {
    /// Makes a site over a way to the orchestrator, and begins to connect.
    #[must_use]
    pub fn start(options: Options, link: Link, clock: Clock, shutdown: &Shutdown) -> Self {
        let aside = link.another(link.options().clone());
        let shared = Shared {
            hosts: Hosts::new(&options.allowed_hosts, options.public_url.as_ref()),
            prefix: options.public_url.as_ref().map(path_prefix).unwrap_or_default(),
            orchestrator: Orchestrator::keep(link, shutdown),
            aside: tokio::sync::Mutex::new(aside),
            identities: Identities::default(),
            attempts: Attempts::new(options.limits.failures),
            reading: Arc::new(Semaphore::new(options.limits.reading_bytes >> 10)),
            ready: tokio::sync::Mutex::default(),
            options,
            clock,
            shutdown: shutdown.clone(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The connection to the orchestrator, with all rights. What is done for somebody goes through
    /// [`Caller::control`].
    ///
    /// # Errors
    /// `unavailable` when there is none at the moment.
    pub fn control(&self) -> Result<Control, Problem> {
        self.shared.orchestrator.now()
    }

    /// The same, waiting a moment for one that is being made anew.
    ///
    /// # Errors
    /// `unavailable` when there is none.
    pub async fn control_soon(&self) -> Result<Control, Problem> {
        self.shared.orchestrator.soon().await
    }

    /// Another link to the orchestrator, for a connection of its own.
    pub async fn another_link(&self, options: ControlOptions) -> Link {
        self.shared.aside.lock().await.another(options)
    }

    /// Who everybody is, where everybody is let in.
    pub(crate) fn anybody(&self, client: &Client) -> Option<Caller> {
        let identity = Identity {
            name: "anybody".to_owned(),
            role: Role::Admin,
            groups: Groups::All,
            expires_at: None,
            kind: TokenKind::File,
            attempt: None,
        };
        let caller = || Caller::new(identity, String::new(), client.clone(), self.shared.options.via);
        self.is_open().then(caller)
    }

    /// Whether everybody is let in as an admin; every page says so then.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.options.open
    }

    /// The path of this server that a browser has to ask for: below the path of `public_url`, where it has one.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.shared.prefix)
    }

    /// What the path of every request begins with; empty, or `/...` without a slash at its end.
    pub(crate) fn prefix(&self) -> &str {
        &self.shared.prefix
    }

    /// Where it is found, when that differs from where it listens.
    #[must_use]
    pub fn public_url(&self) -> Option<&Url> {
        self.shared.options.public_url.as_ref()
    }

    /// What it bears with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.options.limits
    }

    /// Room for bodies that are being read, in KiB.
    pub(crate) fn reading(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.reading)
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(crate) fn hosts(&self) -> &Hosts {
        &self.shared.hosts
    }

    /// The life of the program: streams end when it drains.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shared.shutdown
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }
}
