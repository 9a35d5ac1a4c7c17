//! Agents and the leases they hold.

use std::collections::BTreeMap;

use crate::agent::Profile;
use crate::id::{AgentId, Lease, TaskId};
use crate::image::AgentImage;
use crate::lane::{AgentLanes, RunnerLane};
use crate::name::Name;
use crate::state::ApplyError;
use crate::time::Wall;

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) image: AgentImage,
    /// What it works on, by the lease's number.
    pub(crate) runs: BTreeMap<u64, (Lease, TaskId)>,
    /// The credentials of its runners.
    pub(crate) lanes: Box<[RunnerLane]>,
}

impl Agent {
    fn new(image: AgentImage) -> Self {
        Self { image, runs: BTreeMap::new(), lanes: Box::new([]) }
    }

    /// The credential under which a runner runs here.
    pub(crate) fn lane_of(&self, runner: &Name) -> Option<&Name> {
        self.lanes.iter().find(|offer| offer.runner == *runner).map(|offer| &offer.lane)
    }
}

/// The agents by id and by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Agents {
    by_id: BTreeMap<AgentId, Agent>,
    /// Revoked agents have no name any more.
    by_name: BTreeMap<Name, AgentId>,
}

impl Agents {
    pub(crate) fn get(&self, id: AgentId) -> Option<&Agent> {
        self.by_id.get(&id)
    }

    pub(crate) fn named(&self, name: &Name) -> Option<AgentId> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (AgentId, &Agent)> {
        self.by_id.iter().map(|(id, agent)| (*id, agent))
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn get_mut(&mut self, id: AgentId) -> Result<&mut Agent, ApplyError> {
        self.by_id.get_mut(&id).ok_or(ApplyError::Agent(id))
    }

    pub(crate) fn joined(&mut self, at: Wall, profile: &Profile) -> Result<(), ApplyError> {
        let id = profile.agent_id;
        if self.named(&profile.name).is_some_and(|other| other != id) {
            return Err(ApplyError::Agent(id));
        }
        match self.by_id.get_mut(&id) {
            Some(agent) => {
                self.by_name.remove(&agent.image.profile.name);
                agent.image.profile = profile.clone();
                agent.image.joined_at = at;
            }
            None => {
                let image =
                    AgentImage { profile: profile.clone(), draining: false, revoked: false, joined_at: at };
                self.by_id.insert(id, Agent::new(image));
            }
        }
        self.by_name.insert(profile.name.clone(), id);
        Ok(())
    }

    /// An agent's runners run under these credentials from now on.
    pub(crate) fn lanes(&mut self, offered: &AgentLanes) -> Result<(), ApplyError> {
        self.get_mut(offered.agent)?.lanes.clone_from(&offered.lanes);
        Ok(())
    }

    pub(crate) fn left(&mut self, id: AgentId) -> Result<(), ApplyError> {
        let agent = self.by_id.remove(&id).ok_or(ApplyError::Agent(id))?;
        if !agent.runs.is_empty() {
            return Err(ApplyError::Agent(id));
        }
        if !agent.image.revoked {
            self.by_name.remove(&agent.image.profile.name);
        }
        Ok(())
    }

    pub(crate) fn drained(&mut self, id: AgentId, draining: bool) -> Result<(), ApplyError> {
        self.get_mut(id)?.image.draining = draining;
        Ok(())
    }

    pub(crate) fn revoked(&mut self, id: AgentId) -> Result<(), ApplyError> {
        let agent = self.get_mut(id)?;
        if !agent.image.revoked {
            agent.image.revoked = true;
            let name = agent.image.profile.name.clone();
            self.by_name.remove(&name);
        }
        Ok(())
    }

    /// An agent holds a lease from now on.
    pub(crate) fn took(&mut self, id: AgentId, lease: Lease, task: TaskId) -> Result<(), ApplyError> {
        match self.get_mut(id)?.runs.insert(lease.number, (lease, task)) {
            None => Ok(()),
            Some(_) => Err(ApplyError::Lease(lease)),
        }
    }

    /// An agent holds a lease no more; answers its name.
    pub(crate) fn gave_back(&mut self, id: AgentId, lease: Lease) -> Result<Name, ApplyError> {
        let agent = self.get_mut(id)?;
        agent.runs.remove(&lease.number).ok_or(ApplyError::Lease(lease))?;
        Ok(agent.image.profile.name.clone())
    }

    /// Puts back an agent from a snapshot; answers false when it is there already.
    pub(crate) fn restore(&mut self, image: AgentImage) -> bool {
        let id = image.profile.agent_id;
        if !image.revoked && self.by_name.insert(image.profile.name.clone(), id).is_some() {
            return false;
        }
        self.by_id.insert(id, Agent::new(image)).is_none()
    }
}
