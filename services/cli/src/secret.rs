//! `secret`: what runners and webhooks need and nobody else may read, kept in files of this home.

use std::io::{IsTerminal as _, Read as _};

use conductor_protocol::text::rfc3339;
use conductor_runtime::secrets::{Error, Listed, MAX_VALUE_BYTES, Name, Secret, Secrets};
use zeroize::Zeroizing;

use crate::args::{SecretCommand, SecretName};
use crate::context::Context;
use crate::exit::{Exit, Failure, chain};
use crate::screen::Table;

/// `secret set`, `list` and `rm`
pub fn run(context: &mut Context<'_>, command: SecretCommand) -> Result<Exit, Failure> {
    let secrets = context.loaded.secrets().map_err(failed)?;
    if std::env::var_os("CONDUCTOR_URL").is_some_and(|url| !url.is_empty()) {
        let here = secrets.folder().display();
        context.screen.note(format!(
            "CONDUCTOR_URL is set, but secrets are kept on this machine alone ({here}); \
             for another host, run `conductor secret` there"
        ));
    }
    match command {
        SecretCommand::Set(set) => self::set(context, &secrets, &set),
        SecretCommand::List => list(context, &secrets),
        SecretCommand::Rm(rm) => self::rm(context, &secrets, &rm.name),
    }
}

fn set(context: &mut Context<'_>, secrets: &Secrets, set: &SecretName) -> Result<Exit, Failure> {
    if std::io::stdin().is_terminal() {
        context
            .screen
            .note("the value, then Ctrl-D; it is better given by a pipe or a file, as in: < key.txt");
    }
    // One byte more than fits, so that too much is told from enough.
    let mut text = Zeroizing::new(String::with_capacity(MAX_VALUE_BYTES + 3));
    let read = std::io::stdin().take(MAX_VALUE_BYTES as u64 + 3).read_to_string(&mut text);
    read.map_err(|error| Failure::Usage(format!("the value cannot be read from stdin: {error}")))?;
    let replaced = secrets.set(&set.name, &Secret::new(text.as_str())).map_err(failed)?;
    if context.screen.is_json() {
        let value = serde_json::json!({ "name": set.name.as_str(), "replaced": replaced });
        context.screen.json(&value)?;
    } else {
        let done = if replaced { "replaced" } else { "set" };
        context.screen.line(format!("{done} {}", set.name))?;
    }
    Ok(Exit::Succeeded)
}

fn list(context: &mut Context<'_>, secrets: &Secrets) -> Result<Exit, Failure> {
    let listed = secrets.list().map_err(failed)?;
    if context.screen.is_json() {
        let rows: Vec<_> = listed
            .iter()
            .map(|one| serde_json::json!({ "name": one.name.as_str(), "set_at": set_at(one) }))
            .collect();
        context.screen.json(&rows)?;
        return Ok(Exit::Succeeded);
    }
    let mut table = Table::new(&["NAME", "SET"]);
    for one in &listed {
        table.row([one.name.to_string(), set_at(one)]);
    }
    table.lines(None).into_iter().try_for_each(|line| context.screen.line(line))?;
    Ok(Exit::Succeeded)
}

fn rm(context: &mut Context<'_>, secrets: &Secrets, name: &Name) -> Result<Exit, Failure> {
    if !secrets.remove(name).map_err(failed)? {
        return Err(Failure::Failed(format!("there is no secret {name} in {}", secrets.folder().display())));
    }
    match context.screen.is_json() {
        true => context.screen.json(&serde_json::json!({ "name": name.as_str() }))?,
        false => context.screen.line(name.as_str())?,
    }
    Ok(Exit::Succeeded)
}

fn set_at(one: &Listed) -> String {
    let millis = one.set_at.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    rfc3339(conductor_core::Wall(i64::try_from(millis).unwrap_or(i64::MAX)))
}

fn failed(error: Error) -> Failure {
    match error {
        Error::BadValue { .. } => Failure::Usage(chain(&error)),
        Error::NotAFolder { .. }
        | Error::NotAFile { .. }
        | Error::OtherOwner { .. }
        | Error::Open { .. }
        | Error::Read { .. }
        | Error::Write { .. }
        | Error::Keep { .. }
        | Error::Full { .. } => Failure::Failed(chain(&error)),
    }
}
