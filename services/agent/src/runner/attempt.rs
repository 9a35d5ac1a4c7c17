//! What a slot is asked to run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use conductor_gateway::Limit as Budget;
use conductor_runtime::credentials::{Secret, TOKEN_ENV};
use uuid::Uuid;

use super::program::Order;
use crate::git;
use crate::run::{CopyRoots, InputFile, InputUpload};

/// Describes one attempt at a task, complete enough to run without asking anyone anything.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The task; names the run folder.
    pub task_id: Uuid,
    /// The number of this assignment of the task, from 1; names the attempt's folder.
    pub number: u32,
    /// What runs.
    pub what: What,
    /// What `task.json` says: the task as it was asked, env values and secrets left out.
    pub task_json: String,
    /// The files that the task brought, written below `work/` when the work starts fresh.
    pub files: Vec<InputFile>,
    /// The uploads that it brought, written after the files.
    pub uploads: Vec<InputUpload>,
    /// The variables that the task sets.
    pub env: Vec<(String, String)>,
    /// The secrets that it names, which become variables of these names.
    pub secrets: Vec<String>,
    /// What this attempt finds in `work/`.
    pub start: Start,
    /// What a fresh start begins with a copy of; the task's own files are written over it.
    pub starts_from: Option<StartsFrom>,
    /// What it asks of git.
    pub git: git::Asked,
    /// How it hands work to the queue, where it may.
    pub submits: Option<Submits>,
    /// Whether the work is only to be read.
    pub read_only: bool,
    /// What must succeed afterwards, in the same folder.
    pub verify: Option<Vec<String>>,
    /// How long it may run; the time to prepare the folder and to collect the results is not in it.
    pub timeout: Duration,
    /// How much it may produce.
    pub limits: Limits,
    /// The most that it may spend.
    pub budget: Budget,
}

/// How a run hands work to the queue.
#[derive(Debug, Clone)]
pub struct Submits {
    /// Where the API is.
    pub url: String,
    /// The attempt's own token.
    pub token: Secret,
}

impl Submits {
    /// The variables by which the `conductor` command finds the queue, at the address that leads the run there.
    pub(super) fn variables<'a>(&'a self, url: &'a str) -> [(&'static str, &'a str); 2] {
        [("CONDUCTOR_URL", url), (TOKEN_ENV, self.token.reveal())]
    }
}

/// The runner kinds and what each of them needs.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A program and its arguments.
    Command { argv: Vec<String> },
    /// The simulator, which reads the prompt as steps.
    Mock { prompt: String },
    /// A coding agent.
    Program(Box<Order>),
    /// A recorded run, played again.
    Replay { prompt: String },
}

impl Attempt {
    /// The first attempt at a task that asks for nothing besides what runs, for a minute at most.
    #[must_use]
    pub fn plain(task_id: Uuid, what: What) -> Self {
        Self {
            task_id,
            number: 1,
            what,
            task_json: "{}\n".to_owned(),
            files: Vec::new(),
            uploads: Vec::new(),
            env: Vec::new(),
            secrets: Vec::new(),
            start: Start::Fresh,
            starts_from: None,
            git: git::Asked::default(),
            submits: None,
            read_only: false,
            verify: None,
            timeout: Duration::from_secs(60),
            limits: Limits::default(),
            budget: Budget::default(),
        }
    }

    /// The task whose work, and whose session, this one goes on with.
    #[must_use]
    pub fn source_task(&self) -> Option<Uuid> {
        match &self.starts_from {
            Some(StartsFrom::Task(task)) => Some(*task),
            Some(StartsFrom::Folder(_)) | None => None,
        }
    }
}

/// What a task begins with a copy of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartsFrom {
    /// The work of another task.
    Task(Uuid),
    /// A folder of this host.
    Folder(PathBuf),
}

/// What an attempt finds in the work folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The task's own files; after a failed attempt the old work is kept with that attempt.
    Fresh,
    /// The work as it is: the attempt before ended by a crash, a limit or a clean stop.
    Resume,
}

/// Bounds what an attempt may produce.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most bytes of `output.log`.
    pub max_output_bytes: u64,
    /// What happens beyond them.
    pub on_output_limit: OnOutputLimit,
    /// The most result files that are listed.
    pub max_files: usize,
    /// The most bytes that its folders hold; of result files that are read for their checksum, and of `diff.patch`'s sources.
    pub max_workspace_bytes: u64,
    /// The most bytes of memory of its whole tree.
    pub max_memory_bytes: u64,
    /// The most processes of its whole tree, each thread counted.
    pub max_processes: u64,
    /// How long a process has between TERM and KILL.
    pub grace: Duration,
    /// The folders of this host that tasks may begin with a copy of.
    pub copies: Arc<CopyRoots>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_output_bytes: 64 << 20,
            on_output_limit: OnOutputLimit::Cut,
            max_files: 1_000,
            max_workspace_bytes: 1 << 30,
            max_memory_bytes: u64::MAX,
            max_processes: u64::MAX,
            grace: Duration::from_secs(5),
            copies: Arc::default(),
        }
    }
}

/// What happens to a run that printed more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOutputLimit {
    /// It runs on; a mark says where its output was cut.
    Cut,
    /// It is ended and fails as `output_limit`.
    End,
}
