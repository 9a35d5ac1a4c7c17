//! A worker in the process of its test.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::soon;
use conductor_agent::process::KeeperProgram;
use conductor_agent::runner::Limits;
use conductor_agent::session::Target;
use conductor_agent::worker::{self, Exit, Settings};
use conductor_core::TaskId;
use conductor_runtime::lifecycle::Shutdown;
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub struct Agent {
    pub shutdown: Shutdown,
    pub task: JoinHandle<Result<Exit, worker::Error>>,
}

impl Agent {
    pub fn start(home: &Path) -> Self {
        Self::with(settings(home))
    }

    pub fn with(settings: Settings) -> Self {
        let shutdown = Shutdown::new();
        let inside = shutdown.clone();
        let task = tokio::spawn(async move { worker::run(settings, &inside, std::future::pending()).await });
        Self { shutdown, task }
    }

    pub async fn exit(self) -> Exit {
        soon(self.task).await.unwrap().unwrap()
    }

    pub async fn drained(self) {
        self.shutdown.drain();
        assert_eq!(self.exit().await, Exit::Drained);
    }
}

pub fn settings(home: &Path) -> Settings {
    Settings {
        name: "one".into(),
        host: "here".into(),
        slots: 2,
        max_waiting: 0,
        labels: vec!["gpu".into()],
        built_in: Settings::built_in_runners(),
        programs: Default::default(),
        workspace: home.join("workspace"),
        agents: home.join("state/agents"),
        free_floor_bytes: 0,
        target: Target::unix(&home.join("run/agent.sock")),
        limits: Limits { grace: Duration::from_millis(300), ..Limits::default() },
        orphan_grace: Duration::from_secs(3_600),
        drain: Duration::from_secs(60),
        keeper: KeeperProgram { path: "/bin/false".into(), args: Vec::new() },
        environment: Vec::new(),
        git: Default::default(),
    }
}

pub fn output_log(home: &Path, task: u128, attempt: u32) -> PathBuf {
    let task = home.join("workspace/tasks").join(TaskId(task).to_string());
    task.join("attempts").join(attempt.to_string()).join("output.log")
}

pub fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    conductor_runtime::paths::Home::at(home.path()).create().unwrap();
    home
}
