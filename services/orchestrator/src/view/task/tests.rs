//! A view is of one moment: what the machine said, or what History said later, never half of each.

use std::sync::Arc;

use conductor_core::{
    Actor, AgentId, Incarnation, Lease, NewTask, Obstacle, OnDependencyFailure, Outcome, Priority, Role,
    RunImage, Seq, StageImage, TaskId, TaskImage, Usage, Wall, Work,
};
use conductor_store::history::{AttemptRecord, AttemptState, State as Recorded, TaskRecord};

use super::*;

const ID: TaskId = TaskId(7);
const LEASE: Lease = Lease { incarnation: Incarnation(1), number: 1 };

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// What the machine says of a task at an event.
fn live(seq: u64, stage: StageImage) -> Live {
    let (agent, pending) = match &stage {
        StageImage::Running(_) => (Some(name("ada")), None),
        _ => (None, Some(Pending::Queued(Obstacle::NoAgent))),
    };
    let image = TaskImage {
        id: ID,
        submitted_seq: Seq(1),
        seq: Seq(seq),
        created_at: Wall(100),
        work: Work::Run,
        runner: name("auto"),
        requires: Box::default(),
        group: name("default"),
        priority: Priority::default(),
        timeout_ms: 1_000,
        queue_timeout_ms: None,
        max_attempts: 1,
        backoff_ms: 0,
        body_bytes: 0,
        run_at: None,
        on_dependency_failure: OnDependencyFailure::Cancel,
        labels: Box::default(),
        parent: None,
        key: None,
        attempt: u32::from(agent.is_some()),
        failed_attempts: 0,
        crashed_on: Box::default(),
        last_end: None,
        started_at: None,
        stage,
    };
    Live { image, pending, agent, used: None }
}

fn running() -> StageImage {
    StageImage::Running(RunImage {
        agent: AgentId(1),
        lease: LEASE,
        runner: name("mock"),
        assigned_at: Wall(200),
        started: true,
        deadline: Wall(1_200),
        question: None,
        answered: None,
        cancel: None,
    })
}

/// What History says of the same task: queued at its first event, over at its fifth.
fn record(seq: u64) -> TaskRecord {
    let is_over = seq >= 5;
    let attempt = AttemptRecord {
        number: 1,
        agent: name("ada"),
        lease: LEASE,
        runner: name("mock"),
        state: AttemptState::Succeeded,
        assigned_at: Wall(200),
        started_at: Some(Wall(201)),
        finished_at: Some(Wall(300)),
        exit_code: Some(0),
        usage: Usage::default(),
    };
    let task = NewTask { timeout_ms: 1_000, ..NewTask::plain(ID, name("auto")) };
    TaskRecord {
        task,
        created_by: Arc::new(Actor { name: name("me"), role: Role::Admin, via: name("cli"), address: None }),
        submitted_seq: Seq(1),
        seq: Seq(seq),
        state: if is_over { Recorded::Succeeded } else { Recorded::Queued },
        created_at: Wall(100),
        queued_at: Some(Wall(100)),
        started_at: is_over.then_some(Wall(201)),
        finished_at: is_over.then_some(Wall(300)),
        scheduled_at: None,
        ran_on: is_over.then(|| name("mock")),
        attempts: if is_over { vec![attempt] } else { Vec::new() },
        outcome: is_over.then_some(Outcome::Succeeded),
        cancel: None,
        waiting: None,
        simulated: false,
        result_json: None,
        usage: Usage::default(),
    }
}

#[test]
fn a_task_that_ended_between_the_two_looks_is_over_and_not_half_running() {
    let view = task_view(Some(&record(5)), Some(&live(3, running())), None).unwrap();
    assert_eq!((view.state, view.finished_at, view.seq), (State::Succeeded, Some(Wall(300)), 5));
    assert_eq!((view.runner.as_str(), view.agent.as_deref(), view.attempt), ("mock", Some("ada"), 1));
    let queued = StageImage::Queued { queued_at: Wall(100) };
    let view = task_view(Some(&record(5)), Some(&live(1, queued)), None).unwrap();
    assert_eq!((view.state, view.pending_reason), (State::Succeeded, None));
}

#[test]
fn what_the_machine_says_goes_before_a_history_that_is_behind_or_at_the_same_event() {
    let view = task_view(Some(&record(1)), Some(&live(3, running())), None).unwrap();
    assert_eq!((view.state, view.finished_at, view.seq), (State::Running, None, 3));
    assert_eq!((view.runner.as_str(), view.agent.as_deref(), view.attempt), ("mock", Some("ada"), 1));
    let queued = StageImage::Queued { queued_at: Wall(100) };
    let view = task_view(Some(&record(1)), Some(&live(1, queued)), None).unwrap();
    assert_eq!((view.state, view.pending_reason.as_deref()), (State::Queued, Some("no agent is connected")));
    assert_eq!(
        view.pending.map(|pending| pending.code),
        Some(conductor_protocol::task::PendingCode::NoAgent)
    );
}

#[test]
fn a_task_that_history_does_not_know_yet_is_what_the_machine_says() {
    let view = task_view(None, Some(&live(3, running())), None).unwrap();
    assert_eq!((view.state, view.seq), (State::Running, 3));
    assert!(task_view(None, None, None).is_none());
}
