//! A workspace with slots, and repositories for it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use conductor_agent::git::{self, Asked};
use conductor_agent::process::KeeperProgram;
use conductor_agent::runner::{
    Attempt, FailureReason, Outcome, Report, ReportBody, Settings, Slots, Verdict, What,
};
use conductor_protocol::submit::GitWorkspace;
use tokio::sync::mpsc;
use uuid::Uuid;

pub struct Place {
    pub folder: tempfile::TempDir,
    settings: Settings,
    slots: Slots,
    reports: mpsc::Receiver<Report>,
}

impl Place {
    pub fn new(slots: usize, change: impl FnOnce(&mut git::Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut git = git::Settings::default();
        git.config.file_roots = vec![std::env::temp_dir()];
        change(&mut git);
        let settings = Settings {
            at_once: u32::try_from(slots).unwrap(),
            programs: Default::default(),
            workspace: folder.path().join("workspace"),
            agent_id: Uuid::now_v7().to_string(),
            keeper: KeeperProgram {
                path: env!("CARGO_BIN_EXE_conductor-agent").into(),
                args: vec![OsString::from("__agent-keeper")],
            },
            environment: std::env::vars_os().filter(|(name, _)| name == "PATH").collect(),
            git: Arc::new(git),
        };
        let (sender, reports) = mpsc::channel(256);
        let slots = Slots::start(&settings, slots, &sender).unwrap();
        Self { folder, settings, slots, reports }
    }

    /// Starts the slots again, as a worker that comes after one that died.
    pub fn restart(&mut self) {
        let (sender, reports) = mpsc::channel(256);
        self.slots = Slots::start(&self.settings, 1, &sender).unwrap();
        self.reports = reports;
    }

    /// The note that a slot leaves when its worker dies in the middle of an attempt.
    pub fn note(&self) -> PathBuf {
        let name = format!("{}-0", self.settings.agent_id);
        self.folder.path().join("workspace/private/git-unfinished").join(name)
    }

    pub fn alone() -> Self {
        Self::new(1, |_| {})
    }

    /// Runs one attempt after the other; gives how each ended.
    pub fn run(&mut self, attempt: &Attempt) -> Outcome {
        self.begin(0, attempt);
        self.finished()
    }

    pub fn begin(&mut self, slot: usize, attempt: &Attempt) {
        self.slots.run(slot, attempt.clone()).unwrap();
    }

    pub fn finished(&mut self) -> Outcome {
        loop {
            if let ReportBody::Finished(outcome) = self.reports.blocking_recv().unwrap().body {
                return *outcome;
            }
        }
    }

    pub fn task(&self, attempt: &Attempt) -> PathBuf {
        self.folder.path().join("workspace/tasks").join(attempt.task_id.to_string())
    }

    pub fn work(&self, attempt: &Attempt) -> PathBuf {
        self.task(attempt).join("work")
    }

    pub fn private(&self, attempt: &Attempt) -> PathBuf {
        self.folder.path().join("workspace/private").join(attempt.task_id.to_string())
    }

    pub fn diff(&self, attempt: &Attempt) -> String {
        let path = self.task(attempt).join("attempts").join(attempt.number.to_string()).join("diff.patch");
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    pub fn output(&self, attempt: &Attempt) -> String {
        let path = self.task(attempt).join("attempts").join(attempt.number.to_string()).join("output.log");
        std::fs::read_to_string(path).unwrap_or_default()
    }

    pub fn mirrors(&self) -> PathBuf {
        self.folder.path().join("workspace/private/git-mirrors")
    }
}

/// A repository that others clone.
pub struct Repository {
    pub folder: tempfile::TempDir,
}

impl Repository {
    pub fn with(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet", "--initial-branch=main"]);
        // A push may come to any branch but the one that is checked out.
        git(folder.path(), &["config", "receive.denyCurrentBranch", "refuse"]);
        let repository = Self { folder };
        repository.commit(files);
        repository
    }

    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            let path = self.folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        git(self.folder.path(), &["add", "--all"]);
        git(self.folder.path(), &["commit", "--quiet", "--allow-empty", "--message=change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(self.folder.path(), args)
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    pub fn workspace(&self) -> GitWorkspace {
        GitWorkspace { url: self.url(), ..GitWorkspace::default() }
    }
}

/// Runs git as people do, without anything of theirs.
pub fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env_remove("GIT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// An attempt that runs a script of the shell in a repository.
pub fn script(workspace: GitWorkspace, script: &str) -> Attempt {
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    Attempt {
        git: Asked { workspace: Some(workspace), title: "Change things".into(), ..Asked::default() },
        ..Attempt::plain(Uuid::now_v7(), What::Command { argv })
    }
}

pub fn succeeded(outcome: &Outcome) -> &git::Outcome {
    assert_eq!(outcome.verdict, Verdict::Succeeded, "{outcome:?}");
    outcome.git.as_ref().expect("the run had a repository")
}

pub fn failed(outcome: &Outcome) -> (FailureReason, &str) {
    match &outcome.verdict {
        Verdict::Failed(failure) => (failure.reason, &failure.message),
        other => panic!("{other:?}"),
    }
}
