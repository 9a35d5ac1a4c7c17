//! What happened. Events are the only way the state changes, and the only thing that is kept.

use std::sync::Arc;

use crate::access::{LoginSession, SecretDigest, Token};
use crate::actor::Actor;
use crate::agent::Profile;
use crate::budget::{Amount, Limit};
use crate::delivery::{Answer, Notice, Route, Tried};
use crate::id::{AgentId, BodyDigest, Incarnation, KeyId, Lease, RequestId, ScheduleId, Seq, TaskId};
use crate::lane::AgentLanes;
use crate::name::Name;
use crate::schedule::Schedule;
use crate::task::{AttemptEnd, CancelReason, NewTask, Outcome, Question, Report, Told};
use crate::time::Wall;

/// An event with the instant it was decided at. Its position in the log is its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it was decided.
    pub at: Wall,
    /// What happened.
    pub kind: EventKind,
}

/// Where a task stands after it was submitted or freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It waits for dependencies or subtasks.
    Blocked,
    /// It waits for `run_at`.
    Scheduled,
    /// It waits for an agent. The instant orders the queue and never runs backwards.
    Queued {
        /// Its place in time.
        queued_at: Wall,
    },
}

/// Why a task that ran waits again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requeue {
    /// A failed attempt; it rests before the next.
    Backoff,
    /// Its agent was lost.
    Crash,
    /// Its agent was stopped cleanly.
    Stop,
    /// Its credential rests.
    Limit,
    /// Its session was too long; it goes on in a new one.
    NewSession,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// An orchestrator began to lead.
    Began {
        /// Stamps the leases it gives.
        incarnation: Incarnation,
    },
    /// A task was accepted.
    TaskSubmitted {
        /// As it was asked.
        task: Box<NewTask>,
        /// Where it stands at first.
        standing: Standing,
        /// The idempotency key it came under.
        key: Option<KeyId>,
        /// Who asked.
        by: Arc<Actor>,
    },
    /// A key was bound to the tasks that were accepted under it.
    KeyBound {
        /// The key.
        key: KeyId,
        /// What was asked under it.
        body: BodyDigest,
        /// What was made, in the order asked.
        tasks: Box<[TaskId]>,
    },
    /// A key may be used anew.
    KeyExpired {
        /// The key.
        key: KeyId,
    },
    /// What a task waited for is there, and it stands elsewhere now.
    TaskFreed {
        /// The task.
        task: TaskId,
        /// Where it stands now.
        standing: Standing,
    },
    /// A task was given to an agent.
    TaskAssigned {
        /// The task.
        task: TaskId,
        /// The agent.
        agent: AgentId,
        /// The right to work on it.
        lease: Lease,
        /// The attempt's number, from 1.
        attempt: u32,
        /// The runner that executes it; never `auto`.
        runner: Name,
    },
    /// The agent began to run it.
    TaskStarted {
        /// The task.
        task: TaskId,
        /// Under which lease.
        lease: Lease,
    },
    /// The run asked a person; its clocks stand still.
    TaskAsked {
        /// The task.
        task: TaskId,
        /// Under which lease.
        lease: Lease,
        /// What is asked.
        question: Question,
        /// How much of its running time was left.
        timeout_left_ms: u64,
        /// When the question lapses.
        expires_at: Wall,
    },
    /// A person answered; the clocks go on.
    TaskAnswered {
        /// The task.
        task: TaskId,
        /// The answer as the wire's JSON; opaque here.
        answer_json: Box<str>,
        /// Who answered.
        by: Arc<Actor>,
    },
    /// Somebody wants a running task to end.
    CancelRequested {
        /// The task.
        task: TaskId,
        /// Why.
        reason: CancelReason,
        /// Who asked; none when it follows from something else.
        by: Option<Arc<Actor>>,
    },
    /// An attempt is over and its lease with it.
    AttemptEnded {
        /// The task.
        task: TaskId,
        /// The lease that ended.
        lease: Lease,
        /// How.
        end: AttemptEnd,
        /// What the agent reported, where it did.
        report: Box<Report>,
    },
    /// A task whose attempt ended waits for another.
    TaskRequeued {
        /// The task.
        task: TaskId,
        /// Why.
        cause: Requeue,
        /// Not before this instant; it is queued at once when none is given.
        ready_at: Option<Wall>,
        /// Its place in time when it is queued at once.
        queued_at: Wall,
    },
    /// A task is over. Final.
    TaskFinished {
        /// The task.
        task: TaskId,
        /// How.
        outcome: Outcome,
        /// Who ended it, where somebody did.
        by: Option<Arc<Actor>>,
    },
    /// Records, payloads and folders of terminal tasks are to go.
    TasksDeleted {
        /// The tasks.
        tasks: Box<[TaskId]>,
        /// Who asked; none for retention.
        by: Option<Arc<Actor>>,
    },
    /// A task's run is to be kept whatever its age, or may go with time again.
    TaskPinned {
        /// The task.
        task: TaskId,
        /// Whether it is kept from now on.
        pinned: bool,
        /// Who asked.
        by: Arc<Actor>,
    },
    /// An agent joined, or came back with another instance or another offer.
    AgentJoined {
        /// What it says of itself.
        profile: Box<Profile>,
    },
    /// An agent is forgotten.
    AgentLeft {
        /// The agent.
        agent: AgentId,
    },
    /// An agent takes no further tasks, or takes them again.
    AgentDrained {
        /// The agent.
        agent: AgentId,
        /// Whether it drains from now on.
        draining: bool,
        /// Who asked.
        by: Arc<Actor>,
    },
    /// An agent may not come back under its id.
    AgentRevoked {
        /// The agent.
        agent: AgentId,
        /// Who asked.
        by: Arc<Actor>,
    },
    /// Nothing is assigned, or assignments go on.
    QueuePaused {
        /// Whether it stands still from now on.
        paused: bool,
        /// Who asked.
        by: Arc<Actor>,
    },
    /// A schedule was added.
    ScheduleAdded {
        /// The schedule.
        schedule: Box<Schedule>,
        /// Who asked.
        by: Arc<Actor>,
    },
    /// A schedule was removed.
    ScheduleRemoved {
        /// The schedule.
        schedule: ScheduleId,
        /// Who asked.
        by: Arc<Actor>,
    },
    /// A schedule came due.
    ScheduleFired {
        /// The schedule.
        schedule: ScheduleId,
        /// The task that it made; none when the occurrence was passed over.
        task: Option<TaskId>,
        /// When it comes due again.
        next_at: Wall,
    },
    /// A credential's lane rests, is closed, or may be used again.
    LaneChanged {
        /// The credential.
        lane: Name,
        /// Until when it rests, if it does.
        rests_until: Option<Wall>,
        /// Whether it is open; a closed one waits for a person or for another credential.
        open: bool,
    },
    /// An attempt is about to end, and what was set aside for it is settled.
    BudgetSpent {
        /// The task.
        task: TaskId,
        /// The lease that ends.
        lease: Lease,
        /// When the day began that it counts to.
        day: Wall,
        /// What counts against the day's budgets.
        amount: Amount,
        /// What counts against the budgets of the task and those above it.
        own: Amount,
    },
    /// A delivery was tried.
    DeliveryTried {
        /// The event that made it due.
        delivery: Seq,
        /// The task it is about.
        task: Option<TaskId>,
        /// What came of it.
        tried: Tried,
        /// What the receiver said.
        answer: Box<Answer>,
    },
    /// A task names a webhook.
    WebhookAsked {
        /// The task.
        task: TaskId,
    },
    /// Somebody is to be told.
    DeliveryDue {
        /// Of which task.
        task: Option<TaskId>,
        /// By which way.
        route: Route,
        /// What.
        notice: Notice,
        /// What there is to say besides, for people.
        detail: Box<str>,
    },
    /// A token was made.
    TokenCreated {
        /// The token.
        token: Box<Token>,
        /// Who asked.
        by: Arc<Actor>,
    },
    /// A token was taken, and every session that it opened.
    TokenRevoked {
        /// Its name.
        name: Name,
        /// Who asked.
        by: Arc<Actor>,
    },
    /// A token's time was over; its sessions went with it.
    TokenExpired {
        /// Its name.
        name: Name,
    },
    /// Somebody logged in.
    SessionOpened {
        /// The session.
        session: Box<LoginSession>,
        /// Who.
        by: Arc<Actor>,
    },
    /// A session is over.
    SessionClosed {
        /// The digest of its secret.
        session: SecretDigest,
        /// Who logged out; none when it ran out or made room.
        by: Option<Arc<Actor>>,
    },
    /// An agent said under which credentials its runners run.
    LanesOffered {
        /// The agent and its lanes.
        lanes: Box<AgentLanes>,
    },
    /// A person had a credential tried again.
    LaneOpened {
        /// The credential.
        lane: Name,
        /// Who.
        by: Arc<Actor>,
    },
    /// A task names secrets that its runs get.
    SecretsAsked {
        /// The task.
        task: TaskId,
        /// Their names.
        secrets: Box<[Name]>,
    },
    /// A run was given the secrets that its task names.
    SecretsUsed {
        /// The task.
        task: TaskId,
        /// The run's lease.
        lease: Lease,
        /// Their names.
        secrets: Box<[Name]>,
    },
    /// A person told a running task something.
    TaskTold {
        /// The task.
        task: TaskId,
        /// The run that is to hear it.
        lease: Lease,
        /// What.
        message: Told,
        /// Who.
        by: Arc<Actor>,
    },
    /// A run took the oldest of the messages to its task.
    MessagesTaken {
        /// The task.
        task: TaskId,
        /// How many.
        count: u32,
    },
    /// A task names a budget.
    BudgetAsked {
        /// The task.
        task: TaskId,
        /// The most that it and all below it may spend.
        limit: Limit,
    },
    /// A run wants no answer to its question any more; the clocks go on.
    QuestionWithdrawn {
        /// The task.
        task: TaskId,
        /// Under which lease.
        lease: Lease,
        /// The question.
        request_id: RequestId,
    },
    /// Money or tokens were set aside for a run that was assigned.
    BudgetHeld {
        /// The task.
        task: TaskId,
        /// The run's lease.
        lease: Lease,
        /// How much.
        amount: Amount,
        /// The running task above it out of whose amount this is taken; without one it counts against the day.
        cover: Option<TaskId>,
    },
}
