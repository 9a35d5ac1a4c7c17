//! What follows the end of an attempt.

use conductor_core::*;

use crate::world::*;

fn running(change: impl FnOnce(&mut NewTask)) -> (World, TaskId, Lease) {
    let mut world = World::new();
    world.submit_one(change);
    world.join(ADA, 1);
    let (id, lease) = world.start();
    (world, id, lease)
}

fn rest_ms(world: &World, id: TaskId) -> i64 {
    match world.stage(id) {
        StageImage::Scheduled { until, cause: Some(_) } => until.0 - world.now.wall.0,
        stage => panic!("{stage:?}"),
    }
}

#[test]
fn a_failed_attempt_is_tried_again_after_a_pause() {
    let (mut world, id, lease) = running(|task| task.max_attempts = 2);
    world.finish(ADA, lease, failure(FailureReason::ExitCode));
    let rest = rest_ms(&world, id);
    assert!((4_000..=6_000).contains(&rest), "{rest}");
    world.pass(u64::try_from(rest).unwrap());
    assert!(world.is_queued(id));
    world.say(ADA, AgentSay::Credits(1));
    let step = world.must(Command::Assign);
    let Effect::Assign { attempt, after, lease, .. } = step.effects[0] else { panic!("{step:?}") };
    assert_eq!((attempt, after), (2, Some(Requeue::Backoff)));
    world.finish(ADA, lease, failure(FailureReason::ExitCode));
    assert_eq!(world.failure_of(id), FailureReason::ExitCode);
}

#[test]
fn the_pause_doubles_and_stops_growing_at_an_hour() {
    let (mut world, id, mut lease) = running(|task| task.max_attempts = 20);
    let mut pauses = Vec::new();
    for _ in 0..14 {
        world.finish(ADA, lease, failure(FailureReason::ExitCode));
        let rest = rest_ms(&world, id);
        pauses.push(rest);
        world.now.wall.0 += rest;
        world.now.mono.0 += u64::try_from(rest).unwrap();
        world.take_up();
        world.hello(1, profile(ADA, "agent-ada", 1, &["mock"]), Vec::new()).unwrap();
        world.say(ADA, AgentSay::Credits(1));
        lease = world.assign()[0].2;
    }
    for (index, pause) in pauses.iter().enumerate() {
        let middle = (5_000_i64 << index).min(3_600_000);
        assert!((middle * 4 / 5..=middle * 6 / 5).contains(pause), "pause {index} is {pause}");
    }
    let same = pauses.iter().skip(11).all(|pause| *pause == pauses[11]);
    assert!(!same, "the jitter differs between attempts: {pauses:?}");
}

#[test]
fn a_failure_that_another_attempt_cannot_mend_is_final() {
    for reason in [FailureReason::Auth, FailureReason::OutputLimit, FailureReason::InvalidWorkspace] {
        let (mut world, id, lease) = running(|task| task.max_attempts = 5);
        world.finish(ADA, lease, failure(reason));
        assert_eq!(world.failure_of(id), reason);
    }
}

#[test]
fn a_crash_is_not_a_failed_attempt() {
    let (mut world, id, lease) = running(|task| task.max_attempts = 1);
    world.finish(ADA, lease, AttemptEnd::Crashed("gone".into()));
    assert!(world.is_queued(id));
    let image = world.machine.state().task(id).unwrap();
    assert_eq!((image.failed_attempts, image.attempt), (0, 1));
    assert_eq!(*image.crashed_on, [name("agent-ada")]);
}

#[test]
fn a_task_that_keeps_losing_its_agent_ends_and_names_them() {
    let (mut world, id, mut lease) = running(|_| {});
    for _ in 0..2 {
        world.finish(ADA, lease, AttemptEnd::Crashed("killed by signal 9".into()));
        world.say(ADA, AgentSay::Credits(1));
        lease = world.start().1;
    }
    world.finish(ADA, lease, AttemptEnd::Crashed("killed by signal 9".into()));
    let Outcome::Failed(failure) = world.outcome(id) else { panic!("{:?}", world.outcome(id)) };
    assert_eq!(failure.reason, FailureReason::CrashLimit);
    assert_eq!(
        &*failure.message,
        "its agent was lost 3 times while it ran: agent-ada, agent-ada, agent-ada; \
         the last time: killed by signal 9"
    );
}

#[test]
fn a_clean_stop_counts_as_nothing() {
    let (mut world, id, mut lease) = running(|_| {});
    for _ in 0..10 {
        world.finish(ADA, lease, AttemptEnd::Stopped);
        let image = world.machine.state().task(id).unwrap();
        assert_eq!((image.failed_attempts, image.crashed_on.len()), (0, 0));
        assert_eq!(image.last_end, Some(Requeue::Stop));
        world.say(ADA, AgentSay::Credits(1));
        lease = world.start().1;
    }
}

#[test]
fn a_limit_rests_without_spending_the_attempt() {
    let (mut world, id, lease) = running(|_| {});
    world.finish(ADA, lease, AttemptEnd::Limited { rest_ms: 30_000, message: "try later".into() });
    assert_eq!(rest_ms(&world, id), 30_000);
    assert_eq!(world.machine.state().task(id).unwrap().failed_attempts, 0);
    let until = world.now.wall.after(30_000);
    let reason = world.machine.pending_reason(id).unwrap();
    assert!(reason.contains(&format!("until {until}")), "{reason}");
    world.pass(30_000);
    assert!(world.is_queued(id));
}

#[test]
fn a_limit_never_spins_and_never_rests_for_ever() {
    let (mut world, id, lease) = running(|_| {});
    world.finish(ADA, lease, AttemptEnd::Limited { rest_ms: 1, message: "now".into() });
    assert_eq!(rest_ms(&world, id), 1_000);
    let (mut world, id, lease) = running(|_| {});
    world.finish(ADA, lease, AttemptEnd::Limited { rest_ms: u64::MAX, message: "never".into() });
    assert_eq!(rest_ms(&world, id), 86_400_000);
}

#[test]
fn without_a_pause_the_next_attempt_is_queued_at_once() {
    let (mut world, id, lease) = running(|task| {
        task.max_attempts = 2;
        task.backoff_ms = 0;
    });
    world.finish(ADA, lease, failure(FailureReason::ExitCode));
    assert!(world.is_queued(id));
}

#[test]
fn the_pause_runs_by_the_monotonic_clock() {
    let (mut world, id, lease) = running(|task| task.max_attempts = 2);
    world.finish(ADA, lease, failure(FailureReason::ExitCode));
    world.now.wall.0 += 3_600_000;
    world.take_up();
    assert!(!world.is_queued(id));
    world.now.mono.0 += 6_000;
    world.take_up();
    assert!(world.is_queued(id));
}
