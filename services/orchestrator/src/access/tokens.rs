//! Making, listing and taking tokens.

use std::sync::Arc;

use conductor_core::{Actor, Command, Groups, Name, Token, Wall};
use conductor_protocol::control::{self, CreateToken, LoginCode, NewToken, TokenKind, TokenView};
use conductor_protocol::{Code, Problem};
use conductor_runtime::config::AuthMode;
use conductor_runtime::credentials::SecretKind;

use super::login::CODE_MS;
use super::{Access, Known, OWNER, RESERVED, TASK, digest_of, new_secret};
use crate::engine;
use crate::view;

/// The most groups that a token names.
const MAX_GROUPS: usize = 100;
/// The longest that a token may be made for: ten years.
const MAX_SECONDS: u64 = 10 * 366 * 24 * 3_600;

impl Access {
    /// All tokens, those that were not made while running first.
    pub(crate) async fn tokens(&self) -> Result<Vec<TokenView>, Problem> {
        let runtime: Vec<Token> =
            self.engine.look(|machine, _| machine.state().tokens().cloned().collect()).await?;
        let runtime = runtime.into_iter().map(|token| Known::new(token, TokenKind::Runtime));
        Ok(self.all_given().into_iter().chain(runtime).map(|known| view(&known)).collect())
    }

    /// Makes a token. Its secret is told this once.
    pub(crate) async fn create_token(&self, by: Arc<Actor>, call: CreateToken) -> Result<NewToken, Problem> {
        let name = Name::new(&call.name).map_err(|error| Problem::at("/name", error.to_string()))?;
        if RESERVED.contains(&name.as_str()) || name.as_str().starts_with(TASK) {
            return Err(Problem::at("/name", format!("the name {name} stands for somebody already")));
        }
        if self.all_given().iter().any(|known| known.token.name == name) {
            return Err(Problem::new(Code::Conflict, format!("a token of the tokens file is called {name}")));
        }
        let now = engine::now(&self.clock).wall;
        let secret = new_secret(SecretKind::Token)?;
        let token = Token {
            name,
            role: view::role_from_wire(call.role),
            groups: groups(call.groups)?,
            digest: digest_of(&secret),
            created_at: now,
            created_by: by.name.clone(),
            expires_at: expires_at(now, call.expires_in_seconds)?,
        };
        self.engine.command(Command::CreateToken { token: Box::new(token.clone()), by }).await?;
        Ok(NewToken { secret, token: view(&Known::new(token, TokenKind::Runtime)) })
    }

    /// Takes a token, and every session that it opened.
    pub(crate) async fn revoke_token(&self, by: Arc<Actor>, name: &str) -> Result<(), Problem> {
        let name = Name::new(name).map_err(|error| Problem::at("/name", error.to_string()))?;
        let asked = name.clone();
        let runtime = self.engine.look(move |machine, _| machine.state().token(&asked).is_some()).await?;
        if runtime {
            return self.engine.command(Command::RevokeToken { name, by }).await.map(drop);
        }
        if let Some(known) = self.all_given().iter().find(|known| known.token.name == name) {
            let whence = match known.kind {
                TokenKind::Home => "is the home's own; put another in its place and start anew",
                TokenKind::File => "comes from the tokens file; take it out there",
                TokenKind::Runtime | TokenKind::Session | TokenKind::Attempt => "cannot be revoked",
            };
            return Err(Problem::new(Code::Conflict, format!("the token {name} {whence}")));
        }
        Err(Problem::new(Code::NotFound, format!("there is no token {name}")))
    }

    /// What all tokens may do now.
    pub(crate) async fn standing(&self) -> Result<Standing, Problem> {
        let look = |machine: &conductor_core::Machine, now: conductor_core::Now| {
            (machine.state().tokens().cloned().collect::<Vec<Token>>(), now.wall)
        };
        let (runtime, now) = self.engine.look(look).await?;
        let given = self.all_given().into_iter().map(|known| known.token);
        Ok(Standing { is_open: self.mode == AuthMode::None, tokens: given.chain(runtime).collect(), now })
    }

    /// Makes a code that opens one session of an admin.
    pub(crate) fn make_login(&self) -> Result<LoginCode, Problem> {
        let code = new_secret(SecretKind::Login)?;
        let now = engine::now(&self.clock);
        self.logins.add(digest_of(&code), now.mono);
        Ok(LoginCode { code, expires_at: now.wall.after(CODE_MS) })
    }
}

/// What all tokens may do at a moment. They are known by name.
#[derive(Debug)]
pub(crate) struct Standing {
    is_open: bool,
    tokens: Vec<Token>,
    now: Wall,
}

impl Standing {
    /// Why what somebody left behind may not submit to a group any more; nothing while it may.
    pub(crate) fn why_stopped(&self, by: &control::ActorView, group: &Name) -> Option<String> {
        // The owner of the socket, and everybody where no token is asked for.
        if self.is_open || by.name == OWNER {
            return None;
        }
        let name = &by.name;
        let Some(token) = self.tokens.iter().find(|token| token.name.as_str() == name) else {
            return Some(format!("the token {name} was revoked"));
        };
        if token.expires_at.is_some_and(|expires_at| expires_at <= self.now) {
            return Some(format!("the token {name} has run out"));
        }
        if view::role_on_wire(token.role) < control::Role::Operator {
            return Some(format!("the token {name} may not submit any more"));
        }
        let reaches = token.groups.reach(group);
        (!reaches).then(|| format!("the token {name} does not reach the group {group} any more"))
    }
}

fn groups(asked: control::Groups) -> Result<Groups, Problem> {
    let control::Groups::Only(names) = asked else { return Ok(Groups::All) };
    if names.is_empty() || names.len() > MAX_GROUPS {
        return Err(Problem::at("/groups", format!("from 1 to {MAX_GROUPS} groups, or all")));
    }
    let mut groups = names
        .iter()
        .map(|name| Name::new(name).map_err(|error| Problem::at("/groups", format!("{name:?}: {error}"))))
        .collect::<Result<Vec<_>, _>>()?;
    groups.sort();
    groups.dedup();
    Ok(Groups::Only(groups.into()))
}

fn expires_at(now: Wall, seconds: Option<u64>) -> Result<Option<Wall>, Problem> {
    match seconds {
        None => Ok(None),
        Some(seconds @ 1..=MAX_SECONDS) => Ok(Some(now.after(seconds * 1_000))),
        Some(_) => {
            Err(Problem::at("/expires_in_seconds", format!("from 1 to {MAX_SECONDS}, which is ten years")))
        }
    }
}

fn view(known: &Known) -> TokenView {
    let token = &known.token;
    let runtime = known.kind == TokenKind::Runtime;
    TokenView {
        name: token.name.to_string(),
        role: view::role_on_wire(token.role),
        groups: view::groups_on_wire(&token.groups),
        kind: known.kind,
        created_at: runtime.then_some(token.created_at),
        created_by: runtime.then(|| token.created_by.to_string()),
        expires_at: token.expires_at,
    }
}
