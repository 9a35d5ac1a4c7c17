//! Tokens and sessions: made, taken, run out.

use std::sync::Arc;

use crate::access::{LoginSession, SecretDigest, Token};
use crate::actor::Actor;
use crate::command::{Rejection, Reply};
use crate::context::Context;
use crate::event::EventKind;
use crate::live::Access;
use crate::name::Name;

pub(crate) fn create_token(
    step: &mut Context<'_>,
    token: Box<Token>,
    by: Arc<Actor>,
) -> Result<Reply, Rejection> {
    if step.state().token(&token.name).is_some() || step.state().token_of(token.digest).is_some() {
        return Err(Rejection::TokenExists(token.name));
    }
    let limit = step.policy().max_tokens;
    if step.state().token_count() >= limit {
        return Err(Rejection::TooManyTokens { limit });
    }
    step.emit(EventKind::TokenCreated { token, by });
    Ok(Reply::Done)
}

pub(crate) fn revoke_token(step: &mut Context<'_>, name: Name, by: Arc<Actor>) -> Result<Reply, Rejection> {
    if step.state().token(&name).is_none() {
        return Err(Rejection::UnknownToken(name));
    }
    step.emit(EventKind::TokenRevoked { name, by });
    Ok(Reply::Done)
}

/// Opens a session. When there are as many as may be, the oldest goes.
pub(crate) fn open_session(
    step: &mut Context<'_>,
    session: LoginSession,
    by: Arc<Actor>,
) -> Result<Reply, Rejection> {
    if step.state().login_session(session.digest).is_some() {
        return Err(Rejection::SessionExists);
    }
    while step.state().login_session_count() >= step.policy().max_sessions.max(1) {
        let oldest = step.state().login_sessions().min_by_key(|known| (known.created_at, known.digest));
        let Some(session) = oldest.map(|oldest| oldest.digest) else { break };
        step.emit(EventKind::SessionClosed { session, by: None });
    }
    step.emit(EventKind::SessionOpened { session: Box::new(session), by });
    Ok(Reply::Done)
}

/// Closes a session; one that is gone already is as good as closed.
pub(crate) fn close_session(step: &mut Context<'_>, session: SecretDigest, by: Arc<Actor>) -> Reply {
    if step.state().login_session(session).is_some() {
        step.emit(EventKind::SessionClosed { session, by: Some(by) });
    }
    Reply::Done
}

/// Lets go what ran out; what is gone already, or stands longer under the same name, is passed over.
pub(crate) fn due(step: &mut Context<'_>, due: Access) {
    let now = step.now().wall;
    match due {
        Access::Token(name) => {
            let expires_at = step.state().token(&name).and_then(|token| token.expires_at);
            if expires_at.is_some_and(|expires_at| expires_at <= now) {
                step.emit(EventKind::TokenExpired { name });
            }
        }
        Access::Session(session) => {
            let known = step.state().login_session(session);
            if known.is_some_and(|known| known.expires_at <= now) {
                step.emit(EventKind::SessionClosed { session, by: None });
            }
        }
    }
}
