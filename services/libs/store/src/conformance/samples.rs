//! One value of everything that is kept, for the suites and the fixtures.

mod told;

use std::sync::Arc;

use conductor_core::{
    Actor, AgentId, AgentImage, AgentLanes, Amount, AttemptEnd, BodyDigest, BudgetImage, CancelReason,
    CatchUp, Event, EventKind, Failure, FailureReason, Groups, Header, Incarnation, InstanceId, KeyId,
    KeyImage, Lane, Lease, LedgerImage, Limit, LoginSession, Name, NewTask, Offspring, OnDependencyFailure,
    Outcome, Overlap, Part, Priority, Profile, Question, Report, RequestId, Requeue, Role, RunImage,
    RunnerLane, RunnerOffer, Schedule, ScheduleId, SecretDigest, Seq, StageImage, Standing, TaskId,
    TaskImage, Token, Trouble, Usage, Wall, Work,
};

/// A name that is known to be one.
#[must_use]
pub fn name(text: &str) -> Name {
    Name::new(text).expect("samples use good names")
}

/// Somebody.
#[must_use]
pub fn actor() -> Arc<Actor> {
    Arc::new(Actor {
        name: name("alice"),
        role: Role::Operator,
        via: name("http"),
        address: Some("192.0.2.7".into()),
    })
}

/// A task as most are.
#[must_use]
pub fn plain_task(id: u128) -> NewTask {
    NewTask { body_bytes: 120, ..NewTask::plain(TaskId(id), name("mock")) }
}

/// A task with everything set.
#[must_use]
pub fn full_task(id: u128) -> NewTask {
    NewTask {
        work: Work::Subtasks,
        name: Some("Räume auf".into()),
        priority: Priority::new(10).expect("10 is a priority"),
        queue_timeout_ms: Some(u64::MAX),
        max_attempts: 3,
        requires: [name("gpu"), name("linux")].into(),
        labels: [(name("team"), name("x"))].into(),
        depends_on: [TaskId(3), TaskId(u128::MAX)].into(),
        on_dependency_failure: OnDependencyFailure::Run,
        run_at: Some(Wall(1_800_000_000_000)),
        parent: Some(TaskId(1)),
        retry_of: Some(TaskId(2)),
        continues: Some(TaskId(3)),
        schedule: Some(ScheduleId(4)),
        ..plain_task(id)
    }
}

/// An event that submits a plain task.
#[must_use]
pub fn submitted(id: u128, at: Wall) -> Event {
    let task = Box::new(plain_task(id));
    let standing = Standing::Queued { queued_at: at };
    Event { at, kind: EventKind::TaskSubmitted { task, standing, key: None, by: actor() } }
}

/// A lease.
#[must_use]
pub fn lease(number: u64) -> Lease {
    Lease { incarnation: Incarnation(0x0123_4567_89ab_cdef), number }
}

fn failure() -> Failure {
    Failure {
        reason: FailureReason::ExitCode,
        message: "the command ended with 2".into(),
        hint: Some("see output.log".into()),
    }
}

fn question() -> Question {
    Question { request_id: RequestId(11), detail_json: r#"{"kind":"question","text":"go on?"}"#.into() }
}

fn report() -> Report {
    Report {
        exit_code: Some(-9),
        simulated: true,
        usage: Usage {
            input_tokens: 1,
            output_tokens: 2,
            cached_input_tokens: 3,
            cost_usd_micros: Some(4),
            turns: 5,
            tool_calls: 6,
        },
        result_json: Some(r#"{"summary":"done"}"#.into()),
    }
}

/// An agent's profile.
#[must_use]
pub fn profile() -> Profile {
    Profile {
        agent_id: AgentId(7),
        instance: InstanceId(8),
        name: name("builder-1"),
        host: "host.example".into(),
        version: "0.1.0".into(),
        slots: 4,
        labels: [name("linux")].into(),
        runners: [
            RunnerOffer { runner: name("mock"), version: None, ready: true, missing: None },
            RunnerOffer {
                runner: name("claude"),
                version: Some("2.1".into()),
                ready: false,
                missing: Some("a credential".into()),
            },
        ]
        .into(),
    }
}

fn schedule() -> Schedule {
    Schedule {
        id: ScheduleId(21),
        name: Some("nightly".into()),
        group: name("default"),
        overlap: Overlap::Cancel,
        catch_up: CatchUp::One,
        next_at: Wall(-1),
        last_task: Some(TaskId(9)),
    }
}

/// One event of every kind, and one more for each shape within, by name.
#[must_use]
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn event_kinds() -> Vec<(&'static str, EventKind)> {
    let (task, lease, by) = (TaskId(0x0190_1234_5678_7abc_8def_0123_4567_89ab), lease(42), actor());
    let ended = |end| EventKind::AttemptEnded { task, lease, end, report: Box::new(report()) };
    let finished = |outcome| EventKind::TaskFinished { task, outcome, by: None };
    let cancel = |reason| EventKind::CancelRequested { task, reason, by: None };
    let freed = |standing| EventKind::TaskFreed { task, standing };
    let requeued = |cause, ready_at| EventKind::TaskRequeued { task, cause, ready_at, queued_at: Wall(5) };
    let mut kinds = vec![
        ("began", EventKind::Began { incarnation: Incarnation(u64::MAX) }),
        (
            "task_submitted",
            EventKind::TaskSubmitted {
                task: Box::new(plain_task(task.0)),
                standing: Standing::Queued { queued_at: Wall(1_700_000_000_000) },
                key: None,
                by: Arc::clone(&by),
            },
        ),
        (
            "task_submitted_full",
            EventKind::TaskSubmitted {
                task: Box::new(full_task(task.0)),
                standing: Standing::Scheduled,
                key: Some(KeyId(5)),
                by: Arc::clone(&by),
            },
        ),
        (
            "key_bound",
            EventKind::KeyBound { key: KeyId(5), body: BodyDigest(6), tasks: [task, TaskId(2)].into() },
        ),
        ("key_expired", EventKind::KeyExpired { key: KeyId(5) }),
        ("task_freed_blocked", freed(Standing::Blocked)),
        ("task_freed_queued", freed(Standing::Queued { queued_at: Wall(i64::MIN) })),
        (
            "task_assigned",
            EventKind::TaskAssigned { task, agent: AgentId(7), lease, attempt: 1, runner: name("mock") },
        ),
        ("task_started", EventKind::TaskStarted { task, lease }),
        (
            "task_asked",
            EventKind::TaskAsked {
                task,
                lease,
                question: question(),
                timeout_left_ms: 9,
                expires_at: Wall(10),
            },
        ),
        (
            "task_answered",
            EventKind::TaskAnswered { task, answer_json: r#""allow""#.into(), by: Arc::clone(&by) },
        ),
        (
            "cancel_requested",
            EventKind::CancelRequested {
                task,
                reason: CancelReason::Requested(Some("wrong branch".into())),
                by: Some(Arc::clone(&by)),
            },
        ),
        ("cancel_requested_parent", cancel(CancelReason::Parent(TaskId(1)))),
        ("cancel_requested_dependency", cancel(CancelReason::Dependency(TaskId(1)))),
        ("cancel_requested_schedule", cancel(CancelReason::Schedule)),
        ("attempt_ended_succeeded", ended(AttemptEnd::Succeeded)),
        ("attempt_ended_failed", ended(AttemptEnd::Failed(failure()))),
        ("attempt_ended_crashed", ended(AttemptEnd::Crashed("the worker died".into()))),
        ("attempt_ended_stopped", ended(AttemptEnd::Stopped)),
        ("attempt_ended_cancelled", ended(AttemptEnd::Cancelled)),
        (
            "attempt_ended_limited",
            ended(AttemptEnd::Limited { rest_ms: 60_000, message: "try again later".into() }),
        ),
        ("task_requeued_backoff", requeued(Requeue::Backoff, Some(Wall(3)))),
        ("task_requeued_crash", requeued(Requeue::Crash, None)),
        ("task_requeued_stop", requeued(Requeue::Stop, None)),
        ("task_requeued_limit", requeued(Requeue::Limit, Some(Wall(3)))),
        ("task_requeued_new_session", requeued(Requeue::NewSession, None)),
        ("task_finished_succeeded", finished(Outcome::Succeeded)),
        ("task_finished_failed", finished(Outcome::Failed(failure()))),
        (
            "task_finished_cancelled",
            EventKind::TaskFinished {
                task,
                outcome: Outcome::Cancelled(CancelReason::Requested(None)),
                by: Some(Arc::clone(&by)),
            },
        ),
        ("tasks_deleted", EventKind::TasksDeleted { tasks: [task].into(), by: Some(Arc::clone(&by)) }),
        ("agent_joined", EventKind::AgentJoined { profile: Box::new(profile()) }),
        ("agent_left", EventKind::AgentLeft { agent: AgentId(7) }),
        ("agent_drained", EventKind::AgentDrained { agent: AgentId(7), draining: true, by: Arc::clone(&by) }),
        ("agent_revoked", EventKind::AgentRevoked { agent: AgentId(7), by: Arc::clone(&by) }),
        ("queue_paused", EventKind::QueuePaused { paused: true, by: Arc::clone(&by) }),
        ("schedule_added", EventKind::ScheduleAdded { schedule: Box::new(schedule()), by: Arc::clone(&by) }),
        ("schedule_removed", EventKind::ScheduleRemoved { schedule: ScheduleId(21), by }),
        (
            "schedule_fired",
            EventKind::ScheduleFired { schedule: ScheduleId(21), task: Some(task), next_at: Wall(2) },
        ),
        (
            "lane_changed",
            EventKind::LaneChanged { lane: name("claude/main"), rests_until: Some(Wall(2)), open: true },
        ),
        ("secrets_asked", EventKind::SecretsAsked { task: TaskId(9), secrets: secrets() }),
        ("secrets_used", EventKind::SecretsUsed { task: TaskId(9), lease, secrets: secrets() }),
        ("task_told", EventKind::TaskTold { task: TaskId(9), lease, message: message(), by: actor() }),
        ("messages_taken", EventKind::MessagesTaken { task: TaskId(9), count: 1 }),
        (
            "question_withdrawn",
            EventKind::QuestionWithdrawn { task: TaskId(9), lease, request_id: RequestId(5) },
        ),
        ("lane_opened", EventKind::LaneOpened { lane: name("claude/main"), by: actor() }),
        ("task_pinned", EventKind::TaskPinned { task, pinned: true, by: actor() }),
        ("lanes_offered", EventKind::LanesOffered { lanes: Box::new(agent_lanes()) }),
        (
            "budget_spent",
            EventKind::BudgetSpent { task, lease, day: Wall(1), amount: amount(), own: Amount::default() },
        ),
        ("budget_asked", EventKind::BudgetAsked { task, limit: limit() }),
        ("budget_held", EventKind::BudgetHeld { task, lease, amount: amount(), cover: Some(TaskId(8)) }),
        ("token_created", EventKind::TokenCreated { token: Box::new(token()), by: actor() }),
        ("token_created_full", EventKind::TokenCreated { token: Box::new(full_token()), by: actor() }),
        ("token_revoked", EventKind::TokenRevoked { name: name("ci"), by: actor() }),
        ("token_expired", EventKind::TokenExpired { name: name("ci") }),
        ("session_opened", EventKind::SessionOpened { session: Box::new(session()), by: actor() }),
        ("session_closed", EventKind::SessionClosed { session: SecretDigest([0xab; 32]), by: None }),
    ];
    kinds.extend(told::event_kinds(task));
    kinds
}

fn agent_lanes() -> AgentLanes {
    let lane = RunnerLane { runner: name("claude"), lane: name("claude/main") };
    AgentLanes { agent: AgentId(7), lanes: [lane].into() }
}

fn amount() -> Amount {
    Amount { usd_micros: u64::MAX, tokens: 7 }
}

fn limit() -> Limit {
    Limit { usd_micros: Some(1_500_000), tokens: None }
}

fn lane() -> Lane {
    let rests_until = Some(Wall(1_700_000_000_000));
    Lane { name: name("claude/main"), closed: false, rests_until, auth_failures: 1, trust: 3 }
}

fn message() -> conductor_core::Told {
    conductor_core::Told { id: conductor_core::RequestId(5), text: "and the tests".into() }
}

fn secrets() -> Box<[Name]> {
    [name("NPM_TOKEN"), name("deploy-key")].into()
}

fn trouble() -> Trouble {
    Trouble { task: TaskId(9), lane: Some(name("claude/main")), limits: 2, new_session: true }
}

fn token() -> Token {
    Token {
        name: name("ci"),
        role: Role::Admin,
        groups: Groups::All,
        digest: SecretDigest([0xcd; 32]),
        created_at: Wall(1),
        created_by: name("owner"),
        expires_at: None,
    }
}

fn full_token() -> Token {
    let groups = Groups::Only([name("red"), name("blue")].into());
    Token { role: Role::Viewer, groups, expires_at: Some(Wall(1_800_000_000_000)), ..token() }
}

fn session() -> LoginSession {
    LoginSession {
        digest: SecretDigest([0xab; 32]),
        token: SecretDigest([0xcd; 32]),
        created_at: Wall(1),
        expires_at: Wall(2),
    }
}

/// A queued task as a snapshot holds it.
#[must_use]
pub fn task_image(id: u128, stage: StageImage) -> TaskImage {
    TaskImage {
        id: TaskId(id),
        submitted_seq: Seq(1),
        seq: Seq(2),
        created_at: Wall(1_700_000_000_000),
        work: Work::Run,
        runner: name("auto"),
        requires: Box::default(),
        group: name("default"),
        priority: Priority::default(),
        timeout_ms: 1_800_000,
        queue_timeout_ms: None,
        max_attempts: 1,
        backoff_ms: 5_000,
        body_bytes: 120,
        run_at: None,
        on_dependency_failure: OnDependencyFailure::Cancel,
        labels: Box::default(),
        parent: None,
        key: None,
        attempt: 0,
        failed_attempts: 0,
        crashed_on: Box::default(),
        last_end: None,
        started_at: None,
        stage,
    }
}

/// One part of every kind, and one more for each shape within, by name.
#[must_use]
pub fn parts() -> Vec<(&'static str, Part)> {
    let task = |image| Part::Task(Box::new(image));
    let run = RunImage {
        agent: AgentId(7),
        lease: lease(42),
        runner: name("mock"),
        assigned_at: Wall(1),
        started: true,
        deadline: Wall(2),
        question: Some((question(), Wall(3), 4)),
        answered: Some((RequestId(12), r#""deny""#.into())),
        cancel: Some(CancelReason::Requested(None)),
    };
    let full = TaskImage {
        requires: [name("gpu")].into(),
        queue_timeout_ms: Some(1),
        run_at: Some(Wall(2)),
        labels: [(name("team"), name("x"))].into(),
        parent: Some(TaskId(1)),
        key: Some(KeyId(5)),
        attempt: 2,
        failed_attempts: 1,
        crashed_on: [name("builder-1")].into(),
        last_end: Some(Requeue::Crash),
        started_at: Some(Wall(3)),
        ..task_image(9, StageImage::Running(run))
    };
    let mut parts = vec![
        (
            "header",
            Part::Header(Header {
                seq: Seq(2),
                incarnation: Incarnation(3),
                next_lease: 4,
                paused: true,
                queue_clock: Wall(5),
            }),
        ),
        (
            "agent",
            Part::Agent(AgentImage {
                profile: profile(),
                draining: true,
                revoked: false,
                joined_at: Wall(6),
            }),
        ),
        (
            "task_blocked",
            task(task_image(
                9,
                StageImage::Blocked {
                    waits_for: [TaskId(1)].into(),
                    failed_dependency: Some(TaskId(2)),
                    failed_subtask: None,
                },
            )),
        ),
        (
            "task_scheduled",
            task(task_image(9, StageImage::Scheduled { until: Wall(1), cause: Some(Requeue::Backoff) })),
        ),
        ("task_queued", task(task_image(9, StageImage::Queued { queued_at: Wall(1) }))),
        ("task_running", task(full)),
        (
            "key",
            Part::Key(KeyImage {
                key: KeyId(5),
                body: BodyDigest(6),
                tasks: [TaskId(1)].into(),
                live: 1,
                ended_at: Wall(2),
            }),
        ),
        ("schedule", Part::Schedule(schedule())),
        ("token", Part::Token(Box::new(full_token()))),
        ("session", Part::Session(session())),
    ];
    parts.extend([
        ("lane", Part::Lane(lane())),
        ("agent_lanes", Part::AgentLanes(agent_lanes())),
        ("trouble", Part::Trouble(trouble())),
        ("secrets", Part::Secrets(conductor_core::SecretsImage { task: TaskId(9), secrets: secrets() })),
        ("pin", Part::Pin(TaskId(9))),
        ("offspring", Part::Offspring(Offspring { task: TaskId(9), made: 7 })),
        ("told", Part::Told(conductor_core::ToldImage { task: TaskId(9), messages: Box::new([message()]) })),
        (
            "budget",
            Part::Budget(BudgetImage {
                task: TaskId(9),
                limit: limit(),
                spent: amount(),
                held: Some((amount(), Some(TaskId(8)))),
            }),
        ),
        (
            "ledger",
            Part::Ledger(LedgerImage {
                day: Wall(1),
                spent: amount(),
                groups: [(name("default"), amount())].into(),
            }),
        ),
    ]);
    parts.extend(told::parts());
    parts
}
