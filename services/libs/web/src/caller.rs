//! Who makes a request.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use conductor_client::Control;
use conductor_protocol::Code;
use conductor_protocol::control::{ActorView, Identity, Presented};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::client::Client;
use crate::cookie;
use crate::headers::CSRF_HEADER;
use crate::refusal::Refusal;
use crate::site::{Shown, Site, nobody};

/// How often a stream asks whether who reads it is still somebody.
const LOOK: Duration = Duration::from_secs(1);
/// Sets a form's token apart from other uses of a secret's digest.
const CSRF_LABEL: &str = "conductor form v1\0";

/// Who makes a request: somebody known.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who it is.
    pub identity: Identity,
    /// From where.
    pub address: IpAddr,
    /// Whether it came by https.
    pub https: bool,
    via: &'static str,
    /// Empty where everybody is let in.
    digest: String,
    /// The token of this session's forms, when a cookie was shown.
    csrf: Option<String>,
    client: Client,
}

impl Caller {
    pub(crate) fn new(identity: Identity, digest: String, client: Client, via: &'static str) -> Self {
        Self { identity, address: client.address, https: client.https, via, digest, csrf: None, client }
    }

    /// A way to the orchestrator on behalf of the caller.
    ///
    /// # Errors
    /// `unavailable` when there is none at the moment.
    pub async fn control(&self, site: &Site) -> Result<Control, Refusal> {
        Ok(site.control_soon().await?.on_behalf_of(self.actor()))
    }

    /// The caller, as the orchestrator is told of it.
    #[must_use]
    pub fn actor(&self) -> ActorView {
        ActorView {
            name: self.identity.name.clone(),
            role: self.identity.role,
            groups: self.identity.groups.clone(),
            via: self.via.to_owned(),
            address: Some(self.address.to_string()),
            attempt: self.identity.attempt,
        }
    }

    /// Refuses a running task, for what is answered here and not by the orchestrator.
    ///
    /// # Errors
    /// `forbidden` for a running task.
    pub fn check_is_no_task(&self) -> Result<(), Refusal> {
        match self.identity.attempt {
            None => Ok(()),
            Some(_) => Err(Refusal::new(Code::Forbidden, "a running task may not follow what goes on")),
        }
    }

    /// The same caller by another way: `mcp`.
    #[must_use]
    pub fn by_way_of(mut self, via: &'static str) -> Self {
        self.via = via;
        self
    }

    /// Ends when the caller is nobody any more, may do other things than when it came, or the program drains: then its
    /// streams have to end.
    pub async fn alive(&self, site: &Site) {
        loop {
            tokio::select! {
                () = site.shutdown().draining() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if self.digest.is_empty() {
                continue;
            }
            match site.still(&self.digest).await {
                Ok(Some(now)) if now.role == self.identity.role && now.groups == self.identity.groups => {}
                Ok(_) => return,
                // It cannot be known while the orchestrator is away, and nothing comes from there either.
                Err(problem) => tracing::trace!(%problem, "cannot tell whether a stream may go on"),
            }
        }
    }

    /// What the caller presented, to end its session; nothing where everybody is let in.
    #[must_use]
    pub fn presented(&self) -> Option<Presented> {
        let address = Some(self.address.to_string());
        (!self.digest.is_empty()).then(|| Presented { digest: self.digest.clone(), address })
    }

    /// The token that this session's forms carry; none when the caller showed no cookie.
    #[must_use]
    pub fn csrf(&self) -> Option<&str> {
        self.csrf.as_deref()
    }

    /// Checks the token of a form.
    ///
    /// # Errors
    /// `forbidden` when it is not this session's.
    pub fn check_csrf(&self, offered: &str) -> Result<(), Refusal> {
        match &self.csrf {
            Some(csrf) if !bool::from(csrf.as_bytes().ct_eq(offered.as_bytes())) => {
                let detail = "the form is not of this session; load the page again";
                Err(Refusal::new(Code::Forbidden, detail))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn with_cookie(mut self, secret: &str) -> Self {
        self.csrf = Some(csrf_of(secret));
        self
    }

    /// Checks that a change by cookie comes from the session's own page: by its token, or by what the browser says of
    /// where it comes from. A foreign origin was refused before.
    fn check_origin(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        let is_change = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if !is_change || self.csrf.is_none() {
            return Ok(());
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(offered) = text(CSRF_HEADER) {
            return self.check_csrf(offered);
        }
        match text("sec-fetch-site") == Some("same-origin") || headers.contains_key(header::ORIGIN) {
            true => Ok(()),
            false => {
                let detail =
                    format!("a change by cookie needs the header {CSRF_HEADER}, or a token in place of it");
                Err(Refusal::new(Code::Forbidden, detail))
            }
        }
    }

    /// Keeps the connection counted among the open ones for as long as the caller lives.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl<S> FromRequestParts<S> for Caller
where
    Site: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let site = Site::from_ref(state);
        let client = parts.extensions.get::<Client>().cloned().unwrap_or_default();
        if let Some(shown) = parts.headers.get(header::AUTHORIZATION) {
            let token = shown.to_str().ok().and_then(bearer);
            let token = token.ok_or_else(|| nobody("the Authorization header holds no bearer token"))?;
            return Ok(site.known(token, &client, Shown::Token).await?);
        }
        if let Some(secret) = cookie::session(&parts.headers, client.https) {
            let caller = match site.anybody(&client) {
                Some(caller) => caller,
                None => site.known(&secret, &client, Shown::Cookie).await?,
            };
            let caller = caller.with_cookie(&secret);
            if !site.options().forms {
                caller.check_origin(&parts.method, &parts.headers)?;
            }
            return Ok(caller);
        }
        site.anybody(&client).ok_or_else(|| Refusal(nobody("this needs a token")))
    }
}

/// The token that the forms of a session carry.
#[must_use]
pub fn csrf_of(session: &str) -> String {
    let digest = Sha256::new().chain_update(CSRF_LABEL).chain_update(session).finalize();
    hex::encode(digest)
}

/// Somebody known, or nobody: for pages that send who is nobody to the login.
#[derive(Debug, Clone)]
pub struct MaybeCaller(pub Option<Caller>);

impl<S> FromRequestParts<S> for MaybeCaller
where
    Site: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Caller::from_request_parts(parts, state).await {
            Ok(caller) => Ok(Self(Some(caller))),
            Err(Refusal(problem)) if problem.code == Code::Unauthorized => Ok(Self(None)),
            Err(refusal) => Err(refusal),
        }
    }
}

fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
