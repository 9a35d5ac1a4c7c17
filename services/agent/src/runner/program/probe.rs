//! Which programs are here, and what version they say they have.
//!
//! A program is asked once for each of its versions: what it said is kept with its size and time in the agent's folder.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use conductor_protocol::agent::RunnerView;
use conductor_runtime::config::RunnerSpec;
use serde::{Deserialize, Serialize};

use super::credential::Programs;
use crate::sandbox::Kind;

/// How long a program has to say its version.
const PATIENCE: Duration = Duration::from_secs(15);
/// The pause between two looks whether it has.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The most of what it says that is read.
const MAX_SAID_BYTES: u64 = 4 << 10;
/// The longest version.
const MAX_VERSION_CHARS: usize = 64;
/// The most programs that are remembered.
const MAX_KEPT: usize = 256;
const FILE: &str = "versions.json";

/// What programs said of their versions.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Versions(BTreeMap<PathBuf, Kept>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    stamp: (u64, i64),
    version: Option<String>,
}

impl Versions {
    /// Reads what was kept in a folder; what cannot be read is asked again.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let read = fs::read(folder.join(FILE)).ok();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Asks the programs that are here and may run, all at once.
    pub fn learn(&mut self, programs: &Programs) {
        if programs.refusal().is_some() {
            return;
        }
        let wanted: Vec<_> = programs
            .specs
            .values()
            .filter_map(|spec| {
                let path = path_of(programs, spec)?;
                let stamp = stamp(&path)?;
                let known = self.0.get(&path).is_some_and(|kept| kept.stamp == stamp);
                (!known).then_some((path, stamp, spec.version_arguments.clone()))
            })
            .collect();
        let search = programs.variable("PATH").unwrap_or_default().to_owned();
        let said: Vec<_> = std::thread::scope(|scope| {
            let search = &search;
            let asking: Vec<_> = wanted
                .into_iter()
                .map(|(path, stamp, arguments)| {
                    scope.spawn(move || {
                        let version = ask(&path, &arguments, search);
                        (path, Kept { stamp, version })
                    })
                })
                .collect();
            // One that panicked was told by the panic hook.
            asking.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        if self.0.len() + said.len() > MAX_KEPT {
            self.0.clear();
        }
        self.0.extend(said);
    }

    /// Keeps what was said; without it, programs are asked again.
    pub fn keep(&self, folder: &Path) {
        let json = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = fs::create_dir_all(folder).and_then(|()| fs::write(folder.join(FILE), json)) {
            tracing::debug!(%error, "the versions of programs were not kept");
        }
    }

    /// What is to be told of every runner that is a program.
    #[must_use]
    pub fn views(&self, programs: &Programs) -> Vec<RunnerView> {
        programs.specs.values().map(|spec| self.view(programs, spec)).collect()
    }

    fn view(&self, programs: &Programs, spec: &RunnerSpec) -> RunnerView {
        let path = path_of(programs, spec);
        let credential = programs.credential(spec);
        let program = spec.command.first().map(String::as_str).unwrap_or_default();
        let missing = match (&path, programs.refusal(), &credential) {
            (None, _, _) => Some(format!("the program {program} is not installed")),
            (_, Some(why), _) => Some(why),
            (_, _, Err(error)) => Some(error.to_string()),
            (Some(_), None, Ok(_)) => None,
        };
        let version = path.as_ref().and_then(|path| self.0.get(path)?.version.clone());
        let credential = credential.ok();
        let held = credential.as_ref().and_then(Option::as_ref);
        let gateway = held.map(|credential| super::gateway::asked(spec, credential).is_some());
        RunnerView {
            name: spec.name.clone(),
            version,
            ready: missing.is_none(),
            missing,
            credential: (!spec.credentials.is_empty()).then_some(credential.as_ref().is_some()),
            lane: credential.flatten().map(|credential| credential.lane()),
            gateway,
            sandbox: Some(programs.sandbox.held(Kind::Program).view()),
        }
    }
}

fn path_of(programs: &Programs, spec: &RunnerSpec) -> Option<PathBuf> {
    let search = programs.variable("PATH").map(OsString::from);
    find(spec.command.first()?, search.as_deref())
}

/// The first program of this name in the folders of a PATH; a name with a slash is a path.
#[must_use]
pub fn find(name: &str, search: Option<&OsStr>) -> Option<PathBuf> {
    let is_program =
        |path: &PathBuf| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(is_program);
    }
    std::env::split_paths(search?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(is_program)
}

fn stamp(path: &Path) -> Option<(u64, i64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.mtime()))
}

/// Asks a program for its version, and ends it when it takes too long.
fn ask(path: &Path, arguments: &[String], search: &str) -> Option<String> {
    let home = std::env::temp_dir();
    let mut command = Command::new(path);
    command.args(arguments).env_clear().env("PATH", search).env("HOME", home).env("DISABLE_AUTOUPDATER", "1");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let begin = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if begin.elapsed() < PATIENCE => std::thread::sleep(LOOK_AGAIN),
            Ok(None) | Err(_) => break None,
        }
    };
    let Some(status) = status else {
        // It may have ended by itself since.
        let _ = child.kill();
        let _ = child.wait();
        return None;
    };
    let mut said = Vec::new();
    child.stdout.take()?.take(MAX_SAID_BYTES).read_to_end(&mut said).ok()?;
    status.success().then(|| version_in(&String::from_utf8_lossy(&said))).flatten()
}

/// The first word with a dot that begins with a digit.
fn version_in(said: &str) -> Option<String> {
    let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    let trimmed =
        said.split_whitespace().map(|word| word.trim_start_matches('v').trim_end_matches([',', ';']));
    trimmed.filter(is_version).map(|word| word.chars().take(MAX_VERSION_CHARS).collect()).next()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use conductor_runtime::config::SandboxMode;

    use crate::sandbox::{Kernel, Needs, Sandbox};

    use super::*;

    fn programs(folder: &Path, mode: Option<SandboxMode>) -> Programs {
        let mut spec = super::super::tests::spec(&["tool"]);
        spec.name = "tool".into();
        spec.version_arguments = vec!["--version".into()];
        spec.credentials = vec!["TOOL_API_KEY".into()];
        let path = format!("{}:/usr/bin:/bin", folder.display());
        let environment =
            [("PATH".into(), path.into()), ("TOOL_API_KEY".into(), "value-of-it".into())].into();
        Programs {
            specs: [("tool".into(), Arc::new(spec))].into(),
            environment,
            secrets: None,
            uses: Default::default(),
            api_url: None,
            conductor: Default::default(),
            sandbox: Sandbox::new(mode, Kernel::default(), &Needs::default()).unwrap(),
        }
    }

    fn script(folder: &Path, text: &str) {
        let path = folder.join("tool");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_program_is_asked_once_for_each_of_its_versions() {
        let (bin, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        script(bin.path(), "#!/bin/sh\necho >> \"$(dirname \"$0\")/asked\"; echo tool 1.2.3 '(x)'\n");
        let programs = programs(bin.path(), Some(SandboxMode::Off));
        for _ in 0..2 {
            let mut versions = Versions::open(kept.path());
            versions.learn(&programs);
            versions.keep(kept.path());
            let view = versions.views(&programs).remove(0);
            assert_eq!(
                (view.version.as_deref(), view.ready, view.credential),
                (Some("1.2.3"), true, Some(true))
            );
            assert!(view.lane.is_some_and(|lane| !lane.contains("value")));
        }
        assert_eq!(fs::read_to_string(bin.path().join("asked")).unwrap().lines().count(), 1);
        script(bin.path(), "#!/bin/sh\necho v1.3.0, new\n");
        let mut versions = Versions::open(kept.path());
        versions.learn(&programs);
        assert_eq!(versions.views(&programs)[0].version.as_deref(), Some("1.3.0"));
    }

    #[test]
    fn what_is_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let missing = |programs: &Programs| Versions::default().views(programs).remove(0).missing;
        let told = missing(&programs(folder.path(), Some(SandboxMode::Off))).unwrap();
        assert_eq!(told, "the program tool is not installed");
        script(folder.path(), "#!/bin/sh\n");
        assert!(missing(&programs(folder.path(), None)).unwrap().contains("Landlock ABI 6"));
        let mut without = programs(folder.path(), Some(SandboxMode::BestEffort));
        assert_eq!(missing(&without), None);
        without.environment = [("PATH".into(), folder.path().into())].into();
        assert_eq!(missing(&without).unwrap(), "no credential is set: TOOL_API_KEY");
    }
}
