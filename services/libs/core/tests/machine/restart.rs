//! Snapshots, replay and what does not fit.

use conductor_core::*;

use crate::world::*;

#[test]
fn everything_outlives_a_restart() {
    let mut world = World::new();
    let at = world.now.wall.after(1_000_000);
    let later = world.submit_one(|task| task.run_at = Some(at));
    let first = world.submit_one(|_| {});
    let second = world.submit_one(|task| task.depends_on = Box::new([first]));
    let parent = world.task();
    let mut subtask = world.task();
    subtask.parent = Some(parent.id);
    let ids = (parent.id, subtask.id);
    world.submit(vec![parent, subtask]).unwrap();
    world.restart();
    world.join(ADA, 2);
    for (_, _, lease) in world.assign() {
        world.finish(ADA, lease, AttemptEnd::Succeeded);
    }
    assert!(world.is_queued(second));
    assert!(world.is_queued(ids.0));
    world.pass(1_000_000);
    assert!(world.is_queued(later));
}

#[test]
fn order_in_the_queue_outlives_a_restart() {
    let mut world = World::new();
    let ids: Vec<_> = (0..50).map(|_| world.submit_one(|_| {})).collect();
    world.restart();
    world.join(ADA, 50);
    let order: Vec<_> = world.assign().into_iter().map(|(_, task, _)| task).collect();
    assert_eq!(order, ids);
}

#[test]
fn timeouts_go_on_where_they_stood() {
    let mut world = World::new();
    world.submit_one(|_| {});
    let waiting = world.submit_one(|task| task.queue_timeout_ms = Some(70_000));
    world.join(ADA, 1);
    let (running, lease) = world.start();
    world.pass(50_000);
    world.restart();
    world.hello(1, profile(ADA, "agent-ada", 1, &["mock"]), vec![lease]).unwrap();
    world.pass(20_000);
    assert_eq!(world.failure_of(waiting), FailureReason::QueueTimeout);
    world.run(running);
    world.pass(20_000);
    assert_eq!(world.failure_of(running), FailureReason::Timeout);
}

#[test]
fn new_leases_carry_the_new_incarnation_and_greater_numbers() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (_, old) = world.start();
    world.restart();
    world.hello(1, profile(ADA, "agent-ada", 1, &["mock"]), vec![old]).unwrap();
    world.say(ADA, AgentSay::Credits(1));
    let new = world.assign()[0].2;
    assert_eq!((old.incarnation, new.incarnation), (Incarnation(1), Incarnation(2)));
    assert!(new.number > old.number);
    assert_eq!(world.finish(ADA, old, AttemptEnd::Succeeded).reply, Reply::Accepted { fresh: true });
}

fn parts() -> Vec<Part> {
    let mut world = World::new();
    let first = world.submit_one(|_| {});
    world.submit_one(|task| task.depends_on = Box::new([first]));
    world.join(ADA, 1);
    world.start();
    world.machine.state().parts().collect()
}

fn tampered(change: impl FnOnce(&mut Vec<Part>)) -> Option<RestoreError> {
    let mut parts = parts();
    change(&mut parts);
    State::restore(parts).err()
}

fn is_task(part: &Part) -> bool {
    matches!(part, Part::Task(_))
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    assert_eq!(tampered(|_| {}), None);
    assert_eq!(tampered(|parts| parts.clear()), Some(RestoreError::NoHeader));
    assert_eq!(tampered(|parts| drop(parts.remove(0))), Some(RestoreError::NoHeader));
    assert_eq!(tampered(|parts| parts.push(parts[0].clone())), Some(RestoreError::SecondHeader));
    assert_eq!(tampered(|parts| parts.push(parts[1].clone())), Some(RestoreError::Agent(ADA)));
    let twice = tampered(|parts| {
        let task = parts.iter().find(|part| is_task(part)).unwrap().clone();
        parts.push(task);
    });
    assert!(matches!(twice, Some(RestoreError::Task(_))), "{twice:?}");
    let without_agent = tampered(|parts| parts.retain(|part| !matches!(part, Part::Agent(_))));
    assert!(matches!(without_agent, Some(RestoreError::Lease(..))), "{without_agent:?}");
    let without_dependency = tampered(|parts| {
        parts
            .retain(|part| !matches!(part, Part::Task(task) if matches!(task.stage, StageImage::Running(_))));
    });
    assert!(matches!(without_dependency, Some(RestoreError::Dependency { .. })), "{without_dependency:?}");
    let old_number = tampered(|parts| {
        let Part::Header(header) = &mut parts[0] else { unreachable!() };
        header.next_lease = 0;
    });
    assert!(matches!(old_number, Some(RestoreError::Lease(..))), "{old_number:?}");
}

#[test]
fn events_that_do_not_follow_are_refused() {
    let event = |kind| Event { at: Wall(1), kind };
    let mut state = State::default();
    let began = event(EventKind::Began { incarnation: Incarnation(1) });
    let skipped = ApplyError::Seq { expected: Seq(1), found: Seq(2) };
    assert_eq!(state.clone().apply(Seq(2), &began), Err(skipped));
    state.apply(Seq(1), &began).unwrap();
    let (task, lease) = (TaskId(1), Lease { incarnation: Incarnation(1), number: 1 });
    let kinds = [
        (EventKind::TaskStarted { task, lease }, ApplyError::Task(task)),
        (EventKind::TaskFinished { task, outcome: Outcome::Succeeded, by: None }, ApplyError::Task(task)),
        (EventKind::KeyExpired { key: KeyId(1) }, ApplyError::Key(KeyId(1))),
        (EventKind::AgentLeft { agent: ADA }, ApplyError::Agent(ADA)),
    ];
    for (kind, error) in kinds {
        assert_eq!(state.clone().apply(Seq(2), &event(kind)), Err(error));
    }
}
