//! Accepting and refusing tasks.

use conductor_core::*;

use crate::world::*;

fn under_key(tasks: Vec<NewTask>, key: u128, body: u128) -> Command {
    let key = Some((KeyId(key), BodyDigest(body)));
    Command::Submit(Submit { key, ..submit(tasks) })
}

#[test]
fn tasks_are_answered_in_the_order_asked() {
    let mut world = World::new();
    let first = world.task();
    let mut second = world.task();
    let third = world.task();
    second.depends_on = Box::new([third.id]);
    let ids: Box<[_]> = Box::new([first.id, second.id, third.id]);
    let step = world.submit(vec![first, second, third]).unwrap();
    assert_eq!(step.reply, Reply::Submitted { tasks: ids, repeated: false });
}

#[test]
fn an_id_is_taken_once() {
    let mut world = World::new();
    let task = world.task();
    let twice = world.submit(vec![task.clone(), task.clone()]);
    assert_eq!(twice, Err(Rejection::TaskExists(task.id)));
    world.submit(vec![task.clone()]).unwrap();
    assert_eq!(world.submit(vec![task.clone()]), Err(Rejection::TaskExists(task.id)));
}

#[test]
fn one_bad_task_refuses_all() {
    let mut world = World::new();
    let good = world.task();
    let mut bad = world.task();
    bad.depends_on = Box::new([TaskId(404)]);
    assert_eq!(world.submit(vec![good, bad]), Err(Rejection::UnknownDependency(TaskId(404))));
    assert!(world.machine.state().is_empty());
}

#[test]
fn a_repeated_key_gives_the_same_tasks_even_after_they_ended() {
    let mut world = World::new();
    let task = world.task();
    let id = task.id;
    let step = world.must(under_key(vec![task], 1, 7));
    assert_eq!(step.reply, Reply::Submitted { tasks: Box::new([id]), repeated: false });
    world.must(Command::Cancel { task: id, reason: CancelReason::Requested(None), by: actor() });
    let again = world.task();
    let step = world.must(under_key(vec![again], 1, 7));
    assert_eq!(step.reply, Reply::Submitted { tasks: Box::new([id]), repeated: true });
    assert_eq!(step.events, []);
}

#[test]
fn a_key_with_another_body_is_a_conflict() {
    let mut world = World::new();
    let (one, other) = (world.task(), world.task());
    world.must(under_key(vec![one], 1, 7));
    let refused = world.give(under_key(vec![other], 1, 8));
    assert_eq!(refused, Err(Rejection::KeyConflict(KeyId(1))));
}

#[test]
fn a_key_expires_some_time_after_the_last_of_its_tasks() {
    let mut world = World::new();
    let hour = 3_600_000;
    let (one, other) = (world.task(), world.task());
    let (first, second) = (one.id, other.id);
    world.must(under_key(vec![one, other], 1, 7));
    let cancel = |task| Command::Cancel { task, reason: CancelReason::Requested(None), by: actor() };
    world.must(cancel(first));
    world.pass(30 * hour);
    world.must(cancel(second));
    world.pass(24 * hour - 1);
    let third = world.task();
    let step = world.must(under_key(vec![third], 1, 7));
    assert_eq!(step.reply, Reply::Submitted { tasks: Box::new([first, second]), repeated: true });
    let steps = world.pass(1);
    assert_eq!(steps[0].events[0].kind, EventKind::KeyExpired { key: KeyId(1) });
    let fourth = world.task();
    let id = fourth.id;
    let step = world.must(under_key(vec![fourth], 1, 8));
    assert_eq!(step.reply, Reply::Submitted { tasks: Box::new([id]), repeated: false });
}

#[test]
fn a_key_expires_over_a_restart() {
    let mut world = World::new();
    let task = world.task();
    let id = task.id;
    world.must(under_key(vec![task], 1, 7));
    world.pass(7_200_000);
    world.must(Command::Cancel { task: id, reason: CancelReason::Requested(None), by: actor() });
    world.pass(3_600_000);
    world.restart();
    world.pass(23 * 3_600_000 - 1);
    let again = world.task();
    let step = world.must(under_key(vec![again], 1, 7));
    assert_eq!(step.reply, Reply::Submitted { tasks: Box::new([id]), repeated: true });
    assert_eq!(world.pass(1)[0].events[0].kind, EventKind::KeyExpired { key: KeyId(1) });
}

#[test]
fn only_so_many_keys_are_kept() {
    let mut world = World::with(Policy { max_keys: 1, ..Policy::default() });
    let (one, other) = (world.task(), world.task());
    world.must(under_key(vec![one], 1, 7));
    assert_eq!(world.give(under_key(vec![other], 2, 7)), Err(Rejection::TooManyKeys));
}

#[test]
fn a_full_queue_refuses_and_running_tasks_do_not_count() {
    let mut world = World::with(Policy { max_queued: 2, ..Policy::default() });
    world.submit_one(|_| {});
    world.submit_one(|_| {});
    let third = world.task();
    let refused = world.submit(vec![third.clone()]);
    assert_eq!(refused, Err(Rejection::QueueFull { limit: 2, group: None }));
    world.join(ADA, 1);
    world.start();
    world.submit(vec![third]).unwrap();
}

#[test]
fn payloads_count_until_their_task_is_over() {
    let mut world = World::with(Policy { max_queued_bytes: 300, ..Policy::default() });
    let first = world.submit_one(|task| task.body_bytes = 200);
    let mut second = world.task();
    second.body_bytes = 101;
    let refused = world.submit(vec![second.clone()]);
    assert_eq!(refused, Err(Rejection::BodiesFull { limit_bytes: 300 }));
    world.join(ADA, 1);
    world.start();
    let refused = world.submit(vec![second.clone()]);
    assert_eq!(
        refused,
        Err(Rejection::BodiesFull { limit_bytes: 300 }),
        "a running task still needs its payload"
    );
    let lease = world.run(first).lease;
    world.finish(ADA, lease, conductor_core::AttemptEnd::Succeeded);
    world.submit(vec![second]).unwrap();
}

#[test]
fn a_full_group_refuses_its_own_tasks_only() {
    let mut policy = Policy::default();
    policy.groups.insert(name("red"), GroupLimits { max_queued: Some(1), max_running: None });
    let mut world = World::with(policy);
    world.submit_one(|task| task.group = name("red"));
    world.submit_one(|task| task.group = name("blue"));
    let mut task = world.task();
    task.group = name("red");
    let refused = world.submit(vec![task]);
    assert_eq!(refused, Err(Rejection::QueueFull { limit: 1, group: Some(name("red")) }));
}

#[test]
fn a_task_for_later_waits_for_its_wall_instant() {
    let mut world = World::new();
    let at = world.now.wall.after(10_000);
    let id = world.submit_one(|task| task.run_at = Some(at));
    assert_eq!(world.stage(id), StageImage::Scheduled { until: at, cause: None });
    assert_eq!(world.machine.next_deadline(), Deadline { mono: None, wall: Some(at) });
    world.pass(9_999);
    assert!(!world.is_queued(id));
    // The wall clock jumps; the monotonic one does not.
    world.now.wall = world.now.wall.after(1);
    world.take_up();
    assert!(world.is_queued(id));
}

#[test]
fn refusals_read_well() {
    assert_eq!(
        Rejection::QueueFull { limit: 7, group: Some(name("red")) }.to_string(),
        "the queue holds the limit of 7 tasks of group red"
    );
}

#[test]
fn a_task_depends_on_a_bounded_number_of_others_with_those_of_its_parent() {
    let mut world = World::with(Policy { max_dependencies: 2, ..Policy::default() });
    let known: Vec<_> = (0..3).map(|_| world.submit_one(|_| {})).collect();
    let mut parent = world.task();
    parent.depends_on = known[..2].into();
    let mut subtask = world.task();
    subtask.parent = Some(parent.id);
    world.submit(vec![parent.clone(), subtask]).unwrap();
    let mut subtask = world.task();
    (subtask.parent, subtask.depends_on) = (Some(parent.id), known[2..].into());
    parent.id = world.task().id;
    subtask.parent = Some(parent.id);
    let (task, limit) = (subtask.id, 2);
    assert_eq!(world.submit(vec![parent, subtask]), Err(Rejection::TooManyDependencies { task, limit }));
}

#[test]
fn a_bounded_number_of_dependencies_is_waited_for() {
    let mut world = World::with(Policy { max_waits: 1, ..Policy::default() });
    let first = world.submit_one(|_| {});
    let second = world.submit_one(|task| task.depends_on = Box::new([first]));
    let mut third = world.task();
    third.depends_on = Box::new([first]);
    assert_eq!(world.submit(vec![third.clone()]), Err(Rejection::TooManyWaits { limit: 1 }));
    world.must(Command::Cancel { task: second, reason: CancelReason::Requested(None), by: actor() });
    world.submit(vec![third]).unwrap();
}

#[test]
fn a_bounded_number_of_kinds_of_tasks_is_live() {
    let mut world = World::with(Policy { max_places: 2, ..Policy::default() });
    let first = world.submit_one(|task| task.group = name("one"));
    world.submit_one(|task| task.group = name("two"));
    world.submit_one(|task| task.group = name("two"));
    let mut third = world.task();
    third.group = name("three");
    assert_eq!(world.submit(vec![third.clone()]), Err(Rejection::TooManyPlaces { limit: 2 }));
    world.must(Command::Cancel { task: first, reason: CancelReason::Requested(None), by: actor() });
    world.submit(vec![third]).unwrap();
}
