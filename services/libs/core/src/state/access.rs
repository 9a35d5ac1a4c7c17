//! Tokens and sessions.

use std::collections::BTreeMap;

use crate::access::{LoginSession, SecretDigest, Token};
use crate::name::Name;
use crate::state::{ApplyError, State};

/// Tokens by name and sessions by digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Access {
    tokens: BTreeMap<Name, Token>,
    /// Which token a digest belongs to.
    names: BTreeMap<SecretDigest, Name>,
    sessions: BTreeMap<SecretDigest, LoginSession>,
}

impl Access {
    pub(crate) fn token_created(&mut self, token: &Token) -> Result<(), ApplyError> {
        if !self.restore_token(token.clone()) {
            return Err(ApplyError::Token);
        }
        Ok(())
    }

    /// Lets a token go, and every session that it opened.
    pub(crate) fn token_gone(&mut self, name: &Name) -> Result<(), ApplyError> {
        let token = self.tokens.remove(name).ok_or(ApplyError::Token)?;
        self.names.remove(&token.digest);
        self.sessions.retain(|_, session| session.token != token.digest);
        Ok(())
    }

    pub(crate) fn session_opened(&mut self, session: &LoginSession) -> Result<(), ApplyError> {
        if !self.restore_session(session.clone()) {
            return Err(ApplyError::Session);
        }
        Ok(())
    }

    pub(crate) fn session_closed(&mut self, digest: SecretDigest) -> Result<(), ApplyError> {
        self.sessions.remove(&digest).map(|_| ()).ok_or(ApplyError::Session)
    }

    /// Takes in a token; answers whether its name and digest were free.
    pub(crate) fn restore_token(&mut self, token: Token) -> bool {
        let free = !self.tokens.contains_key(&token.name) && !self.names.contains_key(&token.digest);
        if free {
            self.names.insert(token.digest, token.name.clone());
            self.tokens.insert(token.name.clone(), token);
        }
        free
    }

    /// Takes in a session; answers whether its digest was free.
    pub(crate) fn restore_session(&mut self, session: LoginSession) -> bool {
        self.sessions.insert(session.digest, session).is_none()
    }
}

impl State {
    /// The tokens that were made while running, by name.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.access.tokens.values()
    }

    /// The token of this name.
    #[must_use]
    pub fn token(&self, name: &Name) -> Option<&Token> {
        self.access.tokens.get(name)
    }

    /// The token whose secret hashes to this.
    #[must_use]
    pub fn token_of(&self, digest: SecretDigest) -> Option<&Token> {
        self.access.names.get(&digest).and_then(|name| self.access.tokens.get(name))
    }

    /// The sessions.
    pub fn login_sessions(&self) -> impl Iterator<Item = &LoginSession> {
        self.access.sessions.values()
    }

    /// The session whose secret hashes to this.
    #[must_use]
    pub fn login_session(&self, digest: SecretDigest) -> Option<&LoginSession> {
        self.access.sessions.get(&digest)
    }

    pub(crate) fn token_count(&self) -> usize {
        self.access.tokens.len()
    }

    pub(crate) fn login_session_count(&self) -> usize {
        self.access.sessions.len()
    }
}
