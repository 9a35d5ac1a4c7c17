//! Places of run folders and of the logs, as the file server shows them.

use conductor_core::{TaskId, Wall};
use serde::{Deserialize, Serialize};

use crate::text;

/// Look at a place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Browse {
    /// The task whose folder it is in; the folder of the logs when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional_display")]
    pub id: Option<TaskId>,
    /// The path from there, without a slash at its ends; empty for the folder itself.
    pub path: String,
    /// How many names of a folder at most; none only tells what the place is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// What the last page said as `next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// A place, and the names in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BrowseView {
    /// What it is.
    pub kind: EntryKind,
    /// The names in it, when they were asked for: folders first, each kind by name.
    #[serde(default)]
    pub items: Vec<EntryView>,
    /// How many names there are.
    #[serde(default)]
    pub total: u64,
    /// Whether there are even more, which were not counted.
    #[serde(default)]
    pub more: bool,
    /// Where the next page begins, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EntryView {
    /// The name.
    pub name: String,
    /// What it stands for.
    pub kind: EntryKind,
    /// Its length, when it is a file.
    pub bytes: u64,
    /// When it was last changed.
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub modified_at: Wall,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A file that has another name, which may lie elsewhere; it is not handed out.
    Linked,
    /// A symbolic link; it is not followed.
    Link,
    /// A pipe, a socket or a device.
    Other,
}
