//! Credentials: what limits and refusals mean for the tasks that wait for them.

use conductor_core::*;

use crate::world::*;

const KEY: &str = "key-1";

fn limited(rest_ms: u64) -> AttemptEnd {
    AttemptEnd::Limited { rest_ms, message: "slow down".into() }
}

fn lanes(offers: &[(&str, &str)]) -> AgentSay {
    AgentSay::Lanes(
        offers.iter().map(|(runner, lane)| RunnerLane { runner: name(runner), lane: name(lane) }).collect(),
    )
}

/// Connects an agent whose mock runs under a credential.
fn join(world: &mut World, agent: AgentId, lane: &str, credits: u32) {
    world.join(agent, 0);
    world.say(agent, lanes(&[("mock", lane)]));
    world.say(agent, AgentSay::Credits(credits));
}

/// A world with so many tasks that wait for one credential, and an agent with so many slots.
fn waiting(tasks: usize, credits: u32) -> (World, Vec<TaskId>) {
    let mut world = World::new();
    join(&mut world, ADA, KEY, credits);
    let ids = (0..tasks).map(|_| world.submit_one(|_| {})).collect();
    (world, ids)
}

fn lane(world: &World) -> Option<Lane> {
    world.machine.state().lane(&name(KEY)).cloned()
}

fn reason(world: &World, id: TaskId) -> String {
    world.machine.pending_reason(id).expect("it waits")
}

fn given(world: &mut World) -> Vec<Lease> {
    world.assign().into_iter().map(|(_, _, lease)| lease).collect()
}

#[test]
fn a_limit_with_a_known_end_parks_its_lane_alone() {
    let (mut world, ids) = waiting(3, 1);
    let other = world.submit_one(|task| task.runner = name("other"));
    let (first, lease) = world.start();
    world.say(ADA, AgentSay::Credits(1));
    world.finish(ADA, lease, limited(60_000));
    assert!(world.assign().is_empty(), "nothing runs under a credential that rests");
    let waits = ids.iter().find(|id| **id != first).unwrap();
    assert!(
        reason(&world, *waits).contains("key-1 is at its limit until 2023-11-14T22:14:20Z"),
        "{}",
        reason(&world, *waits)
    );
    assert_eq!(world.machine.state().task(first).unwrap().failed_attempts, 0);
    world.hello(2, profile(BOB, "bob", 1, &["other"]), Vec::new()).unwrap();
    world.must(Command::Agent { agent: BOB, session: 2, say: AgentSay::Credits(1) });
    assert_eq!(world.assign()[0].1, other, "another runner goes on");
}

#[test]
fn what_rested_is_released_a_little_at_a_time() {
    let (mut world, _) = waiting(16, 16);
    let leases = given(&mut world);
    for lease in &leases {
        world.finish(ADA, *lease, limited(60_000));
    }
    world.say(ADA, AgentSay::Credits(16));
    assert!(world.assign().is_empty());
    world.pass(60_000);
    let mut released = Vec::new();
    while released.iter().sum::<usize>() < 15 {
        let leases = given(&mut world);
        released.push(leases.len());
        for lease in leases {
            world.finish(ADA, lease, AttemptEnd::Succeeded);
            world.say(ADA, AgentSay::Credits(1));
        }
    }
    assert_eq!(released[..3], [1, 2, 8], "every success doubles what may run at once: {released:?}");
}

#[test]
fn the_longest_of_several_limits_counts() {
    let (mut world, _) = waiting(3, 2);
    let leases = given(&mut world);
    world.finish(ADA, leases[0], limited(60_000));
    world.finish(ADA, leases[1], limited(30_000));
    world.say(ADA, AgentSay::Credits(2));
    world.pass(30_000);
    assert!(world.assign().is_empty());
    world.pass(30_000);
    assert_eq!(given(&mut world).len(), 1);
}

#[test]
fn a_task_goes_to_another_credential_at_once() {
    let (mut world, _) = waiting(1, 1);
    let (id, lease) = world.start();
    join(&mut world, BOB, "key-2", 1);
    world.finish(ADA, lease, limited(3_600_000));
    assert!(world.is_queued(id));
    assert_eq!(world.assign()[0].0, BOB);
}

#[test]
fn an_overload_backs_off_longer_each_time_and_ends_some_day() {
    let mut world = World::with(Policy { max_limits: 3, ..Policy::default() });
    join(&mut world, ADA, KEY, 1);
    let id = world.submit_one(|_| {});
    let mut rests = Vec::new();
    for _ in 0..3 {
        let (_, lease) = world.start();
        world.finish(ADA, lease, limited(0));
        let StageImage::Scheduled { until, .. } = world.stage(id) else { panic!("{:?}", world.stage(id)) };
        rests.push(until.0 - world.now.wall.0);
        world.now.wall.0 += 700_000;
        world.now.mono.0 += 700_000;
        world.take_up();
        world.hello(1, profile(ADA, "agent-ada", 1, &["mock"]), Vec::new()).unwrap();
        world.say(ADA, AgentSay::Credits(1));
    }
    for (rest, middle) in rests.iter().zip([15_000, 30_000, 60_000]) {
        assert!((middle * 4 / 5..=middle * 6 / 5).contains(rest), "{rests:?}");
    }
    let (_, lease) = world.start();
    world.finish(ADA, lease, limited(0));
    assert_eq!(world.failure_of(id), FailureReason::RateLimited);
}

#[test]
fn an_overload_halves_what_runs_at_once() {
    let (mut world, _) = waiting(40, 8);
    let leases = given(&mut world);
    assert_eq!(leases.len(), 8);
    world.finish(ADA, leases[0], limited(0));
    assert_eq!(lane(&world).unwrap().at_once(), Some(4));
    world.say(ADA, AgentSay::Credits(8));
    assert!(world.assign().is_empty(), "seven still run");
    for lease in &leases[1..] {
        world.finish(ADA, *lease, AttemptEnd::Stopped);
    }
    assert_eq!(given(&mut world).len(), 4);
}

#[test]
fn two_refusals_in_a_row_close_a_lane_and_say_so() {
    let rule = NotifyRule { name: name("ops"), on: [Notice::LaneClosed].into(), group: None };
    let mut world = World::with(Policy { notify: vec![rule], ..Policy::default() });
    join(&mut world, ADA, KEY, 1);
    let ids: Vec<_> = (0..4).map(|_| world.submit_one(|_| {})).collect();
    for round in 0..2 {
        assert!(lane(&world).is_none_or(|lane| !lane.closed), "it is open in round {round}");
        let (id, lease) = world.start();
        world.finish(ADA, lease, failure(FailureReason::Auth));
        assert_eq!(world.failure_of(id), FailureReason::Auth);
        world.say(ADA, AgentSay::Credits(1));
    }
    assert!(world.assign().is_empty());
    assert!(reason(&world, ids[3]).contains("closed"), "{}", reason(&world, ids[3]));
    assert_eq!(world.machine.state().task(ids[3]).unwrap().attempt, 0, "it is not spent");
    assert_eq!(world.machine.state().delivery_count(), 1);
}

#[test]
fn a_success_between_two_refusals_keeps_a_lane_open() {
    let (mut world, _) = waiting(3, 1);
    for end in [failure(FailureReason::Auth), AttemptEnd::Succeeded, failure(FailureReason::Auth)] {
        let (_, lease) = world.start();
        world.finish(ADA, lease, end);
        world.say(ADA, AgentSay::Credits(1));
    }
    assert!(!lane(&world).unwrap().closed);
}

fn closed() -> (World, TaskId) {
    let (mut world, ids) = waiting(3, 2);
    for lease in given(&mut world) {
        world.finish(ADA, lease, failure(FailureReason::Auth));
    }
    world.say(ADA, AgentSay::Credits(2));
    assert!(lane(&world).is_some_and(|lane| lane.closed));
    (world, ids[2])
}

#[test]
fn a_person_opens_a_closed_lane_which_is_tried_with_one() {
    let (mut world, id) = closed();
    let unknown = Command::OpenLane { lane: name("nothing"), by: actor() };
    assert_eq!(world.give(unknown), Err(Rejection::UnknownLane(name("nothing"))));
    world.must(Command::OpenLane { lane: name(KEY), by: actor() });
    assert_eq!(lane(&world).unwrap().at_once(), Some(1));
    assert_eq!(world.assign()[0].1, id);
}

#[test]
fn another_value_of_the_credential_is_another_lane() {
    let (mut world, id) = closed();
    world.say(ADA, lanes(&[("mock", "key-1b")]));
    assert_eq!(lane(&world), None, "nobody offers the old one any more");
    assert_eq!(world.assign()[0].1, id);
}

#[test]
fn a_context_that_is_too_long_gets_a_new_session_once() {
    let (mut world, _) = waiting(1, 1);
    let (id, lease) = world.start();
    world.finish(ADA, lease, failure(FailureReason::ContextOverflow));
    assert!(world.is_queued(id));
    assert_eq!(world.machine.state().task(id).unwrap().failed_attempts, 0);
    world.say(ADA, AgentSay::Credits(1));
    let step = world.must(Command::Assign);
    let Effect::Assign { after, lease, .. } = step.effects[0] else { panic!("{step:?}") };
    assert_eq!(after, Some(Requeue::NewSession));
    world.finish(ADA, lease, failure(FailureReason::ContextOverflow));
    assert_eq!(world.failure_of(id), FailureReason::ContextOverflow);
}

#[test]
fn a_rest_goes_on_over_a_restart() {
    let (mut world, _) = waiting(2, 1);
    let (_, lease) = world.start();
    world.finish(ADA, lease, limited(60_000));
    let parts: Vec<_> = world.machine.state().parts().collect();
    let state = State::restore(parts).unwrap();
    assert_eq!(state.lane(&name(KEY)), lane(&world).as_ref());
    let mut machine = Machine::new(Policy::default(), state, world.now);
    let end = world.now.wall.after(60_000);
    assert!(machine.next_deadline().wall.is_some_and(|due| due <= end));
    let later = Now { mono: world.now.mono.after(60_000), wall: end };
    machine.handle_timeout(later);
    assert_eq!(machine.state().lane(&name(KEY)).unwrap().rests_until, None);
}
