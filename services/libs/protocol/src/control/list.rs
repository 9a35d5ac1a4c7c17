//! Lists of tasks.

use serde::{Deserialize, Serialize};

use crate::task::{State, TaskView};

/// Which tasks are meant. Everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are the contract's query parameters")]
pub struct Filter {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Each `key:value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub label: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub task_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Text that the name, prompt or command holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// RFC 3339; created after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// RFC 3339; created before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_cost: Option<f64>,
    /// The id of the task whose subtasks are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// In what order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Newest first.
    #[default]
    Created,
    /// Oldest first.
    Oldest,
    /// Most expensive first.
    Cost,
}

/// A page to read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are the contract's query parameters")]
pub struct ListRequest {
    pub filter: Filter,
    pub sort: Sort,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// The last seq that the caller saw acknowledged; the page holds everything up to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_least_seq: Option<u64>,
}

/// A page of tasks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Page {
    /// The tasks.
    pub items: Vec<TaskView>,
    /// Where the next page begins, when there is one.
    pub next_cursor: Option<String>,
    /// Up to which event the page tells.
    pub as_of_seq: u64,
}
