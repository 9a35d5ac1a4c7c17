//! What a worker needs to know.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conductor_protocol::agent::RunnerView;

use crate::git;
use crate::process::KeeperProgram;
use crate::runner::{Limits, Programs};
use crate::session::Target;

/// What a worker needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Unique among live agents.
    pub name: String,
    /// Where it runs, for people.
    pub host: String,
    /// How many tasks it runs at once.
    pub slots: u32,
    /// How many tasks may wait for a person without taking up one of these slots.
    pub max_waiting: u32,
    /// Labels that tasks may require.
    pub labels: Vec<String>,
    /// What it can run besides programs.
    pub built_in: Vec<RunnerView>,
    /// The runners that are programs.
    pub programs: Programs,
    /// Where the run folders are.
    pub workspace: PathBuf,
    /// Where agents keep their state; each has a folder of its own below.
    pub agents: PathBuf,
    /// Where the orchestrator is.
    pub target: Target,
    /// How many bytes have to be free on the disks of these folders, or it takes no tasks.
    pub free_floor_bytes: u64,
    /// How much a run may produce.
    pub limits: Limits,
    /// How long runs go on without an orchestrator.
    pub orphan_grace: Duration,
    /// How long a drain waits for runs before it ends them.
    pub drain: Duration,
    /// How this program is started as a keeper.
    pub keeper: KeeperProgram,
    /// The environment from which children get what is on the allow-list.
    pub environment: Vec<(OsString, OsString)>,
    /// How repositories are reached.
    pub git: Arc<git::Settings>,
}

impl Settings {
    /// How many runs there can be at once, with those that wait.
    pub(super) fn places(&self) -> usize {
        usize::try_from(self.slots.saturating_add(self.max_waiting)).expect("a slot count is small")
    }

    /// The runners that are in the agent itself.
    #[must_use]
    pub fn built_in_runners() -> Vec<RunnerView> {
        ["command", "mock", "replay"].map(RunnerView::ready).into()
    }
}
