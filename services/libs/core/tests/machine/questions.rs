//! Waiting for a person.

use conductor_core::*;

use crate::world::*;

fn question(id: u128) -> Question {
    Question { request_id: RequestId(id), detail_json: r#"{"text":"may I?"}"#.into() }
}

fn asking() -> (World, TaskId, Lease) {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (id, lease) = world.start();
    world.pass(20_000);
    world.say(ADA, AgentSay::Asked { lease, question: question(1) });
    (world, id, lease)
}

fn answer(task: TaskId, request: Option<u128>) -> Command {
    Command::Answer { task, request_id: request.map(RequestId), answer_json: "true".into(), by: actor() }
}

#[test]
fn the_running_time_stands_still_while_a_question_waits() {
    let (mut world, id, lease) = asking();
    assert_eq!(world.machine.state().questions().collect::<Vec<_>>(), [id]);
    assert_eq!(world.machine.state().counts().waiting, 1);
    for _ in 0..100 {
        world.pass(100_000);
        world.say(ADA, AgentSay::Heartbeat);
    }
    let step = world.must(answer(id, Some(1)));
    let answer_json = "true".into();
    assert_eq!(step.effects, [Effect::Answer { agent: ADA, lease, request_id: RequestId(1), answer_json }]);
    assert_eq!(world.run(id).deadline, world.now.wall.after(40_000));
    assert_eq!(world.machine.state().counts().waiting, 0);
}

#[test]
fn an_answer_to_another_question_is_refused() {
    let (mut world, id, _) = asking();
    assert_eq!(world.give(answer(id, Some(2))), Err(Rejection::NotWaiting(id)));
    world.must(answer(id, None));
    assert_eq!(world.give(answer(id, None)), Err(Rejection::NotWaiting(id)));
    assert_eq!(world.give(answer(TaskId(404), None)), Err(Rejection::UnknownTask(TaskId(404))));
}

#[test]
fn a_question_that_nobody_answers_fails_the_task() {
    let (mut world, id, lease) = asking();
    let day = 86_400_000;
    let mut left = day;
    while left > 0 {
        world.pass(100_000);
        world.say(ADA, AgentSay::Heartbeat);
        left -= 100_000;
    }
    assert_eq!(world.failure_of(id), FailureReason::WaitingTimeout);
    assert_eq!(world.finish(ADA, lease, AttemptEnd::Succeeded).reply, Reply::Accepted { fresh: false });
}

#[test]
fn a_crash_while_a_question_waits_brings_the_task_back() {
    let (mut world, id, _) = asking();
    world.pass(120_000);
    assert!(world.is_queued(id));
    assert_eq!(world.machine.state().questions().count(), 0);
    assert_eq!(world.give(answer(id, None)), Err(Rejection::NotWaiting(id)));
}

#[test]
fn asking_again_by_the_same_name_is_no_news() {
    let (mut world, id, lease) = asking();
    let again = world.say(ADA, AgentSay::Asked { lease, question: question(1) });
    assert_eq!((again.reply, again.events.len()), (Reply::Accepted { fresh: true }, 0));
    world.must(answer(id, None));
    // The answer was lost on its way; it is given again, without a person.
    let again = world.say(ADA, AgentSay::Asked { lease, question: question(1) });
    assert!(matches!(again.effects[..], [Effect::Answer { request_id: RequestId(1), .. }]));
    assert_eq!(again.events, []);
}

#[test]
fn an_answer_is_said_again_to_an_agent_that_comes_back() {
    let (mut world, id, lease) = asking();
    world.say(ADA, AgentSay::Gone);
    world.must(answer(id, None));
    let step = world.hello(2, profile(ADA, "agent-ada", 1, &["mock"]), vec![lease]).unwrap();
    assert!(matches!(step.effects[..], [Effect::Answer { request_id: RequestId(1), .. }]), "{step:?}");
}

#[test]
fn a_new_question_takes_the_place_of_the_old_one_and_the_time_left_stays() {
    let (mut world, id, lease) = asking();
    world.pass(5_000);
    world.say(ADA, AgentSay::Asked { lease, question: question(2) });
    assert_eq!(world.give(answer(id, Some(1))), Err(Rejection::NotWaiting(id)));
    world.must(answer(id, Some(2)));
    assert_eq!(world.run(id).deadline, world.now.wall.after(40_000));
}

#[test]
fn a_question_outlives_a_restart() {
    let (mut world, id, lease) = asking();
    world.restart();
    assert_eq!(world.machine.state().questions().collect::<Vec<_>>(), [id]);
    world.hello(1, profile(ADA, "agent-ada", 1, &["mock"]), vec![lease]).unwrap();
    let step = world.must(answer(id, Some(1)));
    assert_eq!(step.effects.len(), 1);
}

#[test]
fn a_question_under_a_stale_lease_is_refused() {
    let (mut world, _, lease) = asking();
    let stale = Lease { number: lease.number + 1, ..lease };
    let step = world.say(ADA, AgentSay::Asked { lease: stale, question: question(3) });
    assert_eq!(step.reply, Reply::Accepted { fresh: false });
    assert_eq!(step.effects, [Effect::EndRun { agent: ADA, lease: stale, revoked: true }]);
}

#[test]
fn an_answer_is_not_said_again_once_the_run_has_gone_on() {
    let (mut world, id, lease) = asking();
    world.must(answer(id, None));
    world.say(ADA, AgentSay::Asked { lease, question: question(2) });
    let step = world.hello(2, profile(ADA, "agent-ada", 1, &["mock"]), vec![lease]).unwrap();
    assert_eq!(step.effects, []);
}

#[test]
fn a_question_that_the_run_takes_back_waits_no_more() {
    let (mut world, id, lease) = asking();
    world.pass(5_000);
    let withdrawn = |request_id| AgentSay::Withdrawn { lease, request_id: RequestId(request_id) };
    assert_eq!(world.say(ADA, withdrawn(2)).events, [], "that one was never asked");
    let step = world.say(ADA, withdrawn(1));
    assert_eq!(step.events.len(), 1);
    assert_eq!(world.machine.state().counts().waiting, 0);
    assert_eq!(world.machine.state().questions().count(), 0);
    assert_eq!(world.run(id).deadline, world.now.wall.after(40_000), "its time goes on");
    assert_eq!(world.give(answer(id, Some(1))), Err(Rejection::NotWaiting(id)));
    assert_eq!(world.say(ADA, withdrawn(1)).events, [], "said twice it is no news");
    world.restart();
    assert_eq!(world.machine.state().questions().count(), 0);
}

#[test]
fn a_question_that_was_answered_is_not_taken_back() {
    let (mut world, id, lease) = asking();
    world.must(answer(id, Some(1)));
    let step = world.say(ADA, AgentSay::Withdrawn { lease, request_id: RequestId(1) });
    assert_eq!((step.reply, step.events), (Reply::Accepted { fresh: true }, Vec::new()));
}

#[test]
fn a_task_behind_runs_that_all_wait_is_told_apart_from_one_behind_a_run_at_work() {
    let mut world = World::new();
    let one_slot = Profile { slots: 1, ..profile(ADA, "ada", 1, &["mock"]) };
    world.hello(1, one_slot, Vec::new()).expect("welcome");
    world.say(ADA, AgentSay::Credits(1));
    world.submit_one(|_| {});
    let (_, lease) = world.start();
    let behind = world.submit_one(|_| {});
    let waits_for = |world: &World| world.machine.pending(behind);
    assert_eq!(waits_for(&world), Some(Pending::Queued(Obstacle::Busy)));
    world.say(ADA, AgentSay::Asked { lease, question: question(1) });
    assert_eq!(waits_for(&world), Some(Pending::Queued(Obstacle::AllWaiting)));
    world.say(ADA, AgentSay::Credits(1));
    let (_, other) = world.start();
    assert_eq!(waits_for(&world), None, "the slot was lent after all");
    let last = world.submit_one(|_| {});
    assert_eq!(world.machine.pending(last), Some(Pending::Queued(Obstacle::Busy)), "one of them works");
    world.say(ADA, AgentSay::Asked { lease: other, question: question(2) });
    assert!(world.machine.pending_reason(last).unwrap().contains("agent.max_waiting"));
}
