//! Why a task waits, for programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why a task does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PendingView {
    /// Of which kind the reason is.
    pub code: PendingCode,
    /// What the reason names, each under the word of its kind: `tasks`, `subtasks`, `runner`, `missing`, `labels`, `group`,
    /// `label`, `limit`, `lane`, `until`, `volume`, `task`, `spent` or `reserved`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

impl PendingView {
    /// A value that the reason names; empty when it names none.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.values.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// The kinds of reasons for which tasks wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum PendingCode {
    /// It waits for `tasks` that it depends on, and for `subtasks`.
    Blocked,
    /// It waits `until` the time that it was asked to run at.
    RunAt,
    /// It rests `until` then after a failed attempt.
    Backoff,
    /// It rests `until` then after its agent was lost.
    Crash,
    /// It rests `until` then after its agent was stopped.
    Stop,
    /// It rests `until` then after a limit of its credential or an overload of its service.
    Limit,
    /// It goes on in a new session.
    NewSession,
    /// The queue is paused.
    Paused,
    /// The `volume`, `state` or `workspace`, is below its floor of free space.
    NoRoom,
    /// No agent is connected.
    NoAgent,
    /// No agent offers the `runner`; `missing` is what it lacks where that is known.
    NoRunner,
    /// No agent offers a coding runner with a credential.
    NoAuto,
    /// No agent that offers its runner has the `labels`.
    NoLabels,
    /// All agents that could run it are draining.
    Draining,
    /// All agents that could run it and do not drain have less free space on their disks than they must.
    AgentDiskFull,
    /// This orchestrator runs only what was submitted through it.
    NotServed,
    /// The `runner` is at its `limit` of running tasks.
    RunnerLimit,
    /// The `group` is at its `limit` of running tasks.
    GroupLimit,
    /// The `label` is at its `limit` of running tasks.
    LabelLimit,
    /// The credential `lane` was refused and is closed.
    LaneClosed,
    /// The credential `lane` is at its limit `until` then.
    LaneRests,
    /// The credential `lane` is tried with `limit` at once after a limit.
    LaneRecovers,
    /// The day's budget has nothing left: of its `limit` so much is `spent` and so much `reserved` for what runs.
    DayBudget,
    /// The day's budget of the `group` has nothing left, as above.
    GroupBudget,
    /// The budget of the `task`, itself or one above it, has nothing left to set aside, as above.
    TaskBudget,
    /// All agents that could run it are full of runs that wait, for people or for tasks that they submitted.
    AllWaiting,
    /// All agents that could run it are busy.
    Busy,
    /// One that a later release knows.
    #[serde(other)]
    Other,
}
