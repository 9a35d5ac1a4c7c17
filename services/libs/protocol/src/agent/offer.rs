//! What an agent says of itself and of what it can run.

use conductor_core::{AgentId, InstanceId, Lease};
use serde::{Deserialize, Serialize};

use super::LogPosition;
use crate::text;

/// An agent says what it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// The version it speaks.
    pub protocol: u32,
    /// The per-start key of the socket.
    pub key: String,
    /// Kept over restarts.
    #[serde(with = "text::display")]
    pub agent_id: AgentId,
    /// New with every worker process.
    #[serde(with = "text::display")]
    pub instance: InstanceId,
    /// Unique among live agents.
    pub name: String,
    /// Where it runs.
    pub host: String,
    /// The agent's own version.
    pub version: String,
    /// How many tasks it runs at once.
    pub slots: u32,
    /// Labels that tasks may require.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What it can run.
    pub runners: Vec<RunnerView>,
    /// Leases it works on or has results of.
    #[serde(default, with = "text::display_list")]
    pub held: Vec<Lease>,
    /// How many tasks it can take now.
    pub credits: u32,
    /// Whether it works in the orchestrator's own workspace folder, so that no output needs to cross the wire.
    pub shares_workspace: bool,
    /// The furthest log position it was ever told, so that a rolled-back orchestrator learns what it lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<LogPosition>,
}

/// What an agent can run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RunnerView {
    /// The runner's name.
    pub name: String,
    /// Its version, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it could run now.
    pub ready: bool,
    /// What is missing when it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Whether its credential is there; none when it needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<bool>,
    /// Names the credential, so that runners and agents that share one are known to: a name as names are, new with every
    /// value, which cannot be told from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// How its runs are confined; none where there is nothing to confine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxView>,
    /// Whether its runs ask their model through a gateway, which alone holds the credential; none when there is no credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<bool>,
}

/// How an agent confines the runs of a runner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SandboxView {
    /// What is asked of the sandbox.
    pub mode: SandboxMode,
    /// What holds, each in a word or two; nothing where the runs are not confined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
    /// What the agent's kernel lacks, each in a word or two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// Where the runs may connect to, as far as it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// What a run may take, its whole tree; none of an agent that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsView>,
}

/// Where runs may connect to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Egress {
    /// To their model alone; those without one to nothing.
    Model,
    /// To hosts on a list, and to that of their repository, as well.
    #[default]
    Allowlist,
    /// To whatever the machine reaches.
    Open,
}

impl Egress {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Allowlist => "allowlist",
            Self::Open => "open",
        }
    }
}

/// What a run may take, its whole tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LimitsView {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes, threads counted.
    pub processes: u64,
    /// Bytes in its folders.
    pub disk_bytes: u64,
    /// Bytes that it prints before it is ended.
    pub output_bytes: u64,
}

/// What is asked of a sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum SandboxMode {
    /// No run is confined.
    #[default]
    Off,
    /// A run is confined as far as the kernel can.
    BestEffort,
    /// A run that cannot be confined is refused.
    Required,
}

impl SandboxMode {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::BestEffort => "best_effort",
            Self::Required => "required",
        }
    }
}

impl RunnerView {
    /// A runner that is ready, of which nothing else is to be told.
    #[must_use]
    pub fn ready(name: impl Into<String>) -> Self {
        Self { name: name.into(), ready: true, ..Self::default() }
    }
}

/// An agent opens its output connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutputHello {
    /// The version it speaks.
    pub protocol: u32,
    /// The per-start key of the socket.
    pub key: String,
    /// The agent.
    #[serde(with = "text::display")]
    pub agent_id: AgentId,
    /// Its worker process.
    #[serde(with = "text::display")]
    pub instance: InstanceId,
}
