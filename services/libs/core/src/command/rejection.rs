//! Why commands are refused.

use std::fmt;

use crate::id::{AgentId, KeyId, ScheduleId, TaskId};
use crate::name::Name;

/// Why a command was refused. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// No live task has this id.
    UnknownTask(TaskId),
    /// A dependency names no task.
    UnknownDependency(TaskId),
    /// The dependencies run in a circle through this task.
    DependencyCycle(TaskId),
    /// The id is taken.
    TaskExists(TaskId),
    /// A parent is not a live task that may have subtasks, or lies too deep.
    BadParent(TaskId),
    /// A task would have more subtasks than it may.
    TooManySubtasks {
        /// The task above them.
        parent: TaskId,
        /// The limit.
        limit: u32,
    },
    /// The attempt that submits is over, or was told to end.
    AttemptOver(TaskId),
    /// A running task would have made more tasks below itself than it may.
    TooManyOffspring {
        /// The task.
        task: TaskId,
        /// The limit.
        limit: u32,
    },
    /// A budget above what is submitted is used up.
    BudgetUsed {
        /// Whose it is.
        task: TaskId,
        /// The budget, for people.
        budget: String,
    },
    /// A task depends on more tasks than it may, those that its parent depends on among them.
    TooManyDependencies {
        /// The task.
        task: TaskId,
        /// The limit.
        limit: usize,
    },
    /// As many dependencies are waited for as may be.
    TooManyWaits {
        /// The limit.
        limit: usize,
    },
    /// As many combinations of runner, required labels, group and priority are live as may be.
    TooManyPlaces {
        /// The limit.
        limit: usize,
    },
    /// A key came with another body.
    KeyConflict(KeyId),
    /// As many keys are kept as may be.
    TooManyKeys,
    /// The queue holds as much as it may.
    QueueFull {
        /// The limit.
        limit: u64,
        /// The group whose limit it is; none for the whole queue.
        group: Option<Name>,
    },
    /// The payloads of live tasks have as many bytes as they may.
    BodiesFull {
        /// The limit.
        limit_bytes: u64,
    },
    /// The task does not wait for a person, or asks something else by now.
    NotWaiting(TaskId),
    /// The task does not run, or is about to end, so that it can be told nothing.
    NotRunning(TaskId),
    /// As many messages to the task are kept as may be.
    TooManyMessages {
        /// The task.
        task: TaskId,
        /// The limit.
        limit: usize,
    },
    /// A live task cannot be deleted.
    StillLive(TaskId),
    /// A pinned task cannot be deleted.
    Pinned(TaskId),
    /// As many runs are pinned as may be.
    TooManyPins,
    /// No agent has this name.
    UnknownAgent(Name),
    /// A live agent with another id has this name.
    NameTaken(Name),
    /// The agent was revoked.
    Revoked(AgentId),
    /// As many agents are known as may be.
    TooManyAgents,
    /// The agent speaks on a connection that was replaced or never opened.
    StaleSession(AgentId),
    /// No schedule has this id.
    UnknownSchedule(ScheduleId),
    /// As many schedules are kept as may be.
    TooManySchedules,
    /// No runner uses a credential of this name.
    UnknownLane(Name),
    /// A living token has this name.
    TokenExists(Name),
    /// No token has this name.
    UnknownToken(Name),
    /// As many tokens are kept as may be.
    TooManyTokens {
        /// The limit.
        limit: usize,
    },
    /// A session has this secret already.
    SessionExists,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownTask(task) => write!(f, "no live task {task}"),
            Self::UnknownDependency(task) => write!(f, "the dependency {task} names no task"),
            Self::DependencyCycle(task) => write!(f, "the dependencies run in a circle through {task}"),
            Self::TaskExists(task) => write!(f, "the id {task} is taken"),
            Self::BadParent(task) => {
                write!(f, "{task} is not a live task that may have subtasks at this depth")
            }
            Self::TooManySubtasks { parent, limit } => {
                write!(f, "{parent} would have more than {limit} subtasks")
            }
            Self::AttemptOver(task) => write!(f, "the attempt of {task} is over"),
            Self::TooManyOffspring { task, limit } => {
                write!(f, "{task} would have made more than {limit} tasks below itself")
            }
            Self::BudgetUsed { task, budget } => {
                write!(f, "the budget of {budget} of the task {task} is used up, and this would spend of it")
            }
            Self::TooManyDependencies { task, limit } => {
                write!(f, "{task} depends on more than {limit} tasks")
            }
            Self::TooManyWaits { limit } => write!(f, "the limit of {limit} dependencies are waited for"),
            Self::TooManyPlaces { limit } => {
                write!(f, "the limit of {limit} combinations of runner, labels, group and priority are live")
            }
            Self::KeyConflict(key) => write!(f, "the key {key} came with another body before"),
            Self::TooManyKeys => f.write_str("as many idempotency keys are kept as may be"),
            Self::BodiesFull { limit_bytes } => {
                write!(f, "the payloads of live tasks have their limit of {limit_bytes} bytes")
            }
            Self::QueueFull { limit, group: None } => write!(f, "the queue holds its limit of {limit} tasks"),
            Self::QueueFull { limit, group: Some(group) } => {
                write!(f, "the queue holds the limit of {limit} tasks of group {group}")
            }
            Self::NotWaiting(task) => write!(f, "{task} does not wait for this answer"),
            Self::NotRunning(task) => write!(f, "{task} does not run, so nothing can be said to it"),
            Self::TooManyMessages { task, limit } => {
                write!(f, "{limit} messages to {task} are kept, and no more")
            }
            Self::StillLive(task) => write!(f, "{task} is still live"),
            Self::Pinned(task) => write!(f, "{task} is pinned"),
            Self::TooManyPins => f.write_str("as many runs are pinned as may be"),
            Self::UnknownAgent(name) => write!(f, "no agent is called {name}"),
            Self::NameTaken(name) => write!(f, "another live agent is called {name}"),
            Self::Revoked(agent) => write!(f, "the agent {agent} was revoked"),
            Self::TooManyAgents => f.write_str("as many agents are known as may be"),
            Self::StaleSession(agent) => write!(f, "agent {agent} speaks on a connection that was replaced"),
            Self::UnknownSchedule(schedule) => write!(f, "no schedule {schedule}"),
            Self::TooManySchedules => f.write_str("as many schedules are kept as may be"),
            Self::UnknownLane(lane) => write!(f, "no runner uses the credential {lane}"),
            Self::TokenExists(name) => write!(f, "a token is called {name} already"),
            Self::UnknownToken(name) => write!(f, "no token is called {name}"),
            Self::TooManyTokens { limit } => write!(f, "the limit of {limit} tokens are kept"),
            Self::SessionExists => f.write_str("a session has this secret already"),
        }
    }
}

impl std::error::Error for Rejection {}
