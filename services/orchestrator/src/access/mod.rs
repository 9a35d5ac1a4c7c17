//! Who a secret stands for: the home's admin token, tokens of a file, tokens made while running, sessions and login codes.
//!
//! Secrets never come here, only their SHA-256. What a digest is compared with is compared in constant time where it stands
//! in a list; tokens and sessions of the log are looked up by digest, whose timing tells at most of a hash.

mod attempts;
mod file;
mod login;
mod tokens;

use std::collections::HashMap;
use std::sync::Arc;

use conductor_core::{Actor, Lease, LoginSession, Name, Role, SecretDigest, TaskId, Token, Wall};
use conductor_protocol::control::{AttemptRef, Identity, NewSession, Presented, TokenKind};
use conductor_protocol::{Code, Problem};
use conductor_runtime::clock::Clock;
use conductor_runtime::config::AuthMode;
use conductor_runtime::credentials::{self, SecretKind};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::watch;

use crate::engine::{self, Handle};
use crate::view;
pub(crate) use attempts::AttemptTokens;
pub use file::Error as TokensFileError;
pub(crate) use file::{FileTokens, TokensFile};
use login::Logins;

/// The name of the home's admin token, and of whoever logs in by a code.
pub(crate) const ADMIN: &str = "admin";
/// Who everybody is when no token is asked for.
const NOBODY: &str = "nobody";
/// Who asks over the socket for itself.
pub(crate) const OWNER: &str = "owner";
/// Names that stand for somebody already.
const RESERVED: [&str; 4] = [ADMIN, NOBODY, OWNER, "schedule"];
/// What the names of running tasks begin with.
const TASK: &str = "task/";
/// How long a session lasts at most: 30 days.
const SESSION_MS: u64 = 30 * 24 * 3_600_000;
/// The longest address that goes into the audit, in bytes.
const MAX_ADDRESS_BYTES: usize = 64;

/// Who a secret stands for.
#[derive(Debug)]
pub(crate) struct Access {
    mode: AuthMode,
    home: SecretDigest,
    /// The tokens of the file, when there is one.
    file: Option<watch::Receiver<FileTokens>>,
    logins: Logins,
    attempts: Arc<AttemptTokens>,
    engine: Handle,
    clock: Clock,
}

/// A token, wherever it comes from.
#[derive(Debug, Clone)]
struct Known {
    token: Token,
    kind: TokenKind,
    /// The attempt whose token it is.
    attempt: Option<AttemptRef>,
}

impl Access {
    pub(crate) fn new(
        mode: AuthMode,
        home_token: &str,
        file: Option<watch::Receiver<FileTokens>>,
        attempts: Arc<AttemptTokens>,
        (engine, clock): (Handle, Clock),
    ) -> Self {
        Self { mode, home: digest_of(home_token), file, logins: Logins::default(), attempts, engine, clock }
    }

    /// Says who a secret stands for.
    pub(crate) async fn authenticate(&self, presented: &Presented) -> Result<Identity, Problem> {
        match self.mode {
            // A running task is held to what it may do even where everybody else may do everything.
            AuthMode::None => {
                let attempt = match parse_digest(&presented.digest) {
                    Some(digest) => self.attempt(digest).await?,
                    None => None,
                };
                Ok(attempt.map_or_else(|| nobody(TokenKind::Session), |known| known.identity()))
            }
            AuthMode::Token => {
                let known = self.known(digest(presented)?).await?.ok_or_else(unknown)?;
                Ok(known.identity())
            }
        }
    }

    /// Opens a session with a token or a login code.
    pub(crate) async fn open_session(&self, presented: &Presented) -> Result<NewSession, Problem> {
        let secret = new_secret(SecretKind::Session)?;
        match self.mode {
            AuthMode::None => return Ok(NewSession { secret, identity: nobody(TokenKind::Session) }),
            AuthMode::Token => {}
        }
        let digest = digest(presented)?;
        let now = engine::now(&self.clock);
        let known = match self.logins.take(digest, now.mono) {
            true => self.admin(),
            false => self.known(digest).await?.ok_or_else(unknown)?,
        };
        match (known.kind, known.token.role) {
            (TokenKind::Session, _) => return Err(unknown()),
            (TokenKind::Attempt, _) => {
                return Err(Problem::new(Code::Forbidden, "a running task's token opens no session"));
            }
            (TokenKind::Home | TokenKind::File | TokenKind::Runtime, Role::Agent) => {
                return Err(Problem::new(Code::Forbidden, "an agent's token opens no session"));
            }
            (
                TokenKind::Home | TokenKind::File | TokenKind::Runtime,
                Role::Viewer | Role::Operator | Role::Admin,
            ) => {}
        }
        let last = now.wall.after(SESSION_MS);
        let session = LoginSession {
            digest: digest_of(&secret),
            token: known.token.digest,
            created_at: now.wall,
            expires_at: known.token.expires_at.map_or(last, |expires_at| expires_at.min(last)),
        };
        let by = known.actor(presented);
        let identity = known.in_session(&session).identity();
        self.engine.command(conductor_core::Command::OpenSession { session, by: by.into() }).await?;
        Ok(NewSession { secret, identity })
    }

    /// Ends a session; one that is gone already is as good as ended.
    pub(crate) async fn close_session(&self, presented: &Presented) -> Result<(), Problem> {
        match self.mode {
            AuthMode::None => return Ok(()),
            AuthMode::Token => {}
        }
        let digest = digest(presented)?;
        let known = self.known(digest).await?.filter(|known| known.kind == TokenKind::Session);
        let Some(known) = known else { return Ok(()) };
        let by = known.actor(presented).into();
        self.engine.command(conductor_core::Command::CloseSession { session: digest, by }).await.map(drop)
    }

    /// The token that a digest belongs to, or whose session it is; none that has run out.
    async fn known(&self, digest: SecretDigest) -> Result<Option<Known>, Problem> {
        let looked = self.engine.look(move |machine, now| {
            let state = machine.state();
            let session = state.login_session(digest).cloned();
            let token = state.token_of(session.as_ref().map_or(digest, |session| session.token)).cloned();
            (session, token, now.wall)
        });
        let (session, runtime, now) = looked.await?;
        let wanted = session.as_ref().map_or(digest, |session| session.token);
        let runtime = runtime.map(|token| Known::new(token, TokenKind::Runtime));
        let Some(known) = self.given(wanted).or(runtime) else { return self.attempt(digest).await };
        let known = match &session {
            Some(session) => known.in_session(session),
            None => known,
        };
        Ok(Some(known).filter(|known| known.token.expires_at.is_none_or(|expires_at| expires_at > now)))
    }

    /// The running attempt whose token has this digest. It reaches no group: what it may see and do is for the control calls
    /// to say.
    async fn attempt(&self, digest: SecretDigest) -> Result<Option<Known>, Problem> {
        let looked = self.engine.look(|machine, now| {
            let state = machine.state();
            let agents = state.agents().map(|agent| agent.profile.agent_id);
            let live: HashMap<Lease, TaskId> = agents.flat_map(|agent| state.leases(agent)).collect();
            (live, now.wall)
        });
        let (live, now) = looked.await?;
        let Some((task, lease)) = self.attempts.find(digest, &live) else { return Ok(None) };
        let name = Name::new(&format!("{TASK}{task}")).expect("an id is of letters a name may hold");
        let token = Token {
            name: name.clone(),
            role: Role::Operator,
            groups: conductor_core::Groups::Only(Box::default()),
            digest,
            created_at: now,
            created_by: name,
            expires_at: None,
        };
        Ok(Some(Known { token, kind: TokenKind::Attempt, attempt: Some(AttemptRef { task, lease }) }))
    }

    /// A token that is not in the log. All of them are looked at, whichever it is.
    fn given(&self, digest: SecretDigest) -> Option<Known> {
        let matches = |known: &SecretDigest| bool::from(known.0.ct_eq(&digest.0));
        let file = self.file.as_ref().map(|tokens| tokens.borrow().clone()).unwrap_or_default();
        let mut found = matches(&self.home).then(|| self.admin());
        for token in file.iter() {
            if matches(&token.digest) {
                found = Some(Known::new(token.clone(), TokenKind::File));
            }
        }
        found
    }

    /// The tokens that are not in the log.
    fn all_given(&self) -> Vec<Known> {
        let file = self.file.as_ref().map(|tokens| tokens.borrow().clone()).unwrap_or_default();
        let file = file.iter().map(|token| Known::new(token.clone(), TokenKind::File));
        std::iter::once(self.admin()).chain(file).collect()
    }

    /// The home's own token.
    fn admin(&self) -> Known {
        let token = Token {
            name: fixed(ADMIN),
            role: Role::Admin,
            groups: conductor_core::Groups::All,
            digest: self.home,
            created_at: Wall::default(),
            created_by: fixed(ADMIN),
            expires_at: None,
        };
        Known::new(token, TokenKind::Home)
    }
}

impl Known {
    fn new(token: Token, kind: TokenKind) -> Self {
        Self { token, kind, attempt: None }
    }

    fn identity(&self) -> Identity {
        Identity {
            name: self.token.name.to_string(),
            role: view::role_on_wire(self.token.role),
            groups: view::groups_on_wire(&self.token.groups),
            expires_at: self.token.expires_at,
            kind: self.kind,
            attempt: self.attempt,
        }
    }

    /// The same, by way of a session.
    fn in_session(mut self, session: &LoginSession) -> Self {
        let last = session.expires_at;
        self.token.expires_at = Some(self.token.expires_at.map_or(last, |expires_at| expires_at.min(last)));
        self.kind = TokenKind::Session;
        self
    }

    /// Who logs in or out.
    fn actor(&self, presented: &Presented) -> Actor {
        let address = presented.address.as_deref().filter(|address| address.len() <= MAX_ADDRESS_BYTES);
        Actor {
            name: self.token.name.clone(),
            role: self.token.role,
            via: fixed("web"),
            address: address.map(Into::into),
        }
    }
}

fn nobody(kind: TokenKind) -> Identity {
    let role = conductor_protocol::control::Role::Admin;
    let groups = conductor_protocol::control::Groups::All;
    Identity { name: NOBODY.to_owned(), role, groups, expires_at: None, kind, attempt: None }
}

fn unknown() -> Problem {
    Problem::new(Code::Unauthorized, "the token is not known, was revoked or has run out")
}

fn fixed(text: &str) -> Name {
    Name::new(text).expect("a fixed name")
}

fn new_secret(kind: SecretKind) -> Result<String, Problem> {
    credentials::new_secret(kind).map(|secret| secret.reveal().to_owned()).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "no secret can be made");
        Problem::new(Code::Internal, "the system gives no random bytes")
    })
}

/// What a secret hashes to.
pub(crate) fn digest_of(secret: &str) -> SecretDigest {
    SecretDigest(Sha256::digest(secret.as_bytes()).into())
}

/// Reads 64 hexadecimal digits.
fn digest(presented: &Presented) -> Result<SecretDigest, Problem> {
    parse_digest(&presented.digest).ok_or_else(unknown)
}

fn parse_digest(text: &str) -> Option<SecretDigest> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(SecretDigest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hexadecimal_digits_and_nothing_else() {
        let good = "0123456789abcdefABCDEF00000000000000000000000000000000000000000f";
        let read = parse_digest(good).expect("64 digits");
        assert_eq!((read.0[0], read.0[9], read.0[31]), (0x01, 0xcd, 0x0f));
        for bad in ["", &good[1..], &format!("{good}0"), &good.replace('f', "g"), &good.replace('0', "é")] {
            assert_eq!(parse_digest(bad), None, "{bad}");
        }
    }
}
