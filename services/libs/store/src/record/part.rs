//! Records of snapshot parts.

use conductor_core::{
    AgentId, AgentImage, AgentLanes, Amount, BodyDigest, BudgetImage, CancelReason, Delivery, Header,
    Incarnation, KeyId, KeyImage, Lane, Lease, LedgerImage, Limit, LoginSession, Name, Offspring,
    OnDependencyFailure, Part, Priority, Profile, Question, RequestId, Requeue, RunImage, Schedule,
    SecretsImage, Seq, StageImage, TaskId, TaskImage, Token, Told, ToldImage, Trouble, Wall, Work,
};

use super::context::{Context, Invalid};
use super::mirror::{Mirror, mirror_enum, mirror_struct};

mirror_enum!(
#[expect(clippy::large_enum_variant, reason = "a record lives on the stack while it is written or read")]
Part => PartV1 {
    Header(header: Header),
    Agent(agent: AgentImage),
    Task(task: Box<TaskImage>),
    Key(key: KeyImage),
    Schedule(schedule: Schedule),
    Token(token: Box<Token>),
    Session(session: LoginSession),
    Webhook(task: TaskId),
    Delivery(delivery: Box<Delivery>),
    Lane(lane: Lane),
    AgentLanes(lanes: AgentLanes),
    Trouble(trouble: Trouble),
    Secrets(secrets: SecretsImage),
    Pin(task: TaskId),
    Offspring(offspring: Offspring),
    Told(told: ToldImage),
    Budget(budget: BudgetImage),
    Ledger(ledger: LedgerImage),
});

mirror_struct!(ToldImage => ToldImageV1 { task: TaskId, messages: Box<[Told]> });

mirror_struct!(Amount => AmountV1 { usd_micros: u64, tokens: u64 });

mirror_struct!(Limit => LimitV1 { usd_micros: Option<u64>, tokens: Option<u64> });

mirror_struct!(BudgetImage => BudgetImageV1 {
    task: TaskId,
    limit: Limit,
    spent: Amount,
    held: Option<(Amount, Option<TaskId>)>,
});

mirror_struct!(LedgerImage => LedgerImageV1 { day: Wall, spent: Amount, groups: Box<[(Name, Amount)]> });

mirror_struct!(SecretsImage => SecretsImageV1 { task: TaskId, secrets: Box<[Name]> });

mirror_struct!(Header => HeaderV1 {
    seq: Seq,
    incarnation: Incarnation,
    next_lease: u64,
    paused: bool,
    queue_clock: Wall,
});

mirror_struct!(AgentImage => AgentImageV1 {
    profile: Profile,
    draining: bool,
    revoked: bool,
    joined_at: Wall,
});

mirror_struct!(KeyImage => KeyImageV1 {
    key: KeyId,
    body: BodyDigest,
    tasks: Box<[TaskId]>,
    live: u32,
    ended_at: Wall,
});

mirror_struct!(TaskImage => TaskImageV1 {
    id: TaskId,
    submitted_seq: Seq,
    seq: Seq,
    created_at: Wall,
    work: Work,
    runner: Name,
    requires: Box<[Name]>,
    group: Name,
    priority: Priority,
    timeout_ms: u64,
    queue_timeout_ms: Option<u64>,
    max_attempts: u16,
    backoff_ms: u64,
    body_bytes: u32,
    run_at: Option<Wall>,
    on_dependency_failure: OnDependencyFailure,
    labels: Box<[(Name, Name)]>,
    parent: Option<TaskId>,
    key: Option<KeyId>,
    attempt: u32,
    failed_attempts: u16,
    crashed_on: Box<[Name]>,
    last_end: Option<Requeue>,
    started_at: Option<Wall>,
    stage: StageImage,
});

mirror_struct!(Offspring => OffspringV1 {
    task: TaskId,
    made: u32,
});

mirror_enum!(StageImage => StageImageV1 {
    Blocked {
        waits_for: Box<[TaskId]>,
        failed_dependency: Option<TaskId>,
        failed_subtask: Option<TaskId>,
    },
    Scheduled { until: Wall, cause: Option<Requeue> },
    Queued { queued_at: Wall },
    Running(run: RunImage),
});

mirror_struct!(RunImage => RunImageV1 {
    agent: AgentId,
    lease: Lease,
    runner: Name,
    assigned_at: Wall,
    started: bool,
    deadline: Wall,
    question: Option<(Question, Wall, u64)>,
    answered: Option<(RequestId, Box<str>)>,
    cancel: Option<CancelReason>,
});
