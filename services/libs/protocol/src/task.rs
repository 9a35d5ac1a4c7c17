//! Tasks as people read them.

use std::collections::BTreeMap;

use conductor_core::{FailureReason, RequestId, TaskId, Wall};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::submit::{Dependency, OnDependencyFailure, Permission, Retry, SubmitTask, Workspace};
use crate::text;

mod pending;
mod reason;

pub use pending::{PendingCode, PendingView};
pub use reason::{parse_reason, reason_text};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's and speak for themselves")]
pub enum State {
    Blocked,
    Scheduled,
    Queued,
    Running,
    Waiting,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    /// All of them, in the order a task passes through them.
    pub const ALL: [Self; 8] = [
        Self::Blocked,
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether it is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
            Self::Blocked | Self::Scheduled | Self::Queued | Self::Running | Self::Waiting => false,
        }
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A task as `GET /v1/tasks/{id}` gives it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields are the contract's and speak for themselves")]
pub struct TaskView {
    #[serde(with = "text::display")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Uuid))]
    pub id: TaskId,
    pub state: State,
    #[serde(default)]
    pub pending_reason: Option<String>,
    /// The same for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingView>,
    #[serde(default)]
    pub prompt: Option<String>,
    #[serde(default)]
    pub command: Option<Vec<String>>,
    pub runner: String,
    #[serde(rename = "type")]
    pub task_type: String,
    #[serde(default)]
    pub name: Option<String>,
    pub group: String,
    /// Paths of the input files; their contents are left out.
    #[serde(default)]
    pub input_files: Vec<String>,
    pub priority: u8,
    pub timeout_seconds: u64,
    pub retry: Retry,
    #[serde(default)]
    pub requires: Vec<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub depends_on: Vec<Dependency>,
    #[serde(default)]
    pub on_dependency_failure: Option<OnDependencyFailure>,
    #[serde(default, with = "text::optional_instant")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub run_at: Option<Wall>,
    /// Names of the environment variables; their values are left out.
    #[serde(default)]
    pub env: Vec<String>,
    /// What the work folder started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
    /// What must succeed after the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Vec<String>>,
    /// The model that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How many turns it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// What it may do without a person, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission: Option<Permission>,
    /// Whether it may submit tasks below itself.
    #[serde(default)]
    pub may_submit: bool,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Wall,
    #[serde(default, with = "text::optional_instant")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub queued_at: Option<Wall>,
    #[serde(default, with = "text::optional_instant")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub started_at: Option<Wall>,
    #[serde(default, with = "text::optional_instant")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub finished_at: Option<Wall>,
    #[serde(default)]
    pub agent: Option<String>,
    pub attempt: u32,
    #[serde(default)]
    pub attempts: Vec<AttemptView>,
    pub failure: Option<FailureView>,
    pub verified: Option<bool>,
    #[serde(default)]
    pub simulated: bool,
    /// Whether retention keeps it whatever its age.
    #[serde(default)]
    pub pinned: bool,
    pub result: Option<Resultant>,
    #[serde(default)]
    pub usage: UsageView,
    /// The most that it and all below it may cost, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// The most tokens that they may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    pub waiting: Option<WaitingView>,
    pub created_by: Option<CreatedBy>,
    #[serde(with = "text::optional_display")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = Uuid))]
    pub parent: Option<TaskId>,
    #[serde(with = "text::optional_display")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = Uuid))]
    pub retry_of: Option<TaskId>,
    #[serde(with = "text::optional_display")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = Uuid))]
    pub continues: Option<TaskId>,
    pub seq: u64,
}

impl TaskView {
    /// Fills in what only the submitted body tells. Values of the environment and contents of files stay out.
    pub fn add_body(&mut self, body: SubmitTask) {
        self.prompt = body.prompt;
        self.command = body.command;
        self.input_files = body.files.into_iter().map(|file| file.path).collect();
        self.env = body.env.into_keys().collect();
        self.depends_on = body.depends_on;
        self.labels = body.labels;
        self.workspace = body.workspace;
        self.verify = body.verify;
        self.model = body.model;
        self.max_turns = body.max_turns;
        self.permission = body.permission;
        self.may_submit = body.may_submit;
        self.requires = body.requires;
        self.budget_usd = body.budget_usd;
        self.budget_tokens = body.budget_tokens;
    }
}

/// One attempt at a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields are the contract's and speak for themselves")]
pub struct AttemptView {
    pub number: u32,
    pub agent: String,
    /// `running`, `succeeded`, `failed`, `crashed`, `stopped`, `limited` or `cancelled`.
    pub state: String,
    #[serde(default)]
    pub runner: String,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub started_at: Wall,
    #[serde(default, with = "text::optional_instant")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub finished_at: Option<Wall>,
    pub exit_code: Option<i32>,
    pub failure: Option<FailureView>,
    /// What it used by itself, so far while it runs; the task's own `usage` adds up its attempts.
    #[serde(default)]
    pub usage: UsageView,
    /// Whether no model was asked.
    #[serde(default)]
    pub simulated: bool,
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FailureView {
    /// The class.
    #[serde(with = "reason")]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub reason: FailureReason,
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// What an attempt left. `result` in the contract.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields are the contract's and speak for themselves")]
pub struct Resultant {
    pub summary: Option<String>,
    pub exit_code: Option<i32>,
    #[serde(default)]
    pub session_id: Option<String>,
    #[serde(default)]
    pub files: Vec<FileView>,
    #[serde(default)]
    pub files_total: u64,
    /// Files that were left out of the list, by why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files_left_out: BTreeMap<String, u64>,
    /// What a reader should know though it succeeded: `no_tool_calls`, `changed_read_only`, `submodules_not_pushed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// How the run was confined; its mode, by what, and what the kernel lacks; `unsandboxed` where nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// What its verify command found; the task's own `verified` is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// What became of its changes to a git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitView>,
}

/// What became of a run's changes to a git repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields are the contract's and speak for themselves")]
pub struct GitView {
    pub base: String,
    /// The last commit of the run; none when it changed nothing.
    pub commit: Option<String>,
    pub branch: Option<String>,
    pub pushed: bool,
    pub pull_request_url: Option<String>,
}

/// A file that a run left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields are the contract's and speak for themselves")]
pub struct FileView {
    pub path: String,
    pub bytes: u64,
    #[serde(default)]
    pub sha256: Option<String>,
}

/// What a task used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields are the contract's and speak for themselves")]
pub struct UsageView {
    #[serde(default)]
    pub input_tokens: u64,
    #[serde(default)]
    pub output_tokens: u64,
    #[serde(default)]
    pub cached_input_tokens: u64,
    #[serde(default)]
    pub cost_usd: Option<f64>,
    #[serde(default)]
    pub turns: u32,
    #[serde(default)]
    pub tool_calls: u32,
}

/// A question that waits for a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields are the contract's and speak for themselves")]
pub struct WaitingView {
    #[serde(with = "text::display")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Uuid))]
    pub request_id: RequestId,
    pub kind: String,
    pub text: String,
    #[serde(default)]
    pub tool: Option<String>,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub input: Option<Box<RawValue>>,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub since: Wall,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub expires_at: Wall,
}

/// Who submitted a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields are the contract's and speak for themselves")]
pub struct CreatedBy {
    pub name: String,
    pub role: String,
    pub via: String,
}
