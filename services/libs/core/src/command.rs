//! What the machine can be asked, what it answers, and what it wants done outside.

use std::fmt;
use std::sync::Arc;

use crate::access::{LoginSession, SecretDigest, Token};
use crate::actor::Actor;
use crate::agent::{Profile, RunnerOffer};
use crate::budget::{Limit, Spending};
use crate::delivery::{Answer, Notice};
use crate::id::{
    AgentId, BodyDigest, Incarnation, InstanceId, KeyId, Lease, RequestId, ScheduleId, Seq, TaskId,
};
use crate::lane::RunnerLane;
use crate::name::Name;
use crate::schedule::Schedule;
use crate::task::{AttemptEnd, CancelReason, NewTask, Question, Report, Told};
use crate::time::Wall;

mod effect;
mod rejection;

pub use effect::Effect;
pub use rejection::Rejection;

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

impl Submit {
    /// These tasks, with nothing beside them.
    #[must_use]
    pub fn of(tasks: Vec<NewTask>, by: Arc<Actor>) -> Self {
        Self {
            tasks,
            key: None,
            settled: Vec::new(),
            webhooks: Vec::new(),
            secrets: Vec::new(),
            budgets: Vec::new(),
            by,
        }
    }
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
        spending: Spending,
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
