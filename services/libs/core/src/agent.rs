//! Agents as the machine knows them.

use crate::id::{AgentId, InstanceId};
use crate::name::Name;

/// What an agent offers to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerOffer {
    /// The runner's name.
    pub runner: Name,
    /// Its version, where known.
    pub version: Option<Box<str>>,
    /// Whether it could run now: the program is there and a credential is set where it needs one.
    pub ready: bool,
    /// What is missing when it is not ready.
    pub missing: Option<Box<str>>,
}

/// What an agent says of itself when it connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Kept over restarts.
    pub agent_id: AgentId,
    /// New with every worker process.
    pub instance: InstanceId,
    /// Unique among live agents.
    pub name: Name,
    /// Where it runs, for people.
    pub host: Box<str>,
    /// The agent's own version.
    pub version: Box<str>,
    /// How many tasks it runs at once.
    pub slots: u32,
    /// Labels that tasks may require, sorted.
    pub labels: Box<[Name]>,
    /// What it can run.
    pub runners: Box<[RunnerOffer]>,
}

impl Profile {
    /// Whether the agent can run `runner` now.
    #[must_use]
    pub fn offers(&self, runner: &str) -> bool {
        self.runners.iter().any(|offer| offer.ready && offer.runner.as_str() == runner)
    }

    /// Whether the agent has all of `labels`.
    #[must_use]
    pub fn has_labels(&self, labels: &[Name]) -> bool {
        labels.iter().all(|label| self.labels.binary_search(label).is_ok())
    }
}
