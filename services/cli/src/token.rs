//! `token`: who may use the API and the dashboard, and what they may do there.

use conductor_protocol::control::{
    Call, CreateToken, Done, Groups, NewToken, Role, TokenKind, TokenName, TokenView,
};
use conductor_protocol::text::rfc3339;
use conductor_runtime::credentials;

use crate::args::{self, TokenCommand};
use crate::context::Context;
use crate::exit::{Exit, Failure, chain};
use crate::screen::{Table, clean};
use crate::server::{Need, Server};

/// `token create`, `list`, `revoke` and `show`
pub async fn run(context: &mut Context<'_>, command: TokenCommand) -> Result<Exit, Failure> {
    match command {
        TokenCommand::Create(create) => self::create(context, create).await,
        TokenCommand::List => list(context).await,
        TokenCommand::Revoke(revoke) => self::revoke(context, revoke.name).await,
        TokenCommand::Show => show(context),
    }
}

async fn create(context: &mut Context<'_>, args: args::CreateToken) -> Result<Exit, Failure> {
    let token = CreateToken {
        name: args.name,
        role: args.role,
        groups: if args.groups.is_empty() { Groups::All } else { Groups::Only(args.groups) },
        expires_in_seconds: args.expires.map(|expires| expires.as_secs()),
    };
    let mut server = Server::find(context, Need::State).await?;
    // Not repeated when the connection is lost: the secret is told once.
    let made: NewToken = server.link.control().await?.ask(Call::CreateToken(token)).await?;
    if context.screen.is_json() {
        context.screen.json(&made)?;
    } else {
        context.screen.line(&made.secret)?;
        context.screen.note("this is the only time that the token is shown");
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

async fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let tokens: Vec<TokenView> = server.link.ask(&Call::Tokens).await?;
    if context.screen.is_json() {
        context.screen.json(&tokens)?;
    } else {
        let mut table = Table::new(&["NAME", "ROLE", "GROUPS", "FROM", "MADE BY", "EXPIRES"]);
        for token in &tokens {
            table.row([
                clean(&token.name),
                role(token.role).to_owned(),
                groups(&token.groups),
                kind(token.kind).to_owned(),
                token.created_by.as_deref().map(clean).unwrap_or_default(),
                token.expires_at.map_or_else(|| "never".to_owned(), rfc3339),
            ]);
        }
        table.lines(None).into_iter().try_for_each(|line| context.screen.line(line))?;
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

async fn revoke(context: &mut Context<'_>, name: String) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let call = Call::RevokeToken(TokenName { name: name.clone() });
    let _done: Done = server.link.control().await?.ask(call).await?;
    match context.screen.is_json() {
        true => context.screen.json(&serde_json::json!({ "name": name }))?,
        false => context.screen.line(clean(&name))?,
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

fn show(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let token =
        credentials::shown_token(&context.loaded.home).map_err(|error| Failure::Failed(chain(&error)))?;
    if context.screen.is_json() {
        context.screen.json(&serde_json::json!({"token": token.secret.reveal()}))?;
    } else {
        context.screen.line(token.secret.reveal())?;
    }
    Ok(Exit::Succeeded)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Agent => "agent",
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

fn groups(groups: &Groups) -> String {
    match groups {
        Groups::All => "all".to_owned(),
        Groups::Only(names) => clean(&names.join(",")),
    }
}

fn kind(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Home => "the home",
        TokenKind::File => "the tokens file",
        TokenKind::Runtime => "token create",
        TokenKind::Session => "a session",
        TokenKind::Attempt => "a running task",
    }
}
