//! What the machine knows besides the log and forgets when it ends: sessions, credits, and which deadlines are armed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use crate::access::SecretDigest;
use crate::budget::Spending;
use crate::command::Volume;
use crate::id::{AgentId, KeyId, Lease, ScheduleId, TaskId};
use crate::name::Name;
use crate::state::State;
use crate::time::{Mono, Wall};

/// Heap entries beyond twice the live tasks before a heap is swept.
const SWEEP_SLACK: usize = 1_024;

/// What the machine knows besides the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    /// The queue's clock when the machine began.
    pub(crate) began_at: Wall,
    pub(crate) sessions: BTreeMap<AgentId, Session>,
    /// Deadlines of tasks; one counts only if the task names it.
    pub(crate) tasks: BinaryHeap<Reverse<(Mono, TaskId)>>,
    /// Tasks that wait for their `run_at`; one counts only if the task still does.
    pub(crate) run_at: BinaryHeap<Reverse<(Wall, TaskId)>>,
    /// Deadlines of agents; when one passes, the agent is looked at and armed again.
    pub(crate) agents: BinaryHeap<Reverse<(Mono, AgentId)>>,
    /// When idle keys expire; each is armed once.
    pub(crate) keys: BinaryHeap<Reverse<(Mono, KeyId)>>,
    /// Schedules that the engine was not yet told to be due.
    pub(crate) schedules: BTreeSet<(Wall, ScheduleId)>,
    /// When tokens and sessions run out.
    pub(crate) access: BTreeSet<(Wall, Access)>,
    /// When credentials have rested; one counts only if its lane still rests.
    pub(crate) lanes: BTreeSet<(Wall, Name)>,
    /// When the day began that was seen last.
    pub(crate) day: Wall,
    /// What runs told that they have spent.
    pub(crate) spent: BTreeMap<Lease, Spending>,
    pub(crate) counters: Counters,
    /// The volume that has less free space than it must.
    pub(crate) lacking: Option<Volume>,
}

/// A token or a session that runs out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    Token(Name),
    Session(SecretDigest),
}

/// What happened since the machine began, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Leases that ran out.
    pub leases_expired: u64,
    /// Reports under leases that were not held.
    pub stale_reports: u64,
    /// Notices that nobody was told for want of room.
    pub notices_dropped: u64,
}

/// An agent's connection, or what is left of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    /// The connection's number; 0 before the first.
    pub(crate) number: u64,
    pub(crate) connected: bool,
    /// The agent said that it wants nothing more.
    pub(crate) draining: bool,
    /// The agent said that a disk of its own has less free space than it must.
    pub(crate) disk_full: bool,
    pub(crate) credits: u32,
    /// When it was heard last, or given a full time-to-live.
    pub(crate) heard: Mono,
    /// The deadline in the heap.
    pub(crate) armed: Option<Mono>,
}

impl Live {
    /// Arms a task's deadline.
    pub(crate) fn arm_task(&mut self, due: Mono, id: TaskId) {
        self.tasks.push(Reverse((due, id)));
    }

    /// Forgets when a schedule is due.
    pub(crate) fn disarm_schedule(&mut self, id: ScheduleId) {
        self.schedules.retain(|(_, other)| *other != id);
    }

    /// Lets a credential's lane rest until `until`, and no longer until what was said before.
    pub(crate) fn arm_lane(&mut self, until: Wall, lane: &Name) {
        self.lanes.retain(|(_, other)| other != lane);
        self.lanes.insert((until, lane.clone()));
    }

    /// Forgets when tokens and sessions run out that are gone.
    pub(crate) fn disarm_access(&mut self, state: &State) {
        self.access.retain(|(expires_at, access)| match access {
            Access::Token(name) => {
                state.token(name).is_some_and(|token| token.expires_at == Some(*expires_at))
            }
            Access::Session(digest) => state.login_session(*digest).is_some(),
        });
    }

    /// Has an agent looked at by `due`; one that is looked at earlier anyway is armed again then.
    pub(crate) fn arm_agent(&mut self, due: Mono, id: AgentId) {
        let session = self.sessions.entry(id).or_default();
        if session.armed.is_none_or(|armed| due < armed) {
            session.armed = Some(due);
            self.agents.push(Reverse((due, id)));
        }
    }

    /// Sweeps out what counts no more, once that is most of what there is.
    pub(crate) fn sweep(&mut self, state: &State) {
        let most = 2 * state.len() + SWEEP_SLACK;
        if self.tasks.len() > most {
            let mut armed: Vec<_> = std::mem::take(&mut self.tasks).into_vec();
            armed.retain(|Reverse((due, id))| state.live(*id).is_some_and(|task| task.due == Some(*due)));
            self.tasks = armed.into();
        }
        if self.run_at.len() > most {
            let mut armed: Vec<_> = std::mem::take(&mut self.run_at).into_vec();
            armed.retain(|Reverse((until, id))| state.live(*id).is_some_and(|task| task.waits_until(*until)));
            self.run_at = armed.into();
        }
    }
}
