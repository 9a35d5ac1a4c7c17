//! Limits on what runs at once, and memory.

use conductor_core::*;

use crate::world::*;

fn given(world: &mut World) -> Vec<TaskId> {
    world.assign().into_iter().map(|(_, task, _)| task).collect()
}

#[test]
fn a_runner_runs_only_so_many_at_once() {
    let mut policy = Policy::default();
    policy.runners.insert(name("mock"), 1);
    let mut world = World::with(policy);
    let first = world.submit_one(|_| {});
    let second = world.submit_one(|_| {});
    world.join(ADA, 2);
    assert_eq!(given(&mut world), [first]);
    assert_eq!(
        world.machine.pending_reason(second),
        Some("the runner mock is at its limit of 1 running tasks".into())
    );
    let lease = world.run(first).lease;
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert_eq!(given(&mut world), [second]);
}

#[test]
fn a_full_group_lets_others_pass() {
    let mut policy = Policy::default();
    policy.groups.insert(name("red"), GroupLimits { max_running: Some(1), max_queued: None });
    let mut world = World::with(policy);
    let first = world.submit_one(|task| task.group = name("red"));
    let second = world.submit_one(|task| task.group = name("red"));
    let other = world.submit_one(|task| task.group = name("blue"));
    world.join(ADA, 3);
    assert_eq!(given(&mut world), [first, other]);
    assert_eq!(
        world.machine.pending_reason(second),
        Some("the group red is at its limit of 1 running tasks".into())
    );
}

#[test]
fn a_label_at_its_limit_is_looked_past() {
    let mut policy = Policy::default();
    policy.labels.insert((name("db"), name("main")), 1);
    let mut world = World::with(policy);
    let label = |task: &mut NewTask| task.labels = Box::new([(name("db"), name("main"))]);
    let first = world.submit_one(label);
    let second = world.submit_one(label);
    let free = world.submit_one(|_| {});
    world.join(ADA, 3);
    assert_eq!(given(&mut world), [first, free]);
    assert_eq!(
        world.machine.pending_reason(second),
        Some("the label db:main is at its limit of 1 running tasks".into())
    );
    let lease = world.run(first).lease;
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert_eq!(given(&mut world), [second]);
}

#[test]
fn a_waiting_run_still_counts_against_its_limits() {
    let mut policy = Policy::default();
    policy.runners.insert(name("mock"), 1);
    let mut world = World::with(policy);
    world.submit_one(|_| {});
    world.submit_one(|_| {});
    world.join(ADA, 2);
    let (_, lease) = world.start();
    let question = Question { request_id: RequestId(1), detail_json: "{}".into() };
    world.say(ADA, AgentSay::Asked { lease, question });
    assert_eq!(given(&mut world), []);
}

#[test]
fn an_orchestrator_for_one_caller_runs_only_what_came_after_it_began() {
    let mut world = World::new();
    let old: Vec<_> = (0..3).map(|_| world.submit_one(|_| {})).collect();
    let at = world.now.wall.after(1_000);
    let later = world.submit_one(|task| task.run_at = Some(at));
    let mut policy = world.machine.policy().clone();
    policy.assign_after = world.machine.state().seq();
    world.machine = Machine::new(policy, world.machine.state().clone(), world.now);
    let new = world.submit_one(|_| {});
    world.join(ADA, 4);
    assert_eq!(given(&mut world), [new]);
    assert_eq!(
        world.machine.pending_reason(old[0]),
        Some("this orchestrator runs only what was submitted through it".into())
    );
    world.pass(1_000);
    assert!(world.is_queued(later));
    assert_eq!(given(&mut world), [], "nor what was submitted before and is queued only now");
}

#[test]
fn counts_tell_where_tasks_stand() {
    let mut world = World::new();
    let first = world.submit_one(|task| task.group = name("red"));
    world.submit_one(|_| {});
    world.submit_one(|task| task.depends_on = Box::new([first]));
    let at = world.now.wall.after(1_000);
    world.submit_one(|task| task.run_at = Some(at));
    world.join(ADA, 1);
    world.start();
    let state = world.machine.state();
    let counts = Counts { blocked: 1, scheduled: 1, queued: 1, running: 1, waiting: 0, body_bytes: 480 };
    assert_eq!(state.counts(), counts);
    let groups: Vec<_> = state.groups().map(|group| (group.group, group.unassigned, group.running)).collect();
    assert_eq!(groups, [(name("default"), 3, 0), (name("red"), 0, 1)]);
    let demand = state.demand();
    assert_eq!((demand.len(), demand[0].queued, &demand[0].runner), (1, 1, &name("mock")));
    assert_eq!(state.running_by_runner().collect::<Vec<_>>(), [(&name("mock"), 1)]);
    assert_eq!(state.oldest_queued_at(), Some(world.now.wall));
}
