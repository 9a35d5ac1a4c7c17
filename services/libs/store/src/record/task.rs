//! Records of what a task is made of.

use conductor_core::{
    AttemptEnd, CancelReason, Failure, FailureReason, Name, NewTask, OnDependencyFailure, Outcome, Priority,
    Question, Report, RequestId, ScheduleId, TaskId, Usage, Wall, Work,
};

use super::context::{Context, Invalid};
use super::mirror::{Mirror, mirror_enum, mirror_names, mirror_struct};

impl<'a> Mirror<'a> for Priority {
    type Record = u8;

    fn to_record(&'a self) -> Self::Record {
        self.get()
    }

    fn from_record(record: Self::Record, _: &mut Context) -> Result<Self, Invalid> {
        Self::new(record).ok_or(Invalid::Priority(record))
    }
}

mirror_names!(OnDependencyFailure => OnDependencyFailureV1 { Cancel, Run });

mirror_names!(Work => WorkV1 { Run, Subtasks });

mirror_struct!(NewTask => NewTaskV1 {
    id: TaskId,
    work: Work,
    runner: Name,
    name: Option<Box<str>>,
    task_type: Name,
    group: Name,
    priority: Priority,
    timeout_ms: u64,
    queue_timeout_ms: Option<u64>,
    max_attempts: u16,
    backoff_ms: u64,
    body_bytes: u32,
    requires: Box<[Name]>,
    labels: Box<[(Name, Name)]>,
    depends_on: Box<[TaskId]>,
    on_dependency_failure: OnDependencyFailure,
    run_at: Option<Wall>,
    parent: Option<TaskId>,
    retry_of: Option<TaskId>,
    continues: Option<TaskId>,
    schedule: Option<ScheduleId>,
});

mirror_names!(FailureReason => FailureReasonV1 {
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
});

mirror_struct!(Failure => FailureV1 {
    reason: FailureReason,
    message: Box<str>,
    hint: Option<Box<str>>,
});

mirror_enum!(AttemptEnd => AttemptEndV1 {
    Succeeded,
    Failed(failure: Failure),
    Crashed(message: Box<str>),
    Stopped,
    Cancelled,
    Limited { rest_ms: u64, message: Box<str> },
});

mirror_struct!(Usage => UsageV1 {
    input_tokens: u64,
    output_tokens: u64,
    cached_input_tokens: u64,
    cost_usd_micros: Option<u64>,
    turns: u32,
    tool_calls: u32,
});

mirror_struct!(Report => ReportV1 {
    exit_code: Option<i32>,
    simulated: bool,
    usage: Usage,
    result_json: Option<Box<str>>,
});

mirror_enum!(Outcome => OutcomeV1 {
    Succeeded,
    Failed(failure: Failure),
    Cancelled(reason: CancelReason),
});

mirror_enum!(CancelReason => CancelReasonV1 {
    Requested(message: Option<Box<str>>),
    Parent(task: TaskId),
    Dependency(task: TaskId),
    Schedule,
});

mirror_struct!(Question => QuestionV1 {
    request_id: RequestId,
    detail_json: Box<str>,
});
