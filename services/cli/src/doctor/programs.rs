//! Programs that tasks may want.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use conductor_agent::keeper_program;
use conductor_agent::runner::program::probe::Versions;
use conductor_agent::sandbox::{self, Held, Kernel, Kind, UNSANDBOXED};
use conductor_runtime::config::Loaded;

use super::{Check, Health};
use crate::exit::chain;
use crate::screen::{clean, first_line};

/// How long a program has to say its version.
const PATIENCE: Duration = Duration::from_secs(15);
/// The most bytes of a version that are read.
const MAX_VERSION_BYTES: usize = 200;

/// Looks for the runners, as far as the configuration says which there are, and for programs that tasks may want.
pub async fn checks(loaded: Option<&Loaded>) -> Vec<Check> {
    let asked =
        loaded.map(|loaded| &loaded.config.sandbox).map(|it| (it.mode, it.egress)).unwrap_or_default();
    let kernel = Kernel::probe();
    let kernel = keeper_program().map_or(kernel, |keeper| kernel.with_network(&keeper));
    let mut checks = vec![
        Check::new("runner mock", Health::Ok, "built in; it simulates, no model is asked"),
        confined("runner command", "built in", &sandbox::held(asked, kernel, Kind::Command)),
    ];
    if let Some(loaded) = loaded {
        checks.extend(coding(loaded).await);
    }
    for name in ["git", "docker"] {
        let found = version(name).await.unwrap_or_else(|| "not installed; nothing here needs it".to_owned());
        checks.push(Check::new(name, Health::Note, found));
    }
    checks
}

/// The coding agents: whether each is installed, has its credential, and may run.
async fn coding(loaded: &Loaded) -> Vec<Check> {
    let environment: Vec<_> = std::env::vars_os().collect();
    let mut programs = match conductor_agent::config::programs(loaded, &environment) {
        Ok(programs) => programs,
        Err(error) => return vec![Check::new("secrets", Health::Broken, chain(&error))],
    };
    if let Ok(keeper) = keeper_program() {
        programs.sandbox.look_for_network(&keeper);
    }
    let mut checks = Vec::new();
    for view in Versions::default().views(&programs) {
        let name = format!("runner {}", view.name);
        let command = programs.specs.get(&view.name).and_then(|spec| spec.command.first());
        let held = match view.gateway {
            Some(false) => "; its runs hold the real credential",
            Some(true) => "; the credential stays with the gateway",
            None => "",
        };
        let found = match command {
            Some(command) => version(command).await,
            None => None,
        };
        checks.push(match (found, view.missing) {
            (None, _) => Check::new(name, Health::Note, "not installed"),
            (Some(found), None) => {
                confined(&name, &format!("{found}{held}"), &programs.sandbox.held(Kind::Program))
            }
            (Some(found), Some(missing)) => {
                Check::new(name, Health::Note, format!("{found}; not ready: {missing}"))
                    .advice("docs/runners.md says how to set it up")
            }
        });
    }
    checks
}

/// How a runner is confined: one that nothing confines deserves a look.
fn confined(name: &str, found: &str, held: &Held) -> Check {
    let text = held.text();
    if text == UNSANDBOXED {
        return Check::new(name, Health::Warning, format!("{found}; runs {text}"))
            .advice("it does what it is told as you; give it only what you would do yourself");
    }
    Check::new(name, Health::Ok, format!("{found}; sandbox: {text}"))
}

/// Where a program is and what version it says it has.
async fn version(name: &str) -> Option<String> {
    let path = find(name, std::env::var_os("PATH").as_deref())?;
    let asked = path.clone();
    // Its children may hold its output open after it has ended.
    let asking = tokio::task::spawn_blocking(move || ask(&asked));
    let said = tokio::time::timeout(2 * PATIENCE, asking).await.ok().and_then(Result::ok).flatten();
    Some(match said {
        Some(said) => format!("{said} ({})", path.display()),
        None => format!("{} does not say its version", path.display()),
    })
}

/// The first program of this name in the folders of a PATH.
fn find(name: &str, path: Option<&std::ffi::OsStr>) -> Option<PathBuf> {
    std::env::split_paths(path?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok())
}

/// Asks a program for its version, and ends it when it takes too long.
fn ask(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let handle = rustix::process::pidfd_open(
        rustix::process::Pid::from_child(&child),
        rustix::process::PidfdFlags::empty(),
    )
    .ok()?;
    let mut ready = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    if rustix::event::poll(&mut ready, Some(&patience)) != Ok(1) {
        drop(child.kill());
    }
    let ended = child.wait().ok()?;
    let mut said = vec![0; MAX_VERSION_BYTES];
    let count = child.stdout.take()?.read(&mut said).ok()?;
    said.truncate(count);
    ended.success().then(|| clean(first_line(&String::from_utf8_lossy(&said))))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn script(folder: &Path, name: &str, text: &str) {
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_program_is_found_in_the_path_and_asked() {
        let folder = tempfile::tempdir().unwrap();
        script(folder.path(), "tool", "#!/bin/sh\nprintf 'tool 1.2\\nmore\\n'\n");
        let path = find("tool", Some(folder.path().as_os_str())).unwrap();
        assert_eq!(ask(&path).as_deref(), Some("tool 1.2"));
        assert_eq!(find("absent", Some(folder.path().as_os_str())), None);
        assert_eq!(find("tool", None), None);
    }

    #[test]
    fn what_cannot_be_run_or_fails_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("plain"), "x").unwrap();
        assert_eq!(find("plain", Some(folder.path().as_os_str())), None);
        script(folder.path(), "fails", "#!/bin/sh\necho 1.0\nexit 1\n");
        assert_eq!(ask(&folder.path().join("fails")), None);
    }
}
