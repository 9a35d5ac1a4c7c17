//! Lanes: the credentials under which coding CLIs run. Runners and agents that share a credential share its lane.

use crate::name::Name;
use crate::time::Wall;

/// After so many failures to be let in, one after the other, a lane closes.
pub const AUTH_FAILURES_THAT_CLOSE: u8 = 2;
/// The trust at which a lane has no bound any more; below it, at most 2 to its power run at once.
pub const FULL_TRUST: u8 = 6;

/// A lane that is not simply open. One of which nothing is to be said is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// Names the credential; new with every value.
    pub name: Name,
    /// Whether nothing runs under it until somebody opens it.
    pub closed: bool,
    /// Nothing runs under it before this instant.
    pub rests_until: Option<Wall>,
    /// How often in a row it was not let in.
    pub auth_failures: u8,
    /// How far it may be used again after a limit: 2 to the power of this at once. Every success adds one.
    pub trust: u8,
}

impl Lane {
    pub(crate) fn open(name: Name) -> Self {
        Self { name, closed: false, rests_until: None, auth_failures: 0, trust: FULL_TRUST }
    }

    /// Whether there is nothing to say of it.
    pub(crate) fn is_plain(&self) -> bool {
        !self.closed && self.rests_until.is_none() && self.auth_failures == 0 && self.trust >= FULL_TRUST
    }

    /// How many may run at once; none when there is no bound.
    #[must_use]
    pub fn at_once(&self) -> Option<u32> {
        (self.trust < FULL_TRUST).then(|| 1 << self.trust)
    }
}

/// Says under which lane the runs of a runner are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunnerLane {
    /// The runner.
    pub runner: Name,
    /// Its lane.
    pub lane: Name,
}

/// The lane of an agent's runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentLanes {
    /// The agent.
    pub agent: crate::id::AgentId,
    /// Its runners that use a credential, by name.
    pub lanes: Box<[RunnerLane]>,
}

/// What a live task went through with its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The task.
    pub task: crate::id::TaskId,
    /// The lane under which it runs now.
    pub lane: Option<Name>,
    /// How often a limit gave it back.
    pub limits: u16,
    /// Whether its session had to be begun anew because it was too long.
    pub new_session: bool,
}
