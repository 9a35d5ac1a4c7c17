//! `sandbox.*`: how runs are confined.

use std::path::PathBuf;

use serde::Deserialize;

/// `sandbox.*`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sandbox {
    /// How runs are confined; unset, by their runner.
    pub mode: Option<SandboxMode>,
    /// Where runs may connect to.
    pub egress: Egress,
    /// Hosts that runs may reach where a list says which: names, names that begin with `*.`, with a port or without.
    pub egress_hosts: Vec<String>,
    /// Folders of cgroups that are the agent's own.
    pub cgroups: Vec<PathBuf>,
    /// What runs may read and execute besides the system and what is in the agent's `PATH`.
    pub read_paths: Vec<PathBuf>,
    /// What runs may write besides their own folders.
    pub write_paths: Vec<PathBuf>,
    /// Whether runs may use Unix sockets, shared memory and message queues.
    pub local_ipc: bool,
}

/// `sandbox.egress`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Egress {
    /// A coding agent reaches its model, everything else nothing.
    Model,
    /// The same, and the hosts on a list and that of the repository.
    #[default]
    Allowlist,
    /// Everything, as the machine does.
    Open,
}

impl Egress {
    /// The name as it is configured.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Allowlist => "allowlist",
            Self::Open => "open",
        }
    }
}

/// `sandbox.mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxMode {
    /// A run that cannot be confined is refused.
    Required,
    /// A run is confined as far as the kernel can.
    BestEffort,
    /// No run is confined.
    Off,
}
