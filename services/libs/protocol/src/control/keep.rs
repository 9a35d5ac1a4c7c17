//! What is kept, and what retention deletes.

use conductor_core::TaskId;
use serde::{Deserialize, Serialize};

use crate::text;

/// The most runs and folders that are told one by one.
const MAX_ITEMS: usize = 1_000;

/// Keep a run whatever its age, or let it go.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Pin {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// Whether it is kept.
    pub pinned: bool,
}

/// Delete by retention.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Gc {
    /// Whether only to say what would go.
    pub dry_run: bool,
}

/// What retention deleted or would delete.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GcView {
    /// How many runs, with their records.
    pub runs: u64,
    /// How many work folders of runs that stay.
    pub work_folders: u64,
    /// Whether nothing was deleted.
    pub dry_run: bool,
    /// How many stay because they are pinned.
    #[serde(default)]
    pub pinned: u64,
    /// What would go and why, when nothing was deleted; the first of them.
    #[serde(default)]
    pub items: Vec<GcItem>,
    /// Whether more would go than are told one by one.
    #[serde(default)]
    pub more: bool,
}

/// Something that would go.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GcItem {
    /// Of this task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// What of it.
    pub what: GcKind,
    /// Why.
    pub why: String,
}

/// What of a task would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GcKind {
    /// All of it.
    Run,
    /// All of it, as long as there is too little room.
    RunUntilRoom,
    /// Its work folder.
    WorkFolder,
}

impl GcView {
    /// Tells what would go, as far as it is told.
    pub fn tell(&mut self, tasks: &[TaskId], what: GcKind, why: &str) {
        let room = MAX_ITEMS.saturating_sub(self.items.len());
        self.more |= tasks.len() > room;
        let item = |id: &TaskId| GcItem { id: *id, what, why: why.to_owned() };
        self.items.extend(tasks.iter().take(room).map(item));
    }
}
