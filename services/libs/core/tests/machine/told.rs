//! What people tell tasks that run.

use conductor_core::*;

use crate::world::*;

fn message(id: u128) -> Told {
    Told { id: RequestId(id), text: format!("message {id}").into() }
}

fn tell(task: TaskId, id: u128) -> Command {
    Command::Tell { task, message: message(id), by: actor() }
}

fn running() -> (World, TaskId, Lease) {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (id, lease) = world.start();
    (world, id, lease)
}

fn heard(step: &Step) -> Vec<u128> {
    let told = step.effects.iter().filter_map(|effect| match effect {
        Effect::Tell { agent: ADA, message, .. } => Some(message.id.0),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_message_goes_to_the_run_and_again_to_an_agent_that_comes_back() {
    let (mut world, id, lease) = running();
    assert_eq!(heard(&world.must(tell(id, 1))), [1]);
    world.must(tell(id, 2));
    let step = world.hello(2, profile(ADA, "agent-ada", 1, &["mock"]), vec![lease]).unwrap();
    assert_eq!(heard(&step), [1, 2]);
}

#[test]
fn a_run_that_heard_all_of_it_ends_its_task() {
    let (mut world, id, lease) = running();
    world.must(tell(id, 1));
    world.must(tell(id, 2));
    world.say(ADA, AgentSay::Took { lease, count: 2 });
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert!(!world.machine.state().contains(id));
}

#[test]
fn what_a_run_that_succeeded_did_not_hear_is_said_to_another_one() {
    let (mut world, id, lease) = running();
    world.must(tell(id, 1));
    world.must(tell(id, 2));
    world.say(ADA, AgentSay::Took { lease, count: 1 });
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert!(world.is_queued(id), "nobody has heard the second message");
    world.restart();
    world.join(ADA, 1);
    let step = world.must(Command::Assign);
    assert!(matches!(step.effects[0], Effect::Assign { after: Some(Requeue::Stop), .. }), "{step:?}");
    assert_eq!(heard(&step), [2]);
}

#[test]
fn a_run_that_was_lost_leaves_all_of_it_to_the_next() {
    let (mut world, id, lease) = running();
    world.must(tell(id, 1));
    world.finish(ADA, lease, AttemptEnd::Crashed("lost".into()));
    assert!(world.is_queued(id));
    world.say(ADA, AgentSay::Credits(1));
    let step = world.must(Command::Assign);
    assert_eq!(heard(&step), [1]);
}

#[test]
fn nothing_is_said_to_a_task_that_does_not_run_or_is_to_end() {
    let mut world = World::new();
    let id = world.submit_one(|_| {});
    assert_eq!(world.give(tell(id, 1)), Err(Rejection::NotRunning(id)));
    assert_eq!(world.give(tell(TaskId(404), 1)), Err(Rejection::UnknownTask(TaskId(404))));
    let (mut world, id, _) = running();
    world.must(Command::Cancel { task: id, reason: CancelReason::Requested(None), by: actor() });
    assert_eq!(world.give(tell(id, 1)), Err(Rejection::NotRunning(id)));
}

#[test]
fn only_so_many_messages_wait_to_be_heard() {
    let (mut world, id, _) = running();
    for number in 0..MAX_TOLD {
        world.must(tell(id, number as u128));
    }
    let refused = Rejection::TooManyMessages { task: id, limit: MAX_TOLD };
    assert_eq!(world.give(tell(id, 99)), Err(refused));
}

#[test]
fn a_stale_lease_hears_for_nobody() {
    let (mut world, id, lease) = running();
    world.must(tell(id, 1));
    let stale = Lease { number: lease.number + 1, ..lease };
    let step = world.say(ADA, AgentSay::Took { lease: stale, count: 1 });
    assert_eq!((step.reply, step.events.len()), (Reply::Accepted { fresh: false }, 0));
}
