//! What runs have used so far, which no event tells before their end.

use conductor_core::TaskId;
use serde::{Deserialize, Serialize};

use super::Id;
use crate::task::UsageView;
use crate::text;

/// Follow what all runs use.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct UsageOfAll {
    /// Whether to go on when all is told that is known.
    pub follow: bool,
}

/// What changed since the last ones. Each tells the latest of a task, so a slow reader misses none that matters.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UsageNews {
    /// Tasks whose runs have used more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<UsedView>,
    /// Tasks of which none runs any more that was told of: an event tells what they used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<Id>,
}

/// What a task that runs has used so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UsedView {
    /// The task.
    #[serde(with = "text::display")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Uuid))]
    pub id: TaskId,
    /// Its group.
    pub group: String,
    /// The attempt that runs.
    pub attempt: u32,
    /// What all its attempts have used, this one so far: the task's own `usage`.
    pub usage: UsageView,
}
