//! Calls on agents.

use conductor_core::TaskId;
use serde::{Deserialize, Serialize};

use super::AgentRunner;
use crate::text;

/// Names an agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentName {
    /// The agent.
    pub name: String,
}

/// Let an agent drain, or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DrainAgent {
    /// The agent.
    pub name: String,
    /// Whether to drain.
    pub draining: bool,
}

/// An agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct AgentView {
    pub name: String,
    #[serde(with = "text::display")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Uuid))]
    pub agent_id: conductor_core::AgentId,
    pub host: String,
    pub version: String,
    /// `connected`, `draining`, `gone` or `revoked`.
    pub state: String,
    pub slots: u32,
    pub free: u32,
    pub labels: Vec<String>,
    pub runners: Vec<AgentRunner>,
    /// The tasks it runs.
    #[serde(with = "text::display_list")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<uuid::Uuid>))]
    pub tasks: Vec<TaskId>,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub joined_at: conductor_core::Wall,
    /// Whether a disk of its own has less free space than it must, so that it takes no tasks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disk_full: bool,
}
