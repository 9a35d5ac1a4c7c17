//! The state in parts, for snapshots. Each part can be written and read by itself.

use crate::access::{LoginSession, Token};
use crate::agent::Profile;
use crate::budget::{Amount, Limit};
use crate::delivery::Delivery;
use crate::id::{AgentId, BodyDigest, Incarnation, KeyId, Lease, RequestId, Seq, TaskId};
use crate::lane::{AgentLanes, Lane, Trouble};
use crate::name::Name;
use crate::schedule::Schedule;
use crate::task::{CancelReason, OnDependencyFailure, Priority, Question, Told, Work};
use crate::time::Wall;

pub use crate::event::Requeue;

/// One part of a snapshot. The header comes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What there is one of.
    Header(Header),
    /// An agent.
    Agent(AgentImage),
    /// A live task.
    Task(Box<TaskImage>),
    /// An idempotency key.
    Key(KeyImage),
    /// A schedule.
    Schedule(Schedule),
    /// A token that was made while running.
    Token(Box<Token>),
    /// A session.
    Session(LoginSession),
    /// A live task that names a webhook.
    Webhook(TaskId),
    /// Something that is to be told.
    Delivery(Box<Delivery>),
    /// A credential of which there is something to say.
    Lane(Lane),
    /// The credentials of an agent's runners.
    AgentLanes(AgentLanes),
    /// What a live task went through with its credential.
    Trouble(Trouble),
    /// What a live task names of secrets.
    Secrets(SecretsImage),
    /// A task whose run is kept whatever its age.
    Pin(TaskId),
    /// What a live task made while it ran.
    Offspring(Offspring),
    /// What people told a live task.
    Told(ToldImage),
    /// What a live task may spend and has spent.
    Budget(BudgetImage),
    /// What everybody spent in a day.
    Ledger(LedgerImage),
}

/// What a live task may spend and has spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetImage {
    /// The task.
    pub task: TaskId,
    /// What it names itself.
    pub limit: Limit,
    /// By its attempts, and by what is below it.
    pub spent: Amount,
    /// What is set aside for its run, and the running task above out of whose amount that is.
    pub held: Option<(Amount, Option<TaskId>)>,
}

/// What everybody spent in a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerImage {
    /// When the day began.
    pub day: Wall,
    /// In all.
    pub spent: Amount,
    /// By groups.
    pub groups: Box<[(Name, Amount)]>,
}

/// The secrets that a live task names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsImage {
    /// The task.
    pub task: TaskId,
    /// Their names.
    pub secrets: Box<[Name]>,
}

/// What people told a live task, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldImage {
    /// The task.
    pub task: TaskId,
    /// The messages.
    pub messages: Box<[Told]>,
}

/// What there is one of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The last event that the snapshot holds.
    pub seq: Seq,
    /// The incarnation that leads.
    pub incarnation: Incarnation,
    /// The number of the next lease.
    pub next_lease: u64,
    /// Whether nothing is assigned.
    pub paused: bool,
    /// The queue's clock, which never runs backwards.
    pub queue_clock: Wall,
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentImage {
    /// What it said of itself.
    pub profile: Profile,
    /// Whether it takes no further tasks.
    pub draining: bool,
    /// Whether it may not come back.
    pub revoked: bool,
    /// When it joined or came back last.
    pub joined_at: Wall,
}

/// An idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyImage {
    /// The key.
    pub key: KeyId,
    /// What was asked under it.
    pub body: BodyDigest,
    /// What was made.
    pub tasks: Box<[TaskId]>,
    /// How many of them live; it expires some time after the last.
    pub live: u32,
    /// When the last of them ended.
    pub ended_at: Wall,
}

/// A live task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskImage {
    /// Its id.
    pub id: TaskId,
    /// The event that submitted it; breaks ties in the queue.
    pub submitted_seq: Seq,
    /// The last event about it.
    pub seq: Seq,
    /// When it was submitted.
    pub created_at: Wall,
    /// Whether a runner executes something.
    pub work: Work,
    /// The runner asked for.
    pub runner: Name,
    /// Labels that an agent must have, sorted.
    pub requires: Box<[Name]>,
    /// Whose share it counts against.
    pub group: Name,
    /// How urgent it is.
    pub priority: Priority,
    /// How long one attempt may run.
    pub timeout_ms: u64,
    /// How long it may stand in the queue.
    pub queue_timeout_ms: Option<u64>,
    /// How many failed attempts end it.
    pub max_attempts: u16,
    /// Pause after the first failed attempt.
    pub backoff_ms: u64,
    /// Bytes of its payload.
    pub body_bytes: u32,
    /// Not before this instant.
    pub run_at: Option<Wall>,
    /// What becomes of it when a dependency fails.
    pub on_dependency_failure: OnDependencyFailure,
    /// Labels for limits.
    pub labels: Box<[(Name, Name)]>,
    /// The task above it.
    pub parent: Option<TaskId>,
    /// The key it came under.
    pub key: Option<KeyId>,
    /// Number of the latest attempt; 0 before the first.
    pub attempt: u32,
    /// How many attempts failed.
    pub failed_attempts: u16,
    /// The agents that were lost while they ran it.
    pub crashed_on: Box<[Name]>,
    /// How the latest attempt ended, when there was one.
    pub last_end: Option<Requeue>,
    /// When its first attempt began.
    pub started_at: Option<Wall>,
    /// Where it stands.
    pub stage: StageImage,
}

/// What a live task made while it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offspring {
    /// The task.
    pub task: TaskId,
    /// How many tasks were made below it.
    pub made: u32,
}

/// Where a live task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageImage {
    /// It waits for others.
    Blocked {
        /// Dependencies that still live.
        waits_for: Box<[TaskId]>,
        /// The first dependency that did not succeed.
        failed_dependency: Option<TaskId>,
        /// The first subtask that did not succeed.
        failed_subtask: Option<TaskId>,
    },
    /// It waits for an instant.
    Scheduled {
        /// The instant.
        until: Wall,
        /// Why; none when it was asked to.
        cause: Option<Requeue>,
    },
    /// It waits for an agent.
    Queued {
        /// Its place in time.
        queued_at: Wall,
    },
    /// An agent has it.
    Running(RunImage),
}

/// A run under a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunImage {
    /// The agent.
    pub agent: AgentId,
    /// The lease.
    pub lease: Lease,
    /// The runner that executes it.
    pub runner: Name,
    /// When it was assigned.
    pub assigned_at: Wall,
    /// Whether the agent said that it began.
    pub started: bool,
    /// When its time is over; stands still while a question waits.
    pub deadline: Wall,
    /// The question that waits for a person, when it lapses, and the running time left.
    pub question: Option<(Question, Wall, u64)>,
    /// The last question that was answered and its answer; sent again when the agent comes back, which may have missed it.
    pub answered: Option<(RequestId, Box<str>)>,
    /// Why it is to end.
    pub cancel: Option<CancelReason>,
}
