//! Who secrets stand for, and how often one may be wrong.

use std::net::IpAddr;

use conductor_protocol::control::{Identity, Presented};
use conductor_protocol::{Code, Problem};
use sha2::{Digest, Sha256};

use super::Site;
use crate::caller::Caller;
use crate::client::Client;
use crate::refusal::problem_of;

/// No secret is longer; what is was never one.
const MAX_SECRET_CHARS: usize = 256;
/// What a 401 says.
const HOW_TO_GET_A_TOKEN: &str = "send a token as `Authorization: Bearer TOKEN`; `conductor token show` on the server's \
     machine prints the first one, and an admin makes others with `conductor token create`";

/// How a secret is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// In the Authorization header.
    Token,
    /// In a cookie.
    Cookie,
}

impl Site {
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
}

/// The refusal of who is nobody.
pub(crate) fn nobody(why: &str) -> Problem {
    Problem::new(Code::Unauthorized, format!("{why}; {HOW_TO_GET_A_TOKEN}"))
}

/// Names a secret without telling it: its SHA-256 in hex.
#[must_use]
pub fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

fn is_plausible(secret: &str) -> bool {
    (1..=MAX_SECRET_CHARS).contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_graphic())
}
