//! `up --install`: a systemd user unit that runs `up`, and `--uninstall`, which takes it away again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use conductor_protocol::Problem;
use conductor_runtime::paths::Home;

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};

/// The unit's name.
const UNIT: &str = "conductor.service";
/// How much longer than the drain systemd waits before it kills.
const GRACE: Duration = Duration::from_secs(20);

/// `up --install`
pub fn install(context: &mut Context<'_>, args: &args::Up) -> Result<Exit, Failure> {
    manager()?;
    let file = unit_file()?;
    let program = std::env::current_exe()?;
    let stop = context.loaded.config.orchestrator.drain + GRACE;
    let text = unit(&program, &context.loaded.home, args.agents, stop);
    let failed = |error: io::Error| Failure::Failed(format!("failed to write {}: {error}", file.display()));
    fs::create_dir_all(file.parent().expect("the unit lies in a folder")).map_err(failed)?;
    fs::write(&file, text).map_err(failed)?;
    systemctl(&["daemon-reload"])?;
    systemctl(&["enable", UNIT])?;
    systemctl(&["restart", UNIT])?;
    let keys = environment_file(&context.loaded.home);
    for line in [
        format!("{} runs now and at every login: {}", UNIT, file.display()),
        format!("variables such as API keys come from {}, one NAME=value a line", keys.display()),
        "to run it without a login: loginctl enable-linger".to_owned(),
        format!("its logs: journalctl --user -u {UNIT}; to take it away: conductor up --uninstall"),
    ] {
        context.screen.note(line);
    }
    done(context, &file, true)
}

/// `up --uninstall`
pub fn uninstall(context: &mut Context<'_>) -> Result<Exit, Failure> {
    manager()?;
    let file = unit_file()?;
    if !file.exists() {
        return Err(Failure::Failed(format!("there is no {}", file.display())));
    }
    systemctl(&["disable", "--now", UNIT])?;
    fs::remove_file(&file)
        .map_err(|error| Failure::Failed(format!("failed to remove {}: {error}", file.display())))?;
    systemctl(&["daemon-reload"])?;
    context.screen.note("the home and what is in it stay as they are");
    done(context, &file, false)
}

fn done(context: &mut Context<'_>, file: &Path, installed: bool) -> Result<Exit, Failure> {
    match context.screen.is_json() {
        true => context.screen.json(&serde_json::json!({ "unit": file, "installed": installed }))?,
        false => context.screen.line(file.display().to_string())?,
    }
    Ok(Exit::Succeeded)
}

/// Refuses where no systemd looks after this user.
fn manager() -> Result<(), Failure> {
    let none = |why: String| {
        let mut problem = Problem::unavailable("up --install");
        problem.detail = format!(
            "there is no systemd that runs units for this user here ({why}); run conductor up under the process manager \
             that is there"
        );
        Failure::Refused(problem)
    };
    match Command::new("systemctl").args(["--user", "show-environment"]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(none(said.lines().next().unwrap_or("systemctl --user fails").trim().to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(none("no systemctl".to_owned())),
        Err(error) => Err(none(error.to_string())),
    }
}

fn systemctl(words: &[&str]) -> Result<(), Failure> {
    let output = Command::new("systemctl").arg("--user").args(words).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::Failed(format!("systemctl --user {}: {}", words.join(" "), said.trim())))
}

/// Where units of this user lie.
fn unit_file() -> Result<PathBuf, Failure> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let config =
        config.ok_or_else(|| Failure::Failed("neither XDG_CONFIG_HOME nor HOME is set".to_owned()))?;
    Ok(config.join("systemd/user").join(UNIT))
}

fn environment_file(home: &Home) -> PathBuf {
    home.config.join("environment")
}

/// The unit. Only the main process is told to end: it ends its agents and their tasks in order.
fn unit(program: &Path, home: &Home, agents: u16, stop: Duration) -> String {
    let place = home.root.as_ref().map_or_else(
        || "CONDUCTOR_LAYOUT=container".to_owned(),
        |root| format!("CONDUCTOR_HOME={}", root.display()),
    );
    format!(
        "[Unit]\n\
         Description=Conductor, a task queue for coding agents\n\
         StartLimitIntervalSec=60\n\
         StartLimitBurst=5\n\
         \n\
         [Service]\n\
         ExecStart={program} up --agents {agents}\n\
         Environment={place}\n\
         EnvironmentFile=-{keys}\n\
         Restart=on-failure\n\
         RestartSec=2\n\
         KillMode=mixed\n\
         Delegate=memory pids\n\
         TimeoutStopSec={stop}\n\
         SuccessExitStatus=130\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n",
        program = quoted(&program.display().to_string()),
        place = quoted(&place),
        // This key takes the rest of its line as it is.
        keys = environment_file(home).display().to_string().replace('%', "%%"),
        stop = stop.as_secs(),
    )
}

/// A word as systemd reads it back.
fn quoted(word: &str) -> String {
    let word = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    format!("\"{word}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_names_the_program_and_the_home_whatever_is_in_their_names() {
        let home = Home::at("/home/a b/100%");
        let text = unit(Path::new("/opt/my \"tools\"/conductor"), &home, 3, Duration::from_secs(50));
        for line in [
            r#"ExecStart="/opt/my \"tools\"/conductor" up --agents 3"#,
            r#"Environment="CONDUCTOR_HOME=/home/a b/100%%""#,
            "EnvironmentFile=-/home/a b/100%%/config/environment",
            "TimeoutStopSec=50",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
