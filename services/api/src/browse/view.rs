//! The lists as JSON.

use conductor_core::{TaskId, Wall};
use conductor_protocol::control::EntryView;
use conductor_protocol::task::{State, TaskView};
use conductor_protocol::text;
use serde::Serialize;

/// A page of runs, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Runs {
    /// The runs.
    pub(crate) items: Vec<Run>,
    /// Where the next page begins, when there is one.
    pub(crate) next_cursor: Option<String>,
}

/// A run, as far as its folder's list tells of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Run {
    /// The task.
    #[serde(with = "text::display")]
    #[schema(value_type = String, format = Uuid)]
    pub(crate) id: TaskId,
    /// Its name, when it has one.
    pub(crate) name: Option<String>,
    /// Where it stands.
    pub(crate) state: State,
    /// Its group.
    pub(crate) group: String,
    /// When it was submitted.
    #[serde(with = "text::instant")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Wall,
    /// When it ended, if it has.
    #[serde(with = "text::optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(crate) finished_at: Option<Wall>,
}

/// A folder: of a run, or of the logs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Folder {
    /// The run that it belongs to; none for the logs.
    pub(crate) run: Option<Run>,
    /// Its path in the run's folder or in that of the logs; empty for the folder itself.
    pub(crate) path: String,
    /// The names in it: folders first, each kind by name.
    pub(crate) items: Vec<EntryView>,
    /// How many names there are.
    pub(crate) total: u64,
    /// Whether there are even more, which were not counted.
    pub(crate) more: bool,
    /// Where the next page begins, when there is one.
    pub(crate) next_cursor: Option<String>,
}

impl From<TaskView> for Run {
    fn from(task: TaskView) -> Self {
        Self {
            id: task.id,
            name: task.name,
            state: task.state,
            group: task.group,
            created_at: task.created_at,
            finished_at: task.finished_at,
        }
    }
}
