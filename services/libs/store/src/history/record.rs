//! What History knows of a task.

use std::sync::Arc;

use conductor_core::{
    Actor, CancelReason, Failure, Lease, Name, NewTask, Notice, Outcome, Question, Route, Seq, TaskId, Usage,
    Wall,
};

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the contract's and speak for themselves")]
pub enum State {
    Blocked,
    Scheduled,
    Queued,
    Running,
    Waiting,
    Succeeded,
    Failed,
    Cancelled,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Blocked,
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether the task is over.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
            Self::Blocked | Self::Scheduled | Self::Queued | Self::Running | Self::Waiting => false,
        }
    }
}

/// A task, live or over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    /// As it was asked, without its payload.
    pub task: NewTask,
    /// Who asked.
    pub created_by: Arc<Actor>,
    /// The event that submitted it.
    pub submitted_seq: Seq,
    /// The last event about it.
    pub seq: Seq,
    /// Where it stands.
    pub state: State,
    /// When it was submitted.
    pub created_at: Wall,
    /// When it was queued last.
    pub queued_at: Option<Wall>,
    /// When an agent began its first attempt.
    pub started_at: Option<Wall>,
    /// When it was over.
    pub finished_at: Option<Wall>,
    /// When it is due, while it is scheduled.
    pub scheduled_at: Option<Wall>,
    /// The runner of its latest attempt.
    pub ran_on: Option<Name>,
    /// Its attempts, the first first.
    pub attempts: Vec<AttemptRecord>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Why a running one is to end.
    pub cancel: Option<CancelReason>,
    /// What it waits for a person to say.
    pub waiting: Option<Waiting>,
    /// Whether its result was simulated.
    pub simulated: bool,
    /// What its last report said, as the wire's JSON.
    pub result_json: Option<Box<str>>,
    /// What its attempts used, added up.
    pub usage: Usage,
}

/// A question that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// What is asked.
    pub question: Question,
    /// Since when.
    pub since: Wall,
    /// When it lapses.
    pub expires_at: Wall,
}

/// How an attempt stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptState {
    /// It was given to an agent, or runs there.
    Running,
    /// It reached its result.
    Succeeded,
    /// It failed.
    Failed(Failure),
    /// Its agent was lost.
    Crashed(Box<str>),
    /// Its agent was stopped cleanly.
    Stopped,
    /// It was ended with its task.
    Cancelled,
    /// Its credential came to a limit.
    Limited(Box<str>),
}

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    /// The name of the agent; its id where the name was never told.
    pub agent: Name,
    /// The right under which it ran.
    pub lease: Lease,
    /// The runner that executed it.
    pub runner: Name,
    /// How it stands.
    pub state: AttemptState,
    /// When it was given to the agent.
    pub assigned_at: Wall,
    /// When the agent began.
    pub started_at: Option<Wall>,
    /// When it was over.
    pub finished_at: Option<Wall>,
    /// The exit code of the program.
    pub exit_code: Option<i32>,
    /// What it used.
    pub usage: Usage,
}

/// Something that a person or program did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// The first event that it led to.
    pub seq: Seq,
    /// When.
    pub at: Wall,
    /// Who.
    pub actor: Arc<Actor>,
    /// What: `submit`, `cancel`, `answer`, `delete`, `pause`, `resume`, `drain`, `undrain`, `revoke`, `schedule_add`,
    /// `schedule_remove`, `token_create`, `token_revoke`, `login`, `logout`.
    pub action: Name,
    /// The group of the tasks, where it is about tasks of one.
    pub group: Option<Name>,
    /// The tasks it is about, the first first.
    pub tasks: Vec<TaskId>,
    /// What else it is about: an agent, a schedule, a token, a reason.
    pub detail: Option<Box<str>>,
}

/// Something that somebody was to be told of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// The event that made it due.
    pub seq: Seq,
    /// The task.
    pub task: TaskId,
    /// By which way.
    pub route: Route,
    /// What.
    pub notice: Notice,
    /// Where it was sent, without what is secret in it; none before the first try.
    pub to: Option<Box<str>>,
    /// How often it was tried.
    pub tries: u16,
    /// How it stands.
    pub state: DeliveryState,
    /// The status of the last answer.
    pub status: Option<u16>,
    /// Why it was not taken the last time.
    pub error: Option<Box<str>>,
    /// When it was tried last, or became due.
    pub last_at: Wall,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is tried.
    Pending {
        /// When next.
        next_at: Wall,
    },
    /// It was taken.
    Delivered,
    /// It was not taken, and is not tried again.
    GivenUp,
}
