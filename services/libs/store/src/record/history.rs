//! Records of what History keeps of a task.

use std::sync::Arc;

use conductor_core::{
    Actor, CancelReason, Failure, Lease, Name, NewTask, Outcome, Question, Seq, TaskId, Usage, Wall,
};

use super::context::{Context, Invalid};
use super::mirror::{Mirror, mirror_enum, mirror_names, mirror_struct};
use crate::history::{AttemptRecord, AttemptState, AuditRecord, State, TaskRecord, Waiting};

mirror_names!(State => StateV1 {
    Blocked,
    Scheduled,
    Queued,
    Running,
    Waiting,
    Succeeded,
    Failed,
    Cancelled,
});

mirror_struct!(TaskRecord => TaskRecordV1 {
    task: NewTask,
    created_by: Arc<Actor>,
    submitted_seq: Seq,
    seq: Seq,
    state: State,
    created_at: Wall,
    queued_at: Option<Wall>,
    started_at: Option<Wall>,
    finished_at: Option<Wall>,
    scheduled_at: Option<Wall>,
    ran_on: Option<Name>,
    attempts: Vec<AttemptRecord>,
    outcome: Option<Outcome>,
    cancel: Option<CancelReason>,
    waiting: Option<Waiting>,
    simulated: bool,
    result_json: Option<Box<str>>,
    usage: Usage,
});

mirror_struct!(Waiting => WaitingV1 { question: Question, since: Wall, expires_at: Wall });

mirror_enum!(AttemptState => AttemptStateV1 {
    Running,
    Succeeded,
    Failed(failure: Failure),
    Crashed(message: Box<str>),
    Stopped,
    Cancelled,
    Limited(message: Box<str>),
});

mirror_struct!(AttemptRecord => AttemptRecordV1 {
    number: u32,
    agent: Name,
    lease: Lease,
    runner: Name,
    state: AttemptState,
    assigned_at: Wall,
    started_at: Option<Wall>,
    finished_at: Option<Wall>,
    exit_code: Option<i32>,
    usage: Usage,
});

mirror_struct!(AuditRecord => AuditRecordV1 {
    seq: Seq,
    at: Wall,
    actor: Arc<Actor>,
    action: Name,
    group: Option<Name>,
    tasks: Vec<TaskId>,
    detail: Option<Box<str>>,
});
