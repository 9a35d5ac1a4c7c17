//! Dependencies and subtasks.

use conductor_core::*;

use crate::world::*;

fn cancelled_by(task: TaskId) -> Outcome {
    Outcome::Cancelled(CancelReason::Dependency(task))
}

impl World {
    fn cancel(&mut self, task: TaskId) {
        self.must(Command::Cancel { task, reason: CancelReason::Requested(None), by: actor() });
    }

    /// Runs what is queued to success until nothing is.
    fn run_all(&mut self) {
        loop {
            self.say(ADA, AgentSay::Credits(1));
            let Some((_, _, lease)) = self.assign().pop() else { return };
            self.finish(ADA, lease, AttemptEnd::Succeeded);
        }
    }

    fn settled(&mut self, task: NewTask, settled: Vec<(TaskId, bool)>) {
        self.must(Command::Submit(Submit { settled, ..submit(vec![task]) }));
    }

    fn below(&mut self, parent: TaskId) -> NewTask {
        let mut task = self.task();
        task.parent = Some(parent);
        task
    }
}

#[test]
fn a_dependent_waits_until_all_its_dependencies_succeeded() {
    let mut world = World::new();
    let first = world.submit_one(|_| {});
    let second = world.submit_one(|_| {});
    let id = world.submit_one(|task| task.depends_on = Box::new([first, second]));
    world.join(ADA, 2);
    let given = world.assign();
    world.finish(ADA, given[0].2, AttemptEnd::Succeeded);
    assert!(!world.is_queued(id));
    let step = world.finish(ADA, given[1].2, AttemptEnd::Succeeded);
    assert!(world.is_queued(id));
    assert!(matches!(step.events.last().unwrap().kind, EventKind::TaskFreed { task, .. } if task == id));
}

#[test]
fn a_dependent_that_was_to_run_later_is_scheduled_when_it_is_free() {
    let mut world = World::new();
    let first = world.submit_one(|_| {});
    let at = world.now.wall.after(60_000);
    let id = world.submit_one(|task| {
        task.depends_on = Box::new([first]);
        task.run_at = Some(at);
    });
    world.join(ADA, 1);
    let (_, lease) = world.start();
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert_eq!(world.stage(id), StageImage::Scheduled { until: at, cause: None });
}

#[test]
fn a_failed_dependency_cancels_the_chain_behind_it() {
    let mut world = World::new();
    let first = world.submit_one(|_| {});
    let second = world.submit_one(|task| task.depends_on = Box::new([first]));
    let third = world.submit_one(|task| task.depends_on = Box::new([second]));
    world.cancel(first);
    assert_eq!(world.outcome(second), cancelled_by(first));
    assert_eq!(world.outcome(third), cancelled_by(second));
}

#[test]
fn a_failed_dependency_does_not_wait_for_the_others() {
    let mut world = World::new();
    let failed = world.submit_one(|_| {});
    let other = world.submit_one(|_| {});
    let id = world.submit_one(|task| task.depends_on = Box::new([other, failed]));
    world.cancel(failed);
    assert_eq!(world.outcome(id), cancelled_by(failed));
    assert!(world.is_queued(other));
}

#[test]
fn a_tolerant_dependent_runs_after_a_failure_but_still_waits_for_the_others() {
    let mut world = World::new();
    let failed = world.submit_one(|_| {});
    let other = world.submit_one(|_| {});
    let id = world.submit_one(|task| {
        task.depends_on = Box::new([failed, other]);
        task.on_dependency_failure = OnDependencyFailure::Run;
    });
    world.cancel(failed);
    assert!(!world.is_queued(id));
    world.cancel(other);
    assert!(world.is_queued(id));
}

#[test]
fn a_dependency_that_succeeded_long_ago_holds_nothing_back() {
    let mut world = World::new();
    let mut task = world.task();
    task.depends_on = Box::new([TaskId(1)]);
    let id = task.id;
    world.settled(task, vec![(TaskId(1), true)]);
    assert!(world.is_queued(id));
}

#[test]
fn a_dependency_that_failed_long_ago_ends_the_task_at_once_unless_it_is_tolerant() {
    let mut world = World::new();
    let mut strict = world.task();
    strict.depends_on = Box::new([TaskId(1)]);
    let mut tolerant = strict.clone();
    tolerant.id = world.task().id;
    tolerant.on_dependency_failure = OnDependencyFailure::Run;
    let ids = (strict.id, tolerant.id);
    world.settled(strict, vec![(TaskId(1), false)]);
    world.settled(tolerant, vec![(TaskId(1), false)]);
    assert_eq!(world.outcome(ids.0), cancelled_by(TaskId(1)));
    assert!(world.is_queued(ids.1));
}

#[test]
fn circles_are_refused_by_a_task_that_lies_on_them() {
    let mut world = World::new();
    let mut behind = world.task();
    let mut first = world.task();
    let mut second = world.task();
    behind.depends_on = Box::new([first.id]);
    first.depends_on = Box::new([second.id]);
    second.depends_on = Box::new([first.id]);
    let on_circle = [first.id, second.id];
    match world.submit(vec![behind, first, second]) {
        Err(Rejection::DependencyCycle(task)) => assert!(on_circle.contains(&task)),
        other => panic!("{other:?}"),
    }
    let mut own = world.task();
    own.depends_on = Box::new([own.id]);
    assert_eq!(world.submit(vec![own.clone()]), Err(Rejection::DependencyCycle(own.id)));
}

#[test]
fn a_subtask_may_not_wait_for_its_parent() {
    let mut world = World::new();
    let parent = world.task();
    let mut subtask = world.below(parent.id);
    subtask.depends_on = Box::new([parent.id]);
    let refused = world.submit(vec![parent, subtask]);
    assert!(matches!(refused, Err(Rejection::DependencyCycle(_))), "{refused:?}");
}

#[test]
fn new_subtasks_of_two_live_parents_may_not_lock_them_up() {
    let mut world = World::new();
    let (one, other) = (world.submit_one(|_| {}), world.submit_one(|_| {}));
    let mut first = world.below(one);
    first.depends_on = Box::new([other]);
    let mut second = world.below(other);
    second.depends_on = Box::new([one]);
    let refused = world.submit(vec![first.clone(), second.clone()]);
    assert!(matches!(refused, Err(Rejection::DependencyCycle(_))), "{refused:?}");
    world.submit(vec![first]).unwrap();
    let refused = world.submit(vec![second]);
    assert!(matches!(refused, Err(Rejection::DependencyCycle(_))), "{refused:?}");
}

#[test]
fn a_parent_runs_after_its_subtasks() {
    let mut world = World::new();
    let parent = world.task();
    let subtasks = [world.below(parent.id), world.below(parent.id)];
    let id = parent.id;
    let [first, second] = subtasks.clone();
    world.submit(vec![parent, first, second]).unwrap();
    world.join(ADA, 3);
    let given = world.assign();
    assert_eq!(given.len(), 2);
    world.finish(ADA, given[0].2, AttemptEnd::Succeeded);
    assert_eq!(world.machine.pending_reason(id), Some("waits for 1 subtask".into()));
    world.finish(ADA, given[1].2, AttemptEnd::Succeeded);
    assert!(world.is_queued(id));
}

#[test]
fn a_parent_without_work_of_its_own_ends_with_its_last_subtask() {
    let mut world = World::new();
    let mut parent = world.task();
    parent.work = Work::Subtasks;
    let subtask = world.below(parent.id);
    let id = parent.id;
    world.submit(vec![parent, subtask]).unwrap();
    world.join(ADA, 1);
    world.run_all();
    assert_eq!(world.outcome(id), Outcome::Succeeded);
}

#[test]
fn a_parent_without_work_or_subtasks_is_done_at_once() {
    let mut world = World::new();
    let id = world.submit_one(|task| task.work = Work::Subtasks);
    assert_eq!(world.outcome(id), Outcome::Succeeded);
}

#[test]
fn a_failed_subtask_fails_its_parent_once_the_others_are_over() {
    let mut world = World::new();
    let parent = world.task();
    let (first, second) = (world.below(parent.id), world.below(parent.id));
    let ids = (parent.id, first.id, second.id);
    world.submit(vec![parent, first, second]).unwrap();
    world.cancel(ids.1);
    assert!(world.machine.state().contains(ids.0));
    world.join(ADA, 1);
    world.run_all();
    assert_eq!(world.failure_of(ids.0), FailureReason::Dependency);
    let Outcome::Failed(failure) = world.outcome(ids.0) else { unreachable!() };
    assert_eq!(&*failure.message, format!("subtask {} did not succeed", ids.1));
}

#[test]
fn a_tolerant_parent_with_work_runs_after_a_failed_subtask() {
    let mut world = World::new();
    let mut parent = world.task();
    parent.on_dependency_failure = OnDependencyFailure::Run;
    let subtask = world.below(parent.id);
    let ids = (parent.id, subtask.id);
    world.submit(vec![parent, subtask]).unwrap();
    world.cancel(ids.1);
    assert!(world.is_queued(ids.0));
}

#[test]
fn what_holds_a_parent_back_holds_its_subtasks_back() {
    let mut world = World::new();
    let first = world.submit_one(|_| {});
    let mut parent = world.task();
    parent.depends_on = Box::new([first]);
    parent.run_at = Some(world.now.wall.after(60_000));
    let subtask = world.below(parent.id);
    let id = subtask.id;
    world.submit(vec![parent, subtask]).unwrap();
    assert!(!world.is_queued(id));
    world.join(ADA, 1);
    world.run_all();
    assert!(matches!(world.stage(id), StageImage::Scheduled { .. }));
    world.pass(60_000);
    assert!(world.is_queued(id));
}

#[test]
fn a_parent_that_ends_takes_its_subtasks_with_it() {
    let mut world = World::new();
    let first = world.submit_one(|_| {});
    let mut parent = world.task();
    parent.depends_on = Box::new([first]);
    let mut subtask = world.below(parent.id);
    subtask.on_dependency_failure = OnDependencyFailure::Run;
    subtask.depends_on = Box::new([first]);
    let ids = (parent.id, subtask.id);
    world.submit(vec![parent, subtask]).unwrap();
    world.cancel(first);
    assert_eq!(world.outcome(ids.0), cancelled_by(first));
    assert_eq!(world.outcome(ids.1), Outcome::Cancelled(CancelReason::Parent(ids.0)));
}

#[test]
fn a_live_queued_parent_waits_for_a_subtask_that_comes_later() {
    let mut world = World::new();
    let parent = world.submit_one(|_| {});
    let subtask = world.below(parent);
    world.submit(vec![subtask]).unwrap();
    assert!(matches!(world.stage(parent), StageImage::Blocked { .. }));
    world.join(ADA, 1);
    world.run_all();
    assert_eq!(world.outcome(parent), Outcome::Succeeded);
}

#[test]
fn subtasks_lie_at_most_three_deep() {
    let mut world = World::new();
    let root = world.task();
    let mut tasks = vec![root];
    for _ in 0..3 {
        let task = world.below(tasks.last().unwrap().id);
        tasks.push(task);
    }
    world.submit(tasks.clone()).unwrap();
    let deepest = tasks.last().unwrap().id;
    let deeper = world.below(deepest);
    assert_eq!(world.submit(vec![deeper]), Err(Rejection::BadParent(deepest)));
}

#[test]
fn a_parent_has_at_most_so_many_subtasks() {
    let mut world = World::with(Policy { max_subtasks: 2, ..Policy::default() });
    let parent = world.submit_one(|_| {});
    let tasks = vec![world.below(parent), world.below(parent)];
    world.submit(tasks).unwrap();
    let third = world.below(parent);
    assert_eq!(world.submit(vec![third]), Err(Rejection::TooManySubtasks { parent, limit: 2 }));
}

#[test]
fn a_parent_must_be_live_and_come_first() {
    let mut world = World::new();
    let orphan = world.below(TaskId(404));
    assert_eq!(world.submit(vec![orphan]), Err(Rejection::BadParent(TaskId(404))));
    let parent = world.task();
    let subtask = world.below(parent.id);
    let id = parent.id;
    assert_eq!(world.submit(vec![subtask, parent]), Err(Rejection::BadParent(id)));
}

#[test]
fn a_parent_that_is_being_cancelled_takes_no_subtasks() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (parent, _) = world.start();
    world.cancel(parent);
    let subtask = world.below(parent);
    assert_eq!(world.submit(vec![subtask]), Err(Rejection::BadParent(parent)));
}

#[test]
fn a_chain_of_a_hundred_thousand_ends_in_one_step() {
    let now = Now::default();
    let mut machine = Machine::new(Policy::default(), State::default(), now);
    let template = World::new().task();
    let ids: Vec<_> = (1..=100_000).map(TaskId).collect();
    for (index, id) in ids.iter().enumerate() {
        let mut task = template.clone();
        task.id = *id;
        task.depends_on = ids[index.saturating_sub(1)..index].into();
        let submit = submit(vec![task]);
        machine.handle(now, Command::Submit(submit)).unwrap();
    }
    let cancel = Command::Cancel { task: ids[0], reason: CancelReason::Requested(None), by: actor() };
    let step = machine.handle(now, cancel).unwrap();
    assert_eq!(step.events.len(), 100_000);
    assert!(machine.state().is_empty());
    machine.state().check().unwrap();
}
