//! The types of tasks.

use serde::{Deserialize, Serialize};

use crate::submit::Permission;

/// A type that tasks can have, and what they have of it where their submit says nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TaskTypeView {
    /// What a submit calls it.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// What a coding agent is told; `{prompt}` in it stands for what was asked.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Who does it.
    #[serde(default)]
    pub runner: Option<String>,
    /// The most that the program may do without asking.
    #[serde(default)]
    pub permission: Option<Permission>,
    /// Whether the work is only to be read.
    #[serde(default)]
    pub read_only: bool,
    /// How long an attempt may run.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
    /// How urgent it is.
    #[serde(default)]
    pub priority: Option<u8>,
    /// How many failed attempts end it.
    #[serde(default)]
    pub max_attempts: Option<u16>,
    /// The most turns of a coding agent.
    #[serde(default)]
    pub max_turns: Option<u32>,
    /// What it may cost, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// The tokens that it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// The model of a coding agent.
    #[serde(default)]
    pub model: Option<String>,
    /// What must succeed afterwards.
    #[serde(default)]
    pub verify: Option<Vec<String>>,
}
