//! Schedules as people write and read them.

use conductor_core::{ScheduleId, TaskId, Wall};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::task::State;
use crate::text;

/// What happens when a schedule comes due while its last task still lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The occurrence is passed over.
    #[default]
    Skip,
    /// The new task waits beside the old one.
    Queue,
    /// The old task is cancelled.
    Cancel,
}

/// What happens to occurrences that passed while nothing ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are passed over.
    #[default]
    None,
    /// One task stands for all of them.
    One,
}

/// A schedule to add. The body of `POST /v1/schedules`; also its payload.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the contract's")]
pub struct AddSchedule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Five fields: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// An IANA name; UTC when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    #[serde(default)]
    pub overlap: Overlap,
    #[serde(default)]
    pub catch_up: CatchUp,
    /// A [`crate::submit::SubmitTask`] without refs, dependencies and `run_at`.
    #[cfg_attr(feature = "schema", schema(value_type = crate::submit::SubmitTask))]
    pub task: Box<RawValue>,
}

/// A schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields are the contract's")]
pub struct ScheduleView {
    #[serde(with = "text::display")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Uuid))]
    pub id: ScheduleId,
    #[serde(default)]
    pub name: Option<String>,
    pub cron: String,
    pub time_zone: String,
    pub overlap: Overlap,
    pub catch_up: CatchUp,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub next_at: Wall,
    #[serde(default, with = "text::optional_display")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = Uuid))]
    pub last_task: Option<TaskId>,
    /// What became of the last task, while it is kept.
    #[serde(default)]
    pub last: Option<LastRun>,
    /// Why it makes no tasks at the moment; none while it does.
    #[serde(default)]
    pub paused: Option<String>,
    #[cfg_attr(feature = "schema", schema(value_type = crate::submit::SubmitTask))]
    pub task: Box<RawValue>,
}

/// What became of the last task of a schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct LastRun {
    #[serde(with = "text::display")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Uuid))]
    pub task: TaskId,
    pub state: State,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Wall,
    #[serde(default, with = "text::optional_instant")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub finished_at: Option<Wall>,
}
