//! Cancelling.

use conductor_core::*;

use crate::world::*;

const REQUESTED: CancelReason = CancelReason::Requested(None);

fn cancel(task: TaskId) -> Command {
    Command::Cancel { task, reason: REQUESTED, by: actor() }
}

#[test]
fn an_unknown_task_cannot_be_cancelled() {
    let mut world = World::new();
    assert_eq!(world.give(cancel(TaskId(404))), Err(Rejection::UnknownTask(TaskId(404))));
}

#[test]
fn cancelling_goes_down_to_all_below() {
    let mut world = World::new();
    let parent = world.task();
    let mut middle = world.task();
    middle.parent = Some(parent.id);
    let mut running = world.task();
    running.parent = Some(middle.id);
    let mut waiting = world.task();
    waiting.parent = Some(middle.id);
    let ids = [parent.id, middle.id, running.id, waiting.id];
    world.submit(vec![parent, middle, running, waiting]).unwrap();
    world.join(ADA, 1);
    let (started, lease) = world.start();
    assert_eq!(started, ids[2]);
    let step = world.must(cancel(ids[0]));
    assert_eq!(step.reply, Reply::Cancelled(ids.to_vec()));
    assert_eq!(step.effects, [Effect::EndRun { agent: ADA, lease, revoked: false }]);
    assert_eq!(world.outcome(ids[0]), Outcome::Cancelled(REQUESTED));
    assert_eq!(world.outcome(ids[1]), Outcome::Cancelled(CancelReason::Parent(ids[0])));
    assert_eq!(world.outcome(ids[3]), Outcome::Cancelled(CancelReason::Parent(ids[1])));
    world.finish(ADA, lease, AttemptEnd::Cancelled);
    assert_eq!(world.outcome(ids[2]), Outcome::Cancelled(CancelReason::Parent(ids[1])));
}

#[test]
fn a_success_that_crosses_a_cancel_counts() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (id, lease) = world.start();
    world.must(cancel(id));
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert_eq!(world.outcome(id), Outcome::Succeeded);
}

#[test]
fn no_other_end_outlives_a_cancel() {
    let limited = AttemptEnd::Limited { rest_ms: 1, message: "wait".into() };
    let crashed = AttemptEnd::Crashed("gone".into());
    for end in [failure(FailureReason::ExitCode), crashed, AttemptEnd::Stopped, limited] {
        let mut world = World::new();
        world.submit_one(|task| task.max_attempts = 3);
        world.join(ADA, 1);
        let (id, lease) = world.start();
        world.must(cancel(id));
        world.finish(ADA, lease, end);
        assert_eq!(world.outcome(id), Outcome::Cancelled(REQUESTED));
    }
}

#[test]
fn a_lost_agent_does_not_bring_a_cancelled_task_back() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (id, _) = world.start();
    world.must(cancel(id));
    world.pass(120_000);
    assert_eq!(world.outcome(id), Outcome::Cancelled(REQUESTED));
}

#[test]
fn an_agent_that_does_not_end_a_run_loses_it() {
    let mut world = World::new();
    world.submit_one(|task| task.timeout_ms = 10_000_000);
    world.join(ADA, 1);
    let (id, lease) = world.start();
    world.must(cancel(id));
    world.pass(59_999);
    world.say(ADA, AgentSay::Heartbeat);
    // A word about the run does not stretch the grace.
    world.say(
        ADA,
        AgentSay::Asked { lease, question: Question { request_id: RequestId(1), detail_json: "{}".into() } },
    );
    let steps = world.pass(1);
    assert_eq!(steps[0].effects, [Effect::EndRun { agent: ADA, lease, revoked: true }]);
    assert_eq!(world.outcome(id), Outcome::Cancelled(REQUESTED));
}

#[test]
fn a_run_that_its_agent_calls_cancelled_unasked_is_cancelled() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (id, lease) = world.start();
    world.finish(ADA, lease, AttemptEnd::Cancelled);
    assert_eq!(world.outcome(id), Outcome::Cancelled(REQUESTED));
}

#[test]
fn cancelling_a_dependency_frees_nothing_by_mistake() {
    let mut world = World::new();
    let first = world.submit_one(|_| {});
    let second = world.submit_one(|task| task.depends_on = Box::new([first]));
    world.must(cancel(second));
    world.must(cancel(first));
    assert_eq!(world.outcome(second), Outcome::Cancelled(REQUESTED));
    assert!(world.machine.state().is_empty());
}
