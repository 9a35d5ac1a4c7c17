//! A program's HTTP side.

use std::net::IpAddr;
use std::sync::Arc;

use conductor_client::{Control, Link, Options as ControlOptions};
use conductor_protocol::control::{Groups, Identity, Presented, Role, TokenKind};
use conductor_protocol::{Code, Problem};
use conductor_runtime::clock::Clock;
use conductor_runtime::config::{AuthMode, Config, Network};
use conductor_runtime::lifecycle::Shutdown;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use url::Url;

use crate::attempts::Attempts;
use crate::caller::Caller;
use crate::client::Client;
use crate::hosts::{Hosts, path_prefix};
use crate::identities::Identities;
use crate::limits::Limits;
use crate::orchestrator::Orchestrator;
use crate::refusal::problem_of;

/// How long the answer holds whether the orchestrator is ready.
const READY_MS: u64 = 500;
/// No secret is longer; what is was never one.
const MAX_SECRET_CHARS: usize = 256;
/// What a 401 says.
const HOW_TO_GET_A_TOKEN: &str = "send a token as `Authorization: Bearer TOKEN`; `conductor token show` on the server's \
     machine prints the first one, and an admin makes others with `conductor token create`";

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

/// How a secret is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// In the Authorization header.
    Token,
    /// In a cookie.
    Cookie,
}

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

    /// Why nothing can be served; nothing when it can. The answer is remembered for a moment: anybody may ask.
    pub async fn why_not_ready(&self) -> Option<String> {
        if let Some(why) = self.shared.orchestrator.why_away() {
            return Some(why.to_string());
        }
        if self.shared.shutdown.is_draining() {
            return Some("this program is stopping".to_owned());
        }
        let now_ms = self.shared.clock.now().mono_ms;
        let mut ready = self.shared.ready.lock().await;
        match &*ready {
            Some((at_ms, why)) if now_ms.saturating_sub(*at_ms) < READY_MS => why.clone(),
            Some(_) | None => {
                let why = self.ask_whether_ready().await;
                *ready = Some((now_ms, why.clone()));
                why
            }
        }
    }

    async fn ask_whether_ready(&self) -> Option<String> {
        match self.control().map_err(|problem| problem.detail) {
            Ok(control) => match control.status().await {
                Ok(status) if status.draining => Some("the orchestrator is stopping".to_owned()),
                Ok(_) => None,
                Err(error) => Some(problem_of(error).detail),
            },
            Err(why) => Some(why),
        }
    }

    /// Who a secret stands for.
    ///
    /// # Errors
    /// `unauthorized` for nobody, `rate_limited` after too many failures, `unavailable` without an orchestrator.
    pub async fn identity(&self, secret: &str, address: IpAddr) -> Result<Caller, Problem> {
        let client = Client { address, ..Client::default() };
        self.known(secret, &client, Shown::Token).await
    }

    pub(crate) async fn known(&self, secret: &str, client: &Client, shown: Shown) -> Result<Caller, Problem> {
        let shared = &self.shared;
        let digest = digest(secret);
        let now_ms = shared.clock.now().mono_ms;
        let fresh = shared.identities.fresh(&digest, now_ms);
        // A browser shows the cookie of a session that is over again and again; it guesses nothing by that.
        let is_stale = shown == Shown::Cookie
            && (shared.identities.was_bad(&digest, now_ms) || shared.identities.was_good(&digest, now_ms));
        if !matches!(fresh, Some(Some(_))) && !is_stale {
            let was_good = shared.identities.was_good(&digest, now_ms);
            if let Some(seconds) = shared.attempts.wait(secret, client.address, was_good, now_ms) {
                let detail = "there were too many attempts with a wrong token; wait before the next";
                return Err(Problem::new(Code::RateLimited, detail).retry_after(seconds));
            }
        }
        let identity = match fresh {
            Some(identity) => identity,
            None if is_plausible(secret) => self.ask(&digest, Some(client.address), now_ms).await?,
            None => None,
        };
        match identity {
            Some(identity) => Ok(Caller::new(identity, digest, client.clone(), shared.options.via)),
            None => {
                if !is_stale {
                    shared.attempts.failed(secret, client.address, now_ms);
                }
                Err(nobody("the token or session is not known, has expired or was revoked"))
            }
        }
    }

    /// Who a digest stands for, from the orchestrator.
    async fn ask(
        &self,
        digest: &str,
        address: Option<IpAddr>,
        now_ms: u64,
    ) -> Result<Option<Identity>, Problem> {
        let control = self.control_soon().await?;
        let address = address.map(|address| address.to_string());
        let presented = Presented { digest: digest.to_owned(), address };
        let answer = control.authenticate(presented).await.map_err(problem_of);
        let identity = match answer {
            Ok(identity) => Some(identity),
            Err(problem) if problem.code == Code::Unauthorized => None,
            Err(problem) => return Err(problem),
        };
        self.shared.identities.put(digest, identity.clone(), now_ms);
        Ok(identity)
    }

    /// Who a digest stands for now; nothing for nobody.
    pub(crate) async fn still(&self, digest: &str) -> Result<Option<Identity>, Problem> {
        let now_ms = self.shared.clock.now().mono_ms;
        match self.shared.identities.fresh(digest, now_ms) {
            Some(identity) => Ok(identity),
            None => self.ask(digest, None, now_ms).await,
        }
    }

    /// Counts a failed attempt to log in, and says whether there may be another now.
    ///
    /// # Errors
    /// `rate_limited` after too many.
    pub fn may_try(&self, secret: &str, address: IpAddr) -> Result<(), Problem> {
        let now_ms = self.shared.clock.now().mono_ms;
        match self.shared.attempts.wait(secret, address, false, now_ms) {
            Some(seconds) => {
                let detail = "there were too many failed attempts to log in; wait before the next";
                Err(Problem::new(Code::RateLimited, detail).retry_after(seconds))
            }
            None => Ok(()),
        }
    }

    /// Counts a failed attempt to log in.
    pub fn failed_to_log_in(&self, secret: &str, address: IpAddr) {
        self.shared.attempts.failed(secret, address, self.shared.clock.now().mono_ms);
    }

    /// Forgets who a secret stood for, because its session was just ended.
    pub fn forget(&self, secret: &str) {
        self.shared.identities.forget(&digest(secret));
    }

    /// Forgets who all secrets stood for, because a token was just taken: each is asked for anew.
    pub fn forget_all(&self) {
        self.shared.identities.forget_all();
    }

    /// Who everybody is, where everybody is let in.
    pub(crate) fn anybody(&self, client: &Client) -> Option<Caller> {
        let identity = Identity {
            name: "anybody".to_owned(),
            role: Role::Admin,
            groups: Groups::All,
            expires_at: None,
            kind: TokenKind::File,
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

/// The refusal of who is nobody.
pub(crate) fn nobody(why: &str) -> Problem {
    Problem::new(Code::Unauthorized, format!("{why}; {HOW_TO_GET_A_TOKEN}"))
}

/// Names a secret without telling it: its SHA-256 in hex.
#[must_use]
pub fn digest(secret: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digest = Sha256::digest(secret.as_bytes());
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.map(|digit| char::from(HEX[usize::from(digit)])).collect()
}

fn is_plausible(secret: &str) -> bool {
    (1..=MAX_SECRET_CHARS).contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_graphic())
}
