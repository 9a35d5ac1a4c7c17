//! What the log says. Only events change it; replaying them gives the same again.

mod access;
mod agents;
mod apply;
pub(crate) mod budget;
mod check;
mod deliveries;
mod keys;
mod lanes;
mod parts;
pub(crate) mod queue;
mod slab;
pub(crate) mod task;
mod told;
mod view;
pub(crate) mod waits;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::hash::IdMap;
use crate::id::{AgentId, Incarnation, KeyId, Lease, ScheduleId, Seq, TaskId};
use crate::schedule::Schedule;
use crate::time::Wall;
use access::Access;
use agents::Agents;
use budget::Ledger;
use deliveries::Deliveries;
use keys::Key;
use lanes::Lanes;
use queue::Queues;
use task::Task;
use waits::Waits;

pub(crate) use agents::Agent;
pub use check::Inconsistency;
pub use parts::RestoreError;
pub use queue::Counts;
pub use view::{Demand, GroupCount};

/// What the log says, up to one of its events.
#[derive(Debug, Clone, Default)]
pub struct State {
    seq: Seq,
    incarnation: Incarnation,
    next_lease: u64,
    paused: bool,
    queue_clock: Wall,
    tasks: IdMap<TaskId, Box<Task>>,
    queues: Queues,
    waits: Waits,
    /// Tasks that wait for a person.
    questions: BTreeSet<TaskId>,
    agents: Agents,
    keys: IdMap<KeyId, Key>,
    schedules: BTreeMap<ScheduleId, Schedule>,
    access: Access,
    deliveries: Deliveries,
    lanes: Lanes,
    ledger: Ledger,
    /// Tasks whose runs are kept whatever their age. Readers share it.
    pins: Arc<BTreeSet<TaskId>>,
}

/// Says that an event does not follow from the state: the log is not this state's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApplyError {
    /// Another event should come next.
    Seq {
        /// The one that should.
        expected: Seq,
        /// The one that came.
        found: Seq,
    },
    /// A task is not live, is live already, or stands elsewhere.
    Task(TaskId),
    /// An agent is not known, or still holds leases.
    Agent(AgentId),
    /// A lease is not held, or is held already.
    Lease(Lease),
    /// A key is not bound, or is bound already.
    Key(KeyId),
    /// A schedule is not known.
    Schedule(ScheduleId),
    /// A token is not known, or is known already.
    Token,
    /// A session is not known, or is known already.
    Session,
    /// A delivery is not pending.
    Delivery(Seq),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seq { expected, found } => write!(f, "event {expected} should follow, not {found}"),
            Self::Task(task) => write!(f, "the event does not fit where task {task} stands"),
            Self::Agent(agent) => write!(f, "the event does not fit agent {agent}"),
            Self::Lease(lease) => write!(f, "the event does not fit lease {lease}"),
            Self::Key(key) => write!(f, "the event does not fit key {key}"),
            Self::Schedule(schedule) => write!(f, "the event does not fit schedule {schedule}"),
            Self::Token => f.write_str("the event does not fit the tokens"),
            Self::Session => f.write_str("the event does not fit the sessions"),
            Self::Delivery(seq) => write!(f, "the event does not fit the delivery of event {seq}"),
        }
    }
}

impl std::error::Error for ApplyError {}

/// What an event may have as a consequence, for the machine to decide. Replay does not look at it: what was decided is in
/// the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// A blocked task may be free now.
    Touched(TaskId),
    /// A task ended before its subtasks.
    Orphaned(TaskId),
    /// The last task of a key ended.
    KeyIdle(KeyId),
}

/// What is yet to be decided, in the order it came up.
pub(crate) type Worklist = VecDeque<Consequence>;
