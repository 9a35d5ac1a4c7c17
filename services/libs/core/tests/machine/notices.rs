//! Who is told of what, and how often that is tried.

use conductor_core::*;

use crate::world::*;

fn rule(of: &str, on: &[Notice], group: Option<&str>) -> NotifyRule {
    NotifyRule { name: name(of), on: on.into(), group: group.map(name) }
}

fn world(notify: Vec<NotifyRule>) -> World {
    World::with(Policy { notify, ..Policy::default() })
}

fn task(id: u128) -> NewTask {
    NewTask { id: TaskId(id), ..World::new().task() }
}

/// Submits tasks, all with a webhook.
fn submit_with_webhooks(world: &mut World, tasks: Vec<NewTask>) {
    let webhooks = tasks.iter().map(|task| task.id).collect();
    world.must(Command::Submit(Submit { webhooks, ..submit(tasks) }));
}

fn cancel(world: &mut World, id: TaskId) {
    world.must(Command::Cancel { task: id, reason: CancelReason::Requested(None), by: actor() });
}

fn pending(world: &World) -> Vec<(Option<TaskId>, Route, Notice)> {
    let found = world.machine.state().deliveries();
    found.map(|delivery| (delivery.task, delivery.route.clone(), delivery.notice)).collect()
}

fn tried(world: &mut World, delivery: Seq, delivered: bool, hopeless: bool) {
    world.must(Command::DeliveryTried { delivery, delivered, hopeless, answer: Box::default() });
}

#[test]
fn the_end_of_a_task_with_a_webhook_is_told_once_in_the_same_step() {
    let mut world = world(Vec::new());
    submit_with_webhooks(&mut world, vec![task(1)]);
    world.submit(vec![task(2)]).unwrap();
    assert!(pending(&world).is_empty());
    cancel(&mut world, TaskId(2));
    assert!(pending(&world).is_empty(), "nobody asked to be told of it");
    cancel(&mut world, TaskId(1));
    assert_eq!(pending(&world), [(Some(TaskId(1)), Route::Webhook, Notice::Finished)]);
}

#[test]
fn rules_tell_of_their_groups_and_of_a_failure_once() {
    let reds = rule("reds", &[Notice::Finished, Notice::Failed], Some("red"));
    let failures = rule("failures", &[Notice::Failed], None);
    let ends = rule("ends", &[Notice::Finished], None);
    let mut world = world(vec![reds, failures, ends]);
    let red = NewTask { group: name("red"), queue_timeout_ms: Some(10), ..task(1) };
    world.submit(vec![red]).unwrap();
    world.pass(10);
    let told = |of: &str| (Some(TaskId(1)), Route::Rule(name(of)), Notice::Failed);
    assert_eq!(pending(&world), [told("reds"), told("failures"), told("ends")]);
    world.submit(vec![task(2)]).unwrap();
    cancel(&mut world, TaskId(2));
    let last = pending(&world).pop();
    assert_eq!(last, Some((Some(TaskId(2)), Route::Rule(name("ends")), Notice::Finished)));
    assert_eq!(pending(&world).len(), 4);
}

#[test]
fn a_delivery_is_tried_with_growing_rests_and_then_given_up() {
    let mut world = world(Vec::new());
    submit_with_webhooks(&mut world, vec![task(1)]);
    cancel(&mut world, TaskId(1));
    let seq = world.machine.state().deliveries().next().unwrap().seq;
    for (tries, rest) in REST_AFTER_TRY_MS.iter().enumerate() {
        tried(&mut world, seq, false, false);
        let delivery = world.machine.state().delivery(seq).unwrap();
        assert_eq!(usize::from(delivery.tries), tries + 1);
        assert_eq!(delivery.next_at, world.now.wall.after(*rest));
    }
    tried(&mut world, seq, false, false);
    assert!(pending(&world).is_empty());
}

#[test]
fn a_delivery_that_was_taken_or_is_hopeless_is_not_tried_again() {
    for (delivered, hopeless) in [(true, false), (false, true)] {
        let mut world = world(Vec::new());
        submit_with_webhooks(&mut world, vec![task(1)]);
        cancel(&mut world, TaskId(1));
        let seq = world.machine.state().deliveries().next().unwrap().seq;
        tried(&mut world, seq, delivered, hopeless);
        assert!(pending(&world).is_empty());
        let before = world.machine.state().seq();
        tried(&mut world, seq, false, false);
        assert_eq!(world.machine.state().seq(), before, "a late answer changes nothing");
    }
}

#[test]
fn what_is_to_be_told_outlives_a_restart() {
    let mut world = world(vec![rule("ends", &[Notice::Finished], None)]);
    submit_with_webhooks(&mut world, vec![task(1), task(2)]);
    cancel(&mut world, TaskId(1));
    let seq = world.machine.state().deliveries().next().unwrap().seq;
    tried(&mut world, seq, false, false);
    let before: Vec<Delivery> = world.machine.state().deliveries().cloned().collect();
    let parts: Vec<Part> = world.machine.state().parts().collect();
    let restored = State::restore(parts).unwrap();
    restored.check().unwrap();
    assert_eq!(restored.deliveries().cloned().collect::<Vec<_>>(), before);
    let mut again = Machine::new(world.machine.policy().clone(), restored, world.now);
    let end = Command::Cancel { task: TaskId(2), reason: CancelReason::Requested(None), by: actor() };
    again.handle(world.now, end).unwrap();
    assert!(
        again.state().deliveries().any(|told| told.task == Some(TaskId(2)) && told.route == Route::Webhook)
    );
}

#[test]
fn notices_beyond_the_limit_are_dropped_and_counted() {
    let policy = Policy {
        notify: vec![rule("ends", &[Notice::Finished], None)],
        max_deliveries: 2,
        ..Policy::default()
    };
    let mut world = World::with(policy);
    world.submit((1..=3).map(task).collect()).unwrap();
    (1..=3).for_each(|id| cancel(&mut world, TaskId(id)));
    assert_eq!(pending(&world).len(), 2);
    assert_eq!(world.machine.counters().notices_dropped, 1);
}

#[test]
fn what_the_machine_does_not_see_is_told_by_the_rules_that_want_it() {
    let mut world = world(vec![
        rule("disk", &[Notice::DiskFloor], None),
        rule("red", &[Notice::Unservable, Notice::DiskFloor], Some("red")),
    ]);
    world.must(Command::Notify { notice: Notice::DiskFloor, task: None, detail: "9 bytes left".into() });
    assert_eq!(pending(&world), [(None, Route::Rule(name("disk")), Notice::DiskFloor)]);
    world.submit(vec![NewTask { group: name("red"), ..task(1) }]).unwrap();
    let unservable = Command::Notify {
        notice: Notice::Unservable,
        task: Some(TaskId(1)),
        detail: "no agent is connected".into(),
    };
    world.must(unservable);
    let told = world.machine.state().deliveries().last().unwrap();
    assert_eq!((told.task, &*told.detail), (Some(TaskId(1)), "no agent is connected"));
    assert_eq!(
        world
            .give(Command::Notify { notice: Notice::Unservable, task: Some(TaskId(9)), detail: "".into() })
            .err(),
        Some(Rejection::UnknownTask(TaskId(9)))
    );
}

#[test]
fn of_each_kind_that_nothing_can_run_the_first_is_named() {
    let mut world = World::new();
    let gpu = |id| NewTask { requires: names(&["gpu"]), ..task(id) };
    world.submit(vec![gpu(1), gpu(2), task(3)]).unwrap();
    let unserved = |world: &World| {
        let found = world.machine.unserved(10).into_iter();
        found.map(|unserved| (unserved.task.0, unserved.why)).collect::<Vec<_>>()
    };
    let mut both = unserved(&world);
    both.sort();
    assert_eq!(both.iter().map(|(task, _)| *task).collect::<Vec<_>>(), [1, 3], "no agent is connected");
    assert_eq!(world.machine.unserved(1).len(), 1);
    world.join(ADA, 1);
    world.assign();
    let left = unserved(&world);
    assert_eq!(left.iter().map(|(task, _)| *task).collect::<Vec<_>>(), [1]);
    assert!(left[0].1.contains("gpu"), "{left:?}");
}
