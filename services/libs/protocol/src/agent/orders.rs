//! What the orchestrator says.

use conductor_core::{Lease, RequestId, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::text;

/// What the orchestrator says: any of these, in one message.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ToAgent {
    /// Tasks to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assign: Vec<Assign>,
    /// Reports that were taken, or were stale: forget them.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::display_list")]
    pub acknowledged: Vec<Lease>,
    /// Runs to end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub end: Vec<EndRun>,
    /// Answers of people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answered>,
    /// Messages of people to runs. Each is repeated after a reconnect until its run is over, and said to the next run of a task
    /// of which this one does not succeed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tell: Vec<Tell>,
    /// Runs below which tasks live, or live no more: they may wait for these, and lend their slots meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Below>,
    /// Runs that may spend more or less than they were told before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<RunLimit>,
    /// Whether to drain, when that changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<bool>,
    /// Set when the agent may not come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// Bytes of output granted beyond those before; on an output connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<u64>,
}

/// A task to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assign {
    /// The task.
    #[serde(with = "text::display")]
    pub task: TaskId,
    /// The right to work on it.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The runner that executes it; never `auto`.
    pub runner: String,
    /// The task's group: whether its secrets are for it is looked at again before each run.
    pub group: String,
    /// How long it may run.
    pub timeout_ms: u64,
    /// How the attempt before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// The terminal task whose work it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional_display")]
    pub starts_from: Option<TaskId>,
    /// The uploads that the task's files name, as far as they are there. Their bytes are in
    /// `<workspace>/private/uploads/<id>/data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uploads: Vec<AssignedUpload>,
    /// The attempt's token, for a task that may submit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The most that it may spend.
    #[serde(default, skip_serializing_if = "SpendLimit::is_none")]
    pub limit: SpendLimit,
    /// The task as it was submitted, as [`crate::submit::SubmitTask`].
    pub body: Box<RawValue>,
}

/// Whether tasks live below one that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    /// The lease of the run.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// Whether any live.
    pub any: bool,
}

/// What a person told a running task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Names the message.
    #[serde(with = "text::display")]
    pub id: RequestId,
    /// What was said.
    pub text: String,
}

/// A message of a person to a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tell {
    /// The lease of the run.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// The message.
    pub message: Told,
}

/// The most that a run may spend; none is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendLimit {
    /// Millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_micros: Option<u64>,
    /// Tokens: input, cached input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

impl SpendLimit {
    /// Whether it limits nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a run may spend by now: what it submitted spends of the same budget.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunLimit {
    /// Its lease.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// The most that it may spend from its beginning.
    pub limit: SpendLimit,
}

/// An upload that a task brings with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedUpload {
    /// Its name.
    pub id: uuid::Uuid,
    /// One file, a folder as a tar archive, or a git repository as a bundle.
    pub kind: crate::control::UploadKind,
    /// How many bytes it has.
    pub bytes: u64,
    /// Their SHA-256, in lowercase hex.
    pub sha256: String,
}

/// How the attempt before ended, which says what becomes of the work folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// It failed: a fresh copy, the old work kept with its attempt.
    Failure,
    /// Its worker or host died: work and session go on.
    Crash,
    /// Its agent stopped cleanly: work and session go on.
    Stop,
    /// Its credential rested: work and session go on.
    Limit,
    /// Its session was too long: the work goes on, in a new session.
    Overflow,
}

/// A run to end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndRun {
    /// Its lease.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// Whether the lease is already gone, so that no report is wanted.
    pub revoked: bool,
}

/// An answer of a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answered {
    /// The lease of the run that asked.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// The question.
    #[serde(with = "text::display")]
    pub request_id: RequestId,
    /// The answer.
    pub answer: crate::control::AnswerBody,
}
