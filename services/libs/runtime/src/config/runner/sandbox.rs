//! `sandbox.*`: how runs are confined.

use std::path::PathBuf;

use conductor_protocol::agent::{Egress, SandboxMode};
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
