//! From submit to the end.

use conductor_core::*;

use crate::world::*;

#[test]
fn a_task_goes_from_submit_to_success() {
    let mut world = World::new();
    let id = world.submit_one(|_| {});
    assert!(world.is_queued(id));
    world.join(ADA, 1);
    let step = world.must(Command::Assign);
    let lease = Lease { incarnation: Incarnation(1), number: 1 };
    assert_eq!(
        step.effects,
        [Effect::Assign {
            agent: ADA,
            task: id,
            lease,
            attempt: 1,
            runner: name("mock"),
            group: name("default"),
            timeout_ms: 60_000,
            after: None,
            limit: Limit::default(),
        }]
    );
    assert_eq!(world.say(ADA, AgentSay::Started(lease)).reply, Reply::Accepted { fresh: true });
    let step = world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert_eq!(step.effects, [Effect::Acknowledge { agent: ADA, lease }]);
    assert_eq!(world.outcome(id), Outcome::Succeeded);
    assert!(world.machine.state().is_empty());
}

#[test]
fn a_second_report_is_acknowledged_and_changes_nothing() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (_, lease) = world.start();
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    let step = world.finish(ADA, lease, failure(FailureReason::ExitCode));
    assert_eq!(step.reply, Reply::Accepted { fresh: false });
    assert_eq!(step.events, []);
    assert_eq!(step.effects, [Effect::Acknowledge { agent: ADA, lease }]);
    assert_eq!(world.machine.counters().stale_reports, 1);
}

#[test]
fn an_expired_lease_requeues_the_task() {
    let mut world = World::new();
    let id = world.submit_one(|task| task.timeout_ms = 10_000_000);
    world.join(ADA, 1);
    let (_, lease) = world.start();
    assert!(world.pass(119_999).is_empty());
    let steps = world.pass(1);
    assert_eq!(
        steps[0].effects,
        [
            Effect::EndRun { agent: ADA, lease, revoked: true },
            Effect::Disconnect { agent: ADA, revoked: false }
        ]
    );
    assert!(world.is_queued(id));
    assert_eq!(world.machine.counters().leases_expired, 1);
    let late = world.give(Command::Agent {
        agent: ADA,
        session: 1,
        say: AgentSay::Finished { lease, end: AttemptEnd::Succeeded, report: Box::default() },
    });
    assert_eq!(late, Err(Rejection::StaleSession(ADA)));
}

#[test]
fn a_heartbeat_renews_all_leases_of_its_agent() {
    let mut world = World::new();
    world.submit_one(|task| task.timeout_ms = 10_000_000);
    world.join(ADA, 1);
    let (id, _) = world.start();
    for _ in 0..10 {
        world.pass(100_000);
        world.say(ADA, AgentSay::Heartbeat);
    }
    world.run(id);
}

#[test]
fn cancelling_a_queued_task_ends_it_at_once() {
    let mut world = World::new();
    let id = world.submit_one(|_| {});
    let reason = CancelReason::Requested(Some("no more".into()));
    let step = world.must(Command::Cancel { task: id, reason: reason.clone(), by: actor() });
    assert_eq!(step.reply, Reply::Cancelled(vec![id]));
    assert_eq!(world.outcome(id), Outcome::Cancelled(reason));
}

#[test]
fn cancelling_a_running_task_asks_its_agent_once() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (id, lease) = world.start();
    let cancel = Command::Cancel { task: id, reason: CancelReason::Requested(None), by: actor() };
    let step = world.must(cancel.clone());
    assert_eq!(step.effects, [Effect::EndRun { agent: ADA, lease, revoked: false }]);
    let again = world.must(cancel);
    assert_eq!((again.events.len(), again.effects.len()), (0, 0));
    world.finish(ADA, lease, AttemptEnd::Cancelled);
    assert_eq!(world.outcome(id), Outcome::Cancelled(CancelReason::Requested(None)));
}

#[test]
fn a_restart_keeps_leases_and_gives_them_a_full_time_to_live() {
    let mut world = World::new();
    world.submit_one(|task| task.timeout_ms = 10_000_000);
    world.join(ADA, 1);
    let (id, lease) = world.start();
    world.pass(100_000);
    world.restart();
    world.pass(20_000);
    world.pass(80_000);
    assert_eq!(world.run(id).lease, lease);
    let step = world.hello(1, profile(ADA, "agent-ada", 1, &["mock"]), vec![lease]).unwrap();
    assert_eq!(step.reply, Reply::Welcome { stale: vec![], draining: false, replaced: None });
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert_eq!(world.outcome(id), Outcome::Succeeded);
}
