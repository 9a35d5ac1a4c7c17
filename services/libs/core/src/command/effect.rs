//! What is to be done outside after a command.

use crate::budget::Limit;
use crate::event::Requeue;
use crate::id::{AgentId, Lease, RequestId, ScheduleId, TaskId};
use crate::name::Name;
use crate::task::Told;
use crate::time::Wall;

/// What is to be done outside, once the events are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Give a task to an agent.
    Assign {
        /// The agent.
        agent: AgentId,
        /// The task.
        task: TaskId,
        /// The right to work on it.
        lease: Lease,
        /// The attempt's number.
        attempt: u32,
        /// The runner that executes it.
        runner: Name,
        /// The task's group.
        group: Name,
        /// How long it may run.
        timeout_ms: u64,
        /// How the attempt before ended, for what to do with the work folder; none for the first.
        after: Option<Requeue>,
        /// The most that it may spend.
        limit: Limit,
    },
    /// Tell an agent what a run may spend by now, which is more or less than it was told before.
    SetLimit {
        /// The agent.
        agent: AgentId,
        /// Its lease.
        lease: Lease,
        /// The most that it may spend.
        limit: Limit,
    },
    /// Tell an agent that a report was taken or was stale, so that it may forget it.
    Acknowledge {
        /// The agent.
        agent: AgentId,
        /// The lease reported on.
        lease: Lease,
    },
    /// Tell an agent to end a run.
    EndRun {
        /// The agent.
        agent: AgentId,
        /// Its lease.
        lease: Lease,
        /// Whether the lease is already gone, so that no report is wanted.
        revoked: bool,
    },
    /// Hand an answer to a run.
    Answer {
        /// The agent.
        agent: AgentId,
        /// Its lease.
        lease: Lease,
        /// The question.
        request_id: RequestId,
        /// The answer as the wire's JSON.
        answer_json: Box<str>,
    },
    /// Hand a message of a person to a run.
    Tell {
        /// The agent.
        agent: AgentId,
        /// Its lease.
        lease: Lease,
        /// The message.
        message: Told,
    },
    /// Tell an agent whether tasks live below one that it runs: it may wait for them, and they may need its slot.
    Below {
        /// The agent.
        agent: AgentId,
        /// The lease of the run.
        lease: Lease,
        /// Whether any live.
        any: bool,
    },
    /// Tell an agent to drain or to go on.
    Drain {
        /// The agent.
        agent: AgentId,
        /// Whether to drain.
        draining: bool,
    },
    /// Close an agent's connection.
    Disconnect {
        /// The agent.
        agent: AgentId,
        /// Whether it may not come back; otherwise it was silent for too long and may.
        revoked: bool,
    },
    /// Work out a schedule's next occurrence and call back with [`Command::FireSchedule`].
    ScheduleDue {
        /// The schedule.
        schedule: ScheduleId,
        /// The occurrence.
        due_at: Wall,
    },
    /// Look at what is to be told.
    Deliver,
    /// Delete the payloads, records and folders of these tasks.
    DeleteRuns(Box<[TaskId]>),
}
