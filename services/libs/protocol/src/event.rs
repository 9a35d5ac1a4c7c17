//! State changes as people follow them.

use conductor_core::Wall;
use serde::{Deserialize, Serialize};

use crate::task::{FailureView, State};
use crate::text;

/// One state change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EventView {
    /// Its position in the log.
    pub seq: u64,
    /// When it was decided.
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Wall,
    /// `tasks`, `agents`, `queue` or `schedules`.
    pub topic: String,
    /// What happened, such as `task_submitted` or `attempt_ended`.
    pub kind: String,
    /// The task, agent or schedule that it happened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where the task stands after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The attempt it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The agent it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The group of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What the task is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why it failed, when it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
    /// More, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
