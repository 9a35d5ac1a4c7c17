//! What a running task submits below itself.

use conductor_core::*;

use crate::world::*;

impl World {
    /// A running task and its lease.
    fn running(&mut self) -> (TaskId, Lease) {
        let id = self.submit_one(|task| task.max_attempts = 3);
        self.say(ADA, AgentSay::Credits(1));
        let (_, task, lease) = self.assign().pop().expect("it is given");
        assert_eq!(task, id);
        (id, lease)
    }

    fn submit_below(&mut self, parent: TaskId, lease: Lease, count: usize) -> Result<Vec<TaskId>, Rejection> {
        let tasks: Vec<_> = (0..count).map(|_| self.task()).collect();
        let ids = tasks.iter().map(|task| task.id).collect();
        let submit = submit(tasks);
        self.give(Command::SubmitBelow { parent, lease, submit }).map(|_| ids)
    }

    fn is_running(&self, id: TaskId) -> bool {
        matches!(self.machine.state().task(id).expect("it lives").stage, StageImage::Running(_))
    }
}

fn world() -> World {
    let mut world = World::new();
    world.join(ADA, 0);
    world
}

#[test]
fn a_running_task_runs_on_beside_what_it_made() {
    let mut world = world();
    let (parent, lease) = world.running();
    let made = world.submit_below(parent, lease, 2).expect("accepted");
    assert!(world.is_running(parent));
    assert!(world.is_queued(made[0]), "what it made waits for nothing");
    assert_eq!(world.machine.state().task(made[0]).expect("it lives").parent, Some(parent));
    world.say(ADA, AgentSay::Credits(1));
    let (_, child, under) = world.assign().pop().expect("it is given");
    world.finish(ADA, under, failure(FailureReason::ExitCode));
    assert!(matches!(world.finished[&child], Outcome::Failed(_)));
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert_eq!(world.finished[&parent], Outcome::Succeeded, "what became of it changes nothing");
    assert_eq!(world.finished[&made[1]], Outcome::Cancelled(CancelReason::Parent(parent)));
}

#[test]
fn a_stale_lease_and_a_cancelled_run_make_nothing() {
    let mut world = world();
    let (parent, lease) = world.running();
    let stale = Lease { number: lease.number + 1, ..lease };
    assert_eq!(world.submit_below(parent, stale, 1), Err(Rejection::AttemptOver(parent)));
    assert_eq!(world.submit_below(TaskId(7), lease, 1), Err(Rejection::AttemptOver(TaskId(7))));
    world.must(Command::Cancel { task: parent, reason: CancelReason::Requested(None), by: actor() });
    assert_eq!(world.submit_below(parent, lease, 1), Err(Rejection::AttemptOver(parent)));
    world.finish(ADA, lease, AttemptEnd::Cancelled);
    assert_eq!(world.submit_below(parent, lease, 1), Err(Rejection::AttemptOver(parent)));
}

#[test]
fn fifty_are_all_over_attempts_and_generations_and_a_restart() {
    let mut world = world();
    let (parent, lease) = world.running();
    world.submit_below(parent, lease, 30).expect("accepted");
    world.say(ADA, AgentSay::Credits(1));
    let (_, child, under) = world.assign().pop().expect("it is given");
    world.submit_below(child, under, 15).expect("accepted");
    let full = Err(Rejection::TooManyOffspring { task: parent, limit: 50 });
    assert_eq!(world.submit_below(child, under, 6), full, "a grandchild counts for both");
    world.finish(ADA, under, AttemptEnd::Succeeded);
    world.finish(ADA, lease, AttemptEnd::Stopped);
    let parts: Vec<_> = world.machine.state().parts().collect();
    let restored = State::restore(parts).expect("the parts fit");
    assert_eq!(restored.parts().collect::<Vec<_>>().len(), world.machine.state().parts().count());
    world.say(ADA, AgentSay::Credits(64));
    let given = world.assign();
    let lease = given.iter().find(|(_, task, _)| *task == parent).expect("its next attempt").2;
    assert_eq!(world.submit_below(parent, lease, 6), full, "its next attempt has made what the first made");
    world.submit_below(parent, lease, 5).expect("that many are left");
}

#[test]
fn three_generations_lie_below_a_task_and_no_more() {
    let mut world = world();
    let (mut parent, mut lease) = world.running();
    for _ in 0..3 {
        let made = world.submit_below(parent, lease, 1).expect("accepted");
        world.say(ADA, AgentSay::Credits(1));
        let (_, task, under) = world.assign().pop().expect("it is given");
        assert_eq!(task, made[0]);
        (parent, lease) = (task, under);
    }
    assert_eq!(world.submit_below(parent, lease, 1), Err(Rejection::BadParent(parent)));
}

#[test]
fn an_agent_is_told_while_tasks_live_below_one_that_it_runs() {
    let told = |step: &Step| -> Vec<bool> {
        let told = step.effects.iter().filter_map(|effect| match effect {
            Effect::Below { any, .. } => Some(*any),
            _ => None,
        });
        told.collect()
    };
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (parent, lease) = world.start();
    let below = |world: &mut World| {
        let task = world.task();
        let id = task.id;
        let submit = submit(vec![task]);
        (Command::SubmitBelow { parent, lease, submit }, id)
    };
    let (first, one) = below(&mut world);
    assert_eq!(told(&world.must(first)), [true]);
    let (second, other) = below(&mut world);
    assert_eq!(told(&world.must(second)), [] as [bool; 0], "it knows");
    let back = world.hello(2, profile(ADA, "agent-ada", 1, &["mock"]), vec![lease]).unwrap();
    assert_eq!(told(&back), [true], "it may have missed it");
    let cancel = |task| Command::Cancel { task, reason: CancelReason::Requested(None), by: actor() };
    assert_eq!(told(&world.must(cancel(one))), [] as [bool; 0]);
    assert_eq!(told(&world.must(cancel(other))), [false]);
}
