//! What a task is made of: what was asked, how an attempt ended, how the task ended.

use crate::id::{Lease, RequestId, TaskId};
use crate::name::Name;
use crate::time::Wall;

/// The runner name that is resolved when the task is assigned.
pub const AUTO: &str = "auto";
/// The built-in simulator.
pub const MOCK: &str = "mock";
/// What `auto` looks for, in this order.
pub const AUTO_ORDER: [&str; 3] = ["claude", "codex", "gemini"];

/// How urgent a task is: 0 to 10, 10 first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// The most urgent.
    pub const MAX: u8 = 10;

    /// Checks a number.
    #[must_use]
    pub fn new(value: u8) -> Option<Self> {
        (value <= Self::MAX).then_some(Self(value))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(5)
    }
}

/// What becomes of a task whose dependency did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDependencyFailure {
    /// The task ends as cancelled.
    #[default]
    Cancel,
    /// The task runs all the same.
    Run,
}

/// What a task asks to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A runner executes its prompt or command.
    Run,
    /// Nothing of its own: it stands for its subtasks.
    Subtasks,
}

/// A task as it enters the machine. Its payload (prompt, command, files, environment) is kept outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Made by the caller.
    pub id: TaskId,
    /// Whether a runner executes something.
    pub work: Work,
    /// The runner asked for, perhaps [`AUTO`].
    pub runner: Name,
    /// What the task is called, for people.
    pub name: Option<Box<str>>,
    /// The preset it was made from.
    pub task_type: Name,
    /// Whose share it counts against.
    pub group: Name,
    /// How urgent it is.
    pub priority: Priority,
    /// How long one attempt may run.
    pub timeout_ms: u64,
    /// How long it may stand in the queue.
    pub queue_timeout_ms: Option<u64>,
    /// How many failed attempts end it; at least 1.
    pub max_attempts: u16,
    /// Pause after the first failed attempt; doubles with each.
    pub backoff_ms: u64,
    /// Bytes of its payload, which count against a limit.
    pub body_bytes: u32,
    /// Labels that an agent must have, sorted.
    pub requires: Box<[Name]>,
    /// Labels for people and for limits.
    pub labels: Box<[(Name, Name)]>,
    /// Tasks that must end first.
    pub depends_on: Box<[TaskId]>,
    /// What becomes of it when one of them fails.
    pub on_dependency_failure: OnDependencyFailure,
    /// Not before this instant.
    pub run_at: Option<Wall>,
    /// The task whose subtask this is.
    pub parent: Option<TaskId>,
    /// The terminal task that this one repeats.
    pub retry_of: Option<TaskId>,
    /// The terminal task whose work and session this one goes on with.
    pub continues: Option<TaskId>,
    /// The schedule that made it.
    pub schedule: Option<crate::id::ScheduleId>,
}

impl NewTask {
    /// A task that asks for nothing but to be run, once, for at most half an hour.
    #[must_use]
    pub fn plain(id: TaskId, runner: Name) -> Self {
        Self {
            id,
            work: Work::Run,
            runner,
            name: None,
            task_type: Name::new("generic").expect("a fixed name"),
            group: Name::new("default").expect("a fixed name"),
            priority: Priority::default(),
            timeout_ms: 1_800_000,
            queue_timeout_ms: None,
            max_attempts: 1,
            backoff_ms: 5_000,
            body_bytes: 0,
            requires: Box::default(),
            labels: Box::default(),
            depends_on: Box::default(),
            on_dependency_failure: OnDependencyFailure::Cancel,
            run_at: None,
            parent: None,
            retry_of: None,
            continues: None,
            schedule: None,
        }
    }
}

/// Why a task or an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the contract's and speak for themselves")]
pub enum FailureReason {
    ExitCode,
    Timeout,
    QueueTimeout,
    Stalled,
    CrashLimit,
    Budget,
    MaxTurns,
    RateLimited,
    Auth,
    ContextOverflow,
    NoResult,
    VerifyFailed,
    PushFailed,
    Oom,
    OutputLimit,
    ProcessLimit,
    DiskFull,
    Dependency,
    InvalidRequest,
    WaitingTimeout,
    InvalidWorkspace,
    RunnerUnavailable,
    RunnerError,
    Internal,
}

impl FailureReason {
    /// Whether another attempt may mend it.
    #[must_use]
    pub fn is_retried(self) -> bool {
        match self {
            Self::ExitCode
            | Self::Timeout
            | Self::Stalled
            | Self::NoResult
            | Self::RunnerError
            | Self::Oom
            | Self::VerifyFailed => true,
            Self::QueueTimeout
            | Self::CrashLimit
            | Self::Budget
            | Self::MaxTurns
            | Self::RateLimited
            | Self::Auth
            | Self::ContextOverflow
            | Self::PushFailed
            | Self::OutputLimit
            | Self::ProcessLimit
            | Self::DiskFull
            | Self::Dependency
            | Self::InvalidRequest
            | Self::WaitingTimeout
            | Self::InvalidWorkspace
            | Self::RunnerUnavailable
            | Self::Internal => false,
        }
    }
}

/// Why something failed, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub reason: FailureReason,
    /// What happened.
    pub message: Box<str>,
    /// What to do about it.
    pub hint: Option<Box<str>>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(reason: FailureReason, message: impl Into<Box<str>>) -> Self {
        Self { reason, message: message.into(), hint: None }
    }
}

/// How an attempt ended, as its agent tells it or as the machine finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The runner reached its result.
    Succeeded,
    /// The runner failed; counts against `max_attempts`.
    Failed(Failure),
    /// The worker, its monitor or its host died; counts against the crash limit only.
    Crashed(Box<str>),
    /// The agent was stopped cleanly; counts against nothing.
    Stopped,
    /// The run was ended because its task was cancelled.
    Cancelled,
    /// A limit of the credential; the task waits without spending the attempt.
    Limited {
        /// How long to wait.
        rest_ms: u64,
        /// What the runner said.
        message: Box<str>,
    },
}

/// What an attempt used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are the contract's and speak for themselves")]
pub struct Usage {
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cached_input_tokens: u64,
    /// In millionths of a US dollar; none when nobody knows.
    pub cost_usd_micros: Option<u64>,
    pub turns: u32,
    pub tool_calls: u32,
}

impl Usage {
    /// Adds what more was used. A cost that nobody knows adds nothing.
    pub fn add(&mut self, more: &Self) {
        self.input_tokens = self.input_tokens.saturating_add(more.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(more.output_tokens);
        self.cached_input_tokens = self.cached_input_tokens.saturating_add(more.cached_input_tokens);
        if let Some(cost) = more.cost_usd_micros {
            self.cost_usd_micros = Some(self.cost_usd_micros.unwrap_or(0).saturating_add(cost));
        }
        self.turns = self.turns.saturating_add(more.turns);
        self.tool_calls = self.tool_calls.saturating_add(more.tool_calls);
    }
}

/// What an agent reports with the end of an attempt. The machine passes it on and keeps none of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The exit code of the program, where one ran to its end.
    pub exit_code: Option<i32>,
    /// Whether the result was simulated.
    pub simulated: bool,
    /// What it used.
    pub usage: Usage,
    /// Summary, session, files and git result as the wire's JSON; opaque here.
    pub result_json: Option<Box<str>>,
}

/// How a task ended. Final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did what was asked.
    Succeeded,
    /// It did not.
    Failed(Failure),
    /// It was not wanted any more.
    Cancelled(CancelReason),
}

impl Outcome {
    /// Whether those that depend on it may run.
    #[must_use]
    pub fn is_success(&self) -> bool {
        match self {
            Self::Succeeded => true,
            Self::Failed(_) | Self::Cancelled(_) => false,
        }
    }
}

/// Why a task was cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancelReason {
    /// A person or program asked for it, perhaps saying why.
    Requested(Option<Box<str>>),
    /// The task above it was cancelled or failed.
    Parent(TaskId),
    /// A task it depends on did not succeed.
    Dependency(TaskId),
    /// Its schedule started a newer run.
    Schedule,
}

/// A question that a run puts to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Names the question; an answer must name it too.
    pub request_id: RequestId,
    /// `question` or `permission`, and what the runner adds, as the wire's JSON; opaque here.
    pub detail_json: Box<str>,
}

/// What a person tells a running task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Names the message.
    pub id: RequestId,
    /// What is said.
    pub text: Box<str>,
}

/// An assignment of a task to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// The right to work on it.
    pub lease: Lease,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}
