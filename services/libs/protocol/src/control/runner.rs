//! What an agent can run, as people read it.

use conductor_core::Wall;
use serde::{Deserialize, Serialize};

use super::LaneState;
use crate::agent::SandboxView;
use crate::text;

/// A runner of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AgentRunner {
    /// Its name.
    pub name: String,
    /// The version of its program, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it could run now.
    pub ready: bool,
    /// What is missing when it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Whether its credential is there; none when it needs none, or while the agent is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<bool>,
    /// The name of its credential, from which its value cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// How that credential stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_state: Option<LaneState>,
    /// Until when that credential rests.
    #[serde(default, with = "text::optional_instant", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub lane_until: Option<Wall>,
    /// Whether its runs ask their model through a gateway, which alone holds the credential; none where none is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<bool>,
    /// How its runs are confined; none where there is nothing to confine, or while the agent is away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxView>,
}
