//! Timeouts and leases.

use conductor_core::*;

use crate::world::*;

#[test]
fn a_run_that_its_agent_does_not_end_in_time_is_ended() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (id, lease) = world.start();
    world.pass(60_000);
    world.say(ADA, AgentSay::Heartbeat);
    assert!(world.pass(29_999).is_empty());
    let steps = world.pass(1);
    assert_eq!(steps[0].effects, [Effect::EndRun { agent: ADA, lease, revoked: true }]);
    assert_eq!(world.failure_of(id), FailureReason::Timeout);
    assert_eq!(world.finish(ADA, lease, AttemptEnd::Succeeded).reply, Reply::Accepted { fresh: false });
}

#[test]
fn a_timeout_is_retried_when_attempts_are_left() {
    let mut world = World::new();
    world.submit_one(|task| task.max_attempts = 2);
    world.join(ADA, 1);
    let (id, _) = world.start();
    world.pass(60_000);
    world.say(ADA, AgentSay::Heartbeat);
    world.pass(30_000);
    assert!(matches!(world.stage(id), StageImage::Scheduled { cause: Some(Requeue::Backoff), .. }));
}

#[test]
fn the_running_time_begins_with_the_run() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (_, id, lease) = world.assign()[0];
    world.pass(80_000);
    world.say(ADA, AgentSay::Started(lease));
    assert_eq!(world.run(id).deadline, world.now.wall.after(60_000));
    world.pass(60_000);
    world.say(ADA, AgentSay::Heartbeat);
    world.run(id);
}

#[test]
fn a_task_waits_in_the_queue_only_so_long_and_says_what_it_waited_for() {
    let mut world = World::new();
    let id = world.submit_one(|task| {
        task.queue_timeout_ms = Some(10_000);
        task.runner = name("claude");
    });
    world.join(ADA, 1);
    world.pass(9_999);
    assert!(world.is_queued(id));
    world.pass(1);
    let Outcome::Failed(failure) = world.outcome(id) else { panic!("{:?}", world.outcome(id)) };
    assert_eq!(failure.reason, FailureReason::QueueTimeout);
    assert_eq!(
        &*failure.message,
        "no agent took it within 10 s: no connected agent offers the runner claude"
    );
}

#[test]
fn the_queue_timeout_begins_anew_with_each_stay_in_the_queue() {
    let mut world = World::new();
    let id = world.submit_one(|task| task.queue_timeout_ms = Some(10_000));
    world.pass(9_000);
    world.join(ADA, 1);
    let (_, lease) = world.start();
    world.pass(9_000);
    world.finish(ADA, lease, AttemptEnd::Stopped);
    world.pass(9_999);
    assert!(world.is_queued(id));
    world.pass(1);
    assert_eq!(world.failure_of(id), FailureReason::QueueTimeout);
}

#[test]
fn a_jump_of_the_wall_clock_ends_no_lease_and_no_run() {
    let mut world = World::new();
    world.submit_one(|task| task.queue_timeout_ms = Some(10_000));
    let waiting = world.submit_one(|task| task.queue_timeout_ms = Some(10_000));
    world.join(ADA, 1);
    let (running, _) = world.start();
    for jump in [86_400_000, -2 * 86_400_000] {
        world.now.wall.0 += jump;
        assert!(world.take_up().is_empty());
    }
    world.run(running);
    assert!(world.is_queued(waiting));
    world.pass(10_000);
    assert_eq!(world.failure_of(waiting), FailureReason::QueueTimeout);
}

#[test]
fn a_clock_that_ran_backwards_does_not_stretch_the_queue_timeout() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.now.wall.0 -= 86_400_000;
    let id = world.submit_one(|task| task.queue_timeout_ms = Some(10_000));
    world.pass(10_000);
    assert_eq!(world.failure_of(id), FailureReason::QueueTimeout);
}

#[test]
fn a_place_in_the_queue_never_runs_backwards() {
    let mut world = World::new();
    let first = world.submit_one(|_| {});
    world.now.wall.0 -= 86_400_000;
    let second = world.submit_one(|_| {});
    world.join(ADA, 2);
    let order: Vec<_> = world.assign().into_iter().map(|(_, task, _)| task).collect();
    assert_eq!(order, [first, second]);
}

#[test]
fn one_look_at_the_clock_does_a_bounded_amount() {
    let now = Now::default();
    let mut machine = Machine::new(Policy::default(), State::default(), now);
    let mut task = World::new().task();
    task.queue_timeout_ms = Some(1_000);
    let tasks = (1..=2_500).map(|id| NewTask { id: TaskId(id), ..task.clone() }).collect();
    let submit = submit(tasks);
    machine.handle(now, Command::Submit(submit)).unwrap();
    let later = Now { mono: Mono(1_000), wall: Wall(1_000) };
    let mut counts = Vec::new();
    while machine.next_deadline().mono.is_some_and(|due| due <= later.mono) {
        let step = machine.handle_timeout(later);
        counts.push((step.events.len(), step.more));
    }
    assert_eq!(
        counts,
        [(TIMEOUTS_A_STEP, true), (TIMEOUTS_A_STEP, true), (2_500 - 2 * TIMEOUTS_A_STEP, false)]
    );
}

#[test]
fn an_agent_with_many_leases_loses_them_over_several_steps() {
    let mut world = World::new();
    let hour = 3_600_000;
    let tasks = (0..1_500).map(|_| NewTask { timeout_ms: hour, ..world.task() }).collect();
    world.submit(tasks).unwrap();
    world.join(ADA, 1_500);
    assert!(world.must(Command::Assign).more);
    assert!(!world.must(Command::Assign).more);
    assert_eq!(world.machine.state().counts().running, 1_500);
    world.pass(120_000);
    assert_eq!(world.machine.state().counts().queued, 1_500);
    assert_eq!(world.machine.counters().leases_expired, 1_500);
    assert!(!world.machine.agent(ADA).unwrap().connected);
}

#[test]
fn a_silent_agent_is_given_nothing_more() {
    let mut world = World::new();
    world.join(ADA, 4);
    let steps = world.pass(120_000);
    assert_eq!(steps[0].effects, [Effect::Disconnect { agent: ADA, revoked: false }]);
    world.submit_one(|_| {});
    assert_eq!(world.assign(), []);
}

#[test]
fn deadlines_that_count_no_more_do_not_pile_up() {
    let now = Now::default();
    let mut machine = Machine::new(Policy::default(), State::default(), now);
    let mut give = |command| machine.handle(now, command).unwrap();
    let say = |say| Command::Agent { agent: ADA, session: 1, say };
    let hello = AgentSay::Hello { profile: Box::new(profile(ADA, "ada", 1, &["mock"])), held: Vec::new() };
    give(say(hello));
    let template = NewTask { queue_timeout_ms: Some(1_000_000), ..World::new().task() };
    for id in 1..=6_000 {
        let tasks = vec![NewTask { id: TaskId(id), ..template.clone() }];
        give(Command::Submit(submit(tasks)));
        give(say(AgentSay::Credits(1)));
        let Effect::Assign { lease, .. } = give(Command::Assign).effects[0] else { unreachable!() };
        give(say(AgentSay::Finished { lease, end: AttemptEnd::Succeeded, report: Box::default() }));
    }
    let armed = machine.armed_deadlines();
    assert!(armed < 4_000, "{armed} deadlines are armed for no task at all");
}

#[test]
fn agents_are_not_blamed_for_what_the_machine_slept_through() {
    let mut world = World::new();
    world.submit_one(|task| task.timeout_ms = 100_000_000);
    world.join(ADA, 1);
    let (id, lease) = world.start();
    // The computer sleeps for a night, and wakes up with the agent's word still to come.
    world.pass(8 * 3_600_000);
    assert_eq!(world.run(id).lease, lease);
    world.pass(20_000);
    world.say(ADA, AgentSay::Heartbeat);
    world.pass(119_999);
    world.run(id);
    world.pass(1);
    assert!(world.is_queued(id), "an agent that stays silent still loses its lease");
}
