//! Reading what the machine knows besides the state.

use crate::id::{AgentId, Lease, TaskId};
use crate::image::AgentImage;
use crate::live::Counters;
use crate::machine::Machine;
use crate::name::Name;
use crate::task::Usage;
use crate::time::Mono;

/// An agent with its connection and its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentView<'m> {
    /// What is kept of it.
    pub image: &'m AgentImage,
    /// Whether its connection stands.
    pub connected: bool,
    /// Whether it takes no further tasks, by itself or because it was told.
    pub draining: bool,
    /// Whether a disk of its own has less free space than it must.
    pub disk_full: bool,
    /// How many further tasks it would take.
    pub credits: u32,
    /// When it was heard last.
    pub heard: Mono,
    /// What it works on, oldest lease first.
    pub leases: Vec<(Lease, TaskId)>,
}

impl Machine {
    /// The agents known, revoked ones among them.
    pub fn agents(&self) -> impl Iterator<Item = AgentView<'_>> {
        self.state.known_agents().filter_map(|(id, _)| self.agent(id))
    }

    /// An agent.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<AgentView<'_>> {
        let agent = self.state.known_agent(id)?;
        let session = self.live.sessions.get(&id);
        Some(AgentView {
            image: &agent.image,
            connected: session.is_some_and(|session| session.connected),
            draining: agent.image.draining || session.is_some_and(|session| session.draining),
            disk_full: session.is_some_and(|session| session.connected && session.disk_full),
            credits: session.map_or(0, |session| session.credits),
            heard: session.map_or(Mono::default(), |session| session.heard),
            leases: agent.runs.values().copied().collect(),
        })
    }

    /// What a task's run told that it used so far.
    #[must_use]
    pub fn used(&self, task: TaskId) -> Option<Usage> {
        let lease = self.state.live(task)?.run()?.lease;
        self.live.spent.get(&lease).map(|told| told.usage)
    }

    /// What each task's run told that it used so far, with the task's group; those that told nothing are left out.
    pub fn used_by_each(&self) -> impl Iterator<Item = (TaskId, &Name, Usage)> {
        let runs = self.state.known_agents().flat_map(|(_, agent)| agent.runs.values());
        runs.filter_map(|(lease, task)| {
            let told = self.live.spent.get(lease)?;
            Some((*task, self.state.group_of(*task)?, told.usage))
        })
    }

    /// What all runs told that they used so far, of the groups that are seen.
    #[must_use]
    pub fn used_by_all(&self, sees: impl Fn(&Name) -> bool) -> Usage {
        let mut sum = Usage::default();
        for (_, _, used) in self.used_by_each().filter(|(_, group, _)| sees(group)) {
            sum.add(&used);
        }
        sum
    }

    /// How many deadlines are armed, those among them that count no more.
    #[must_use]
    pub fn armed_deadlines(&self) -> usize {
        self.live.tasks.len() + self.live.run_at.len() + self.live.agents.len() + self.live.keys.len()
    }

    /// What happened since the machine began, for metrics.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.live.counters
    }
}
