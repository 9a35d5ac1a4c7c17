//! Records of events.

use std::sync::Arc;

use conductor_core::{
    Actor, AgentId, AgentLanes, Amount, Answer, AttemptEnd, BodyDigest, CancelReason, Event, EventKind,
    Incarnation, KeyId, Lease, Limit, LoginSession, Name, NewTask, Notice, Outcome, Profile, Question,
    Report, RequestId, Requeue, Route, Schedule, ScheduleId, SecretDigest, Seq, Standing, TaskId, Token,
    Told, Tried, Wall,
};

use super::context::{Context, Invalid};
use super::mirror::{Mirror, mirror_enum, mirror_names, mirror_struct};

mirror_struct!(Event => EventV1 { at: Wall, kind: EventKind });

mirror_enum!(Standing => StandingV1 { Blocked, Scheduled, Queued { queued_at: Wall } });

mirror_names!(Requeue => RequeueV1 { Backoff, Crash, Stop, Limit, NewSession });

mirror_enum!(
EventKind => EventKindV1 {
    Began { incarnation: Incarnation },
    TaskSubmitted { task: Box<NewTask>, standing: Standing, key: Option<KeyId>, by: Arc<Actor> },
    KeyBound { key: KeyId, body: BodyDigest, tasks: Box<[TaskId]> },
    KeyExpired { key: KeyId },
    TaskFreed { task: TaskId, standing: Standing },
    TaskAssigned { task: TaskId, agent: AgentId, lease: Lease, attempt: u32, runner: Name },
    TaskStarted { task: TaskId, lease: Lease },
    TaskAsked { task: TaskId, lease: Lease, question: Question, timeout_left_ms: u64, expires_at: Wall },
    TaskAnswered { task: TaskId, answer_json: Box<str>, by: Arc<Actor> },
    CancelRequested { task: TaskId, reason: CancelReason, by: Option<Arc<Actor>> },
    AttemptEnded { task: TaskId, lease: Lease, end: AttemptEnd, report: Box<Report> },
    TaskRequeued { task: TaskId, cause: Requeue, ready_at: Option<Wall>, queued_at: Wall },
    TaskFinished { task: TaskId, outcome: Outcome, by: Option<Arc<Actor>> },
    TasksDeleted { tasks: Box<[TaskId]>, by: Option<Arc<Actor>> },
    AgentJoined { profile: Box<Profile> },
    AgentLeft { agent: AgentId },
    AgentDrained { agent: AgentId, draining: bool, by: Arc<Actor> },
    AgentRevoked { agent: AgentId, by: Arc<Actor> },
    QueuePaused { paused: bool, by: Arc<Actor> },
    ScheduleAdded { schedule: Box<Schedule>, by: Arc<Actor> },
    ScheduleRemoved { schedule: ScheduleId, by: Arc<Actor> },
    ScheduleFired { schedule: ScheduleId, task: Option<TaskId>, next_at: Wall },
    LaneChanged { lane: Name, rests_until: Option<Wall>, open: bool },
    BudgetSpent { task: TaskId, lease: Lease, day: Wall, amount: Amount, own: Amount },
    DeliveryTried { delivery: Seq, task: Option<TaskId>, tried: Tried, answer: Box<Answer> },
    TokenCreated { token: Box<Token>, by: Arc<Actor> },
    TokenRevoked { name: Name, by: Arc<Actor> },
    TokenExpired { name: Name },
    SessionOpened { session: Box<LoginSession>, by: Arc<Actor> },
    SessionClosed { session: SecretDigest, by: Option<Arc<Actor>> },
    WebhookAsked { task: TaskId },
    DeliveryDue { task: Option<TaskId>, route: Route, notice: Notice, detail: Box<str> },
    LanesOffered { lanes: Box<AgentLanes> },
    LaneOpened { lane: Name, by: Arc<Actor> },
    SecretsAsked { task: TaskId, secrets: Box<[Name]> },
    SecretsUsed { task: TaskId, lease: Lease, secrets: Box<[Name]> },
    TaskPinned { task: TaskId, pinned: bool, by: Arc<Actor> },
    TaskTold { task: TaskId, lease: Lease, message: Told, by: Arc<Actor> },
    MessagesTaken { task: TaskId, count: u32 },
    BudgetAsked { task: TaskId, limit: Limit },
    BudgetHeld { task: TaskId, lease: Lease, amount: Amount, cover: Option<TaskId> },
    QuestionWithdrawn { task: TaskId, lease: Lease, request_id: RequestId },
});

mirror_struct!(Told => ToldV1 { id: RequestId, text: Box<str> });
