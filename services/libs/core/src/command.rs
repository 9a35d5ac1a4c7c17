//! What the machine can be asked, what it answers, and what it wants done outside.

use std::fmt;
use std::sync::Arc;

use crate::access::{LoginSession, SecretDigest, Token};
use crate::actor::Actor;
use crate::agent::{Profile, RunnerOffer};
use crate::budget::{Amount, Limit};
use crate::delivery::{Answer, Notice};
use crate::id::{
    AgentId, BodyDigest, Incarnation, InstanceId, KeyId, Lease, RequestId, ScheduleId, Seq, TaskId,
};
use crate::lane::RunnerLane;
use crate::name::Name;
use crate::schedule::Schedule;
use crate::task::{AttemptEnd, CancelReason, NewTask, Question, Report, Told};
use crate::time::Wall;

/// A request to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// An orchestrator begins to lead.
    Begin {
        /// Random.
        incarnation: Incarnation,
    },
    /// Tasks are to be accepted, all or none.
    Submit(Submit),
    /// A running task submits tasks below itself: all or none.
    SubmitBelow {
        /// The task that runs.
        parent: TaskId,
        /// The lease under which it does.
        lease: Lease,
        /// What it submits; tasks without a parent become its subtasks.
        submit: Submit,
    },
    /// A task, and all below it, is to end.
    Cancel {
        /// The task.
        task: TaskId,
        /// Why.
        reason: CancelReason,
        /// Who asks.
        by: Arc<Actor>,
    },
    /// A person answers a question.
    Answer {
        /// The task.
        task: TaskId,
        /// The question; the current one when none is named.
        request_id: Option<RequestId>,
        /// The answer as the wire's JSON.
        answer_json: Box<str>,
        /// Who answers.
        by: Arc<Actor>,
    },
    /// A person tells a running task something.
    Tell {
        /// The task.
        task: TaskId,
        /// What.
        message: Told,
        /// Who.
        by: Arc<Actor>,
    },
    /// Terminal tasks are to go.
    Delete {
        /// The tasks; the caller has seen that History knows them.
        tasks: Box<[TaskId]>,
        /// Who asks; none for retention.
        by: Option<Arc<Actor>>,
    },
    /// A task's run is to be kept whatever its age, or may go with time again.
    Pin {
        /// The task; the caller has seen that it is known.
        task: TaskId,
        /// Whether to keep it.
        pinned: bool,
        /// Who asks.
        by: Arc<Actor>,
    },
    /// Nothing, or everything again, is to be assigned.
    Pause {
        /// Whether to stand still.
        paused: bool,
        /// Who asks.
        by: Arc<Actor>,
    },
    /// An agent speaks.
    Agent {
        /// Which.
        agent: AgentId,
        /// On which of its connections; a number that only grows.
        session: u64,
        /// What it says.
        say: AgentSay,
    },
    /// An agent is to take no further tasks, or to take them again.
    DrainAgent {
        /// Its name.
        name: Name,
        /// Whether to drain.
        draining: bool,
        /// Who asks.
        by: Arc<Actor>,
    },
    /// An agent is to lose its leases and its way in.
    RevokeAgent {
        /// Its name.
        name: Name,
        /// Who asks.
        by: Arc<Actor>,
    },
    /// A schedule is to be added.
    AddSchedule {
        /// The schedule.
        schedule: Box<Schedule>,
        /// Who asks.
        by: Arc<Actor>,
    },
    /// A schedule is to be removed.
    RemoveSchedule {
        /// The schedule.
        schedule: ScheduleId,
        /// Who asks.
        by: Arc<Actor>,
    },
    /// A schedule came due; the engine has worked out what follows.
    FireSchedule {
        /// The schedule.
        schedule: ScheduleId,
        /// The occurrence meant; an older call is passed over.
        due_at: Wall,
        /// When it comes due again.
        next_at: Wall,
        /// Whether the occurrence was missed while nothing ran.
        missed: bool,
        /// The task it makes.
        task: Box<NewTask>,
        /// Whether that names a webhook.
        webhook: bool,
        /// The secrets that it names for its runs.
        secrets: Box<[Name]>,
        /// The budget that it names.
        budget: Limit,
        /// Who made the schedule.
        by: Arc<Actor>,
    },
    /// A schedule came due and must not make its task.
    PassSchedule {
        /// The schedule.
        schedule: ScheduleId,
        /// The occurrence meant; an older call is passed over.
        due_at: Wall,
        /// When it comes due again.
        next_at: Wall,
        /// Why, when that is to be told.
        why: Option<Box<str>>,
    },
    /// A credential that was refused, or rests, is to be tried again.
    OpenLane {
        /// Its lane.
        lane: Name,
        /// Who asks.
        by: Arc<Actor>,
    },
    /// A token is to be made.
    CreateToken {
        /// The token.
        token: Box<Token>,
        /// Who asks.
        by: Arc<Actor>,
    },
    /// A token is to go, and every session that it opened.
    RevokeToken {
        /// Its name.
        name: Name,
        /// Who asks.
        by: Arc<Actor>,
    },
    /// A session is to be opened.
    OpenSession {
        /// The session.
        session: LoginSession,
        /// Whose it is.
        by: Arc<Actor>,
    },
    /// A session is to end.
    CloseSession {
        /// The digest of its secret.
        session: SecretDigest,
        /// Whose it was.
        by: Arc<Actor>,
    },
    /// Somebody is to be told of what the machine itself does not see.
    Notify {
        /// What.
        notice: Notice,
        /// Of which live task.
        task: Option<TaskId>,
        /// What there is to say besides, for people.
        detail: Box<str>,
    },
    /// A delivery was tried.
    DeliveryTried {
        /// The event that made it due.
        delivery: Seq,
        /// Whether it was taken.
        delivered: bool,
        /// Whether there is no use in trying again.
        hopeless: bool,
        /// What the receiver said.
        answer: Box<Answer>,
    },
    /// Free slots are to be filled.
    Assign,
    /// A volume has less free space than it must, or both have enough again. Meanwhile nothing is assigned.
    Room {
        /// Which.
        lacking: Option<Volume>,
    },
}

/// What is kept on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volume {
    /// The event log and the history.
    State,
    /// The folders of runs.
    Workspace,
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::State => "state",
            Self::Workspace => "workspace",
        })
    }
}

/// Tasks to accept, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    /// The tasks, parents before their subtasks.
    pub tasks: Vec<NewTask>,
    /// The idempotency key, if one was given.
    pub key: Option<(KeyId, BodyDigest)>,
    /// Dependencies that the machine does not hold any more and whether they succeeded, as History tells.
    pub settled: Vec<(TaskId, bool)>,
    /// Those of the tasks that name a webhook.
    pub webhooks: Vec<TaskId>,
    /// The secrets that some of them name for their runs.
    pub secrets: Vec<(TaskId, Box<[Name]>)>,
    /// The budgets that some of them name.
    pub budgets: Vec<(TaskId, Limit)>,
    /// Who asks.
    pub by: Arc<Actor>,
}

/// What an agent says on its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentSay {
    /// It connects.
    Hello {
        /// What it is.
        profile: Box<Profile>,
        /// The leases it works on or has results of.
        held: Vec<Lease>,
    },
    /// It can run this, which is something else than it said before.
    Offers(Box<[RunnerOffer]>),
    /// Its runners use these credentials; said before it takes tasks.
    Lanes(Box<[RunnerLane]>),
    /// It can take so many further tasks.
    Credits(u32),
    /// It lives.
    Heartbeat,
    /// It began to run a task.
    Started(Lease),
    /// What a run has spent by now, told while it spends and after each hello.
    Spent {
        /// Its lease.
        lease: Lease,
        /// Since it began.
        amount: Amount,
    },
    /// An attempt is over.
    Finished {
        /// Its lease.
        lease: Lease,
        /// How it ended.
        end: AttemptEnd,
        /// What it reports.
        report: Box<Report>,
    },
    /// A run that succeeded took the oldest of the messages to its task; said before that it is over.
    Took {
        /// Its lease.
        lease: Lease,
        /// How many.
        count: u32,
    },
    /// A run asks a person.
    Asked {
        /// Its lease.
        lease: Lease,
        /// What it asks.
        question: Question,
    },
    /// A run wants no answer to its question any more.
    Withdrawn {
        /// Its lease.
        lease: Lease,
        /// The question.
        request_id: RequestId,
    },
    /// It drains by itself and wants nothing more.
    Draining,
    /// Whether a disk of its own has less free space than it must.
    DiskFull(bool),
    /// Its connection is gone.
    Gone,
}

/// What the machine answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done; there is nothing to say.
    Done,
    /// The tasks that were accepted, in the order asked.
    Submitted {
        /// Their ids.
        tasks: Box<[TaskId]>,
        /// Whether they had been accepted before, under the same key.
        repeated: bool,
    },
    /// The tasks that were ended, or told to end.
    Cancelled(Vec<TaskId>),
    /// An agent is welcome; it is to end the work of the leases named.
    Welcome {
        /// Leases that are not its own any more.
        stale: Vec<Lease>,
        /// Whether it is to drain.
        draining: bool,
        /// The instance that the machine knew before, if it was another.
        replaced: Option<InstanceId>,
    },
    /// What became of an agent's report.
    Accepted {
        /// False when its lease was stale.
        fresh: bool,
    },
    /// A schedule's occurrence was handled.
    Fired {
        /// The task it made, if it made one.
        task: Option<TaskId>,
    },
}

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
    /// Tell an agent that a run may spend less than it was told before.
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

pub use crate::event::Requeue;
