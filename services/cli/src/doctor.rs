//! `doctor`: what is installed, reachable and writable, what is wrong, and what to do.

mod folders;
mod machine;
mod programs;
mod servers;

use conductor_runtime::config::{self, Loaded, Sources};
use serde::Serialize;

use crate::exit::{Exit, Failure, chain};
use crate::screen::{Screen, Table, clean};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// Someone should look.
    Warning,
    /// Something will not work.
    Broken,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Check {
    fn new(name: impl Into<String>, health: Health, found: impl Into<String>) -> Self {
        Self { name: name.into(), health, found: found.into(), advice: None }
    }

    fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// `doctor`: exits with 1 when something is broken.
pub async fn run(screen: &mut Screen) -> Result<Exit, Failure> {
    let checks = look().await;
    let is_broken = checks.iter().any(|check| check.health == Health::Broken);
    if screen.is_json() {
        screen.json(&serde_json::json!({ "ok": !is_broken, "checks": checks }))?;
    } else {
        lines(&checks).into_iter().try_for_each(|line| screen.line(line))?;
    }
    Ok(if is_broken { Exit::Failed } else { Exit::Succeeded })
}

/// Looks at everything.
pub async fn look() -> Vec<Check> {
    let loaded = config::load(&Sources::from_env());
    let named = loaded.as_ref().map(|loaded| loaded.config.sandbox.cgroups.clone()).unwrap_or_default();
    let mut checks = machine::checks(&named);
    match &loaded {
        Ok(loaded) => {
            checks.extend(configuration(loaded));
            checks.extend(folders::checks(loaded));
            checks.extend(servers::far().await);
            checks.extend(servers::checks(&loaded.home).await);
        }
        Err(error) => checks.push(
            Check::new("configuration", Health::Broken, chain(error))
                .advice("correct it; conductor config show names every key once it holds"),
        ),
    }
    checks.extend(programs::checks(loaded.as_ref().ok()).await);
    checks
}

fn configuration(loaded: &Loaded) -> Vec<Check> {
    let found = match &loaded.file {
        Some(file) => file.display().to_string(),
        None => format!("the defaults hold; there is no {}", loaded.home.config_file().display()),
    };
    let mut checks = vec![Check::new("configuration", Health::Ok, found)];
    for warning in &loaded.warnings {
        checks.push(Check::new("configuration", Health::Warning, warning.clone()));
    }
    checks
}

fn lines(checks: &[Check]) -> Vec<String> {
    let mut table = Table::bare();
    for check in checks {
        let health = match check.health {
            Health::Ok => "ok",
            Health::Note => "note",
            Health::Warning => "WARNING",
            Health::Broken => "BROKEN",
        };
        table.row([health.to_owned(), check.name.clone(), clean(&check.found)]);
        if let Some(advice) = &check.advice {
            table.row([String::new(), String::new(), format!("→ {}", clean(advice))]);
        }
    }
    table.lines(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_stands_below_what_it_is_about() {
        let checks = [Check::new("a", Health::Broken, "bad\n\u{1b}[2J").advice("mend it")];
        let lines = lines(&checks);
        assert!(lines[0].starts_with("BROKEN") && lines[1].contains("→ mend it"), "{lines:?}");
        assert!(!lines.concat().contains('\u{1b}'));
    }
}
