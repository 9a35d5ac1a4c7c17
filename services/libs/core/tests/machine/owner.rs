//! Pause, drain, revocation and deletion.

use conductor_core::*;

use crate::world::*;

fn pause(paused: bool) -> Command {
    Command::Pause { paused, by: actor() }
}

fn drain(draining: bool) -> Command {
    Command::DrainAgent { name: name("agent-ada"), draining, by: actor() }
}

fn revoke() -> Command {
    Command::RevokeAgent { name: name("agent-ada"), by: actor() }
}

#[test]
fn nothing_is_assigned_while_the_queue_is_paused() {
    let mut world = World::new();
    let id = world.submit_one(|_| {});
    world.join(ADA, 1);
    world.must(pause(true));
    assert_eq!(world.must(pause(true)).events, []);
    assert_eq!(world.assign(), []);
    assert_eq!(world.machine.pending_reason(id), Some("the queue is paused".into()));
    world.restart();
    assert!(world.machine.state().is_paused());
    world.must(pause(false));
    world.join(ADA, 1);
    assert_eq!(world.assign().len(), 1);
}

#[test]
fn nothing_is_assigned_while_a_volume_lacks_room_and_what_waits_says_which() {
    let mut world = World::new();
    world.join(ADA, 2);
    world.submit_one(|_| {});
    let (running, lease) = world.start();
    let waiting = world.submit_one(|_| {});
    let before = world.machine.state().seq();
    for (volume, called) in [(Volume::State, "state"), (Volume::Workspace, "workspace")] {
        world.must(Command::Room { lacking: Some(volume) });
        assert_eq!(world.assign(), []);
        let why = world.machine.pending_reason(waiting).unwrap();
        assert!(why.contains(&format!("the {called} volume has less free space")), "{why}");
    }
    assert_eq!(world.machine.unserved(10), [], "an agent could run it");
    assert_eq!(world.machine.state().seq(), before, "how full a disk is does not belong into the log");
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert_eq!(world.outcome(running), Outcome::Succeeded);
    assert_eq!(world.assign(), []);
    world.must(Command::Room { lacking: None });
    assert_eq!(world.assign().len(), 1);
}

#[test]
fn a_drained_agent_finishes_what_it_has_and_gets_nothing_more() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (done, lease) = world.start();
    world.say(ADA, AgentSay::Credits(1));
    let step = world.must(drain(true));
    assert_eq!(step.effects, [Effect::Drain { agent: ADA, draining: true }]);
    assert_eq!(world.assign(), []);
    world.finish(ADA, lease, AttemptEnd::Succeeded);
    assert_eq!(world.outcome(done), Outcome::Succeeded);
    let step = world.hello(2, profile(ADA, "agent-ada", 2, &["mock"]), Vec::new()).unwrap();
    let replaced = Some(InstanceId(1));
    assert_eq!(step.reply, Reply::Welcome { stale: vec![], draining: true, replaced });
    world.must(drain(false));
    world.must(Command::Agent { agent: ADA, session: 2, say: AgentSay::Credits(1) });
    assert_eq!(world.assign().len(), 1);
}

#[test]
fn a_revoked_agent_loses_its_leases_and_its_way_in() {
    let mut world = World::new();
    world.submit_one(|_| {});
    world.join(ADA, 1);
    let (id, lease) = world.start();
    let step = world.must(revoke());
    assert_eq!(
        step.effects,
        [
            Effect::EndRun { agent: ADA, lease, revoked: true },
            Effect::Disconnect { agent: ADA, revoked: true }
        ]
    );
    assert!(world.is_queued(id));
    assert_eq!(world.machine.state().task(id).unwrap().crashed_on.len(), 0);
    let back = world.hello(2, profile(ADA, "agent-ada", 2, &["mock"]), Vec::new());
    assert_eq!(back, Err(Rejection::Revoked(ADA)));
    assert_eq!(world.give(revoke()), Err(Rejection::UnknownAgent(name("agent-ada"))));
    world.restart();
    let back = world.hello(3, profile(ADA, "agent-ada", 2, &["mock"]), Vec::new());
    assert_eq!(back, Err(Rejection::Revoked(ADA)));
    world.hello(1, profile(BOB, "agent-ada", 1, &["mock"]), Vec::new()).unwrap();
}

#[test]
fn an_agent_must_be_known_to_be_drained() {
    let mut world = World::new();
    assert_eq!(world.give(drain(true)), Err(Rejection::UnknownAgent(name("agent-ada"))));
}

#[test]
fn what_is_pinned_stays_so_over_a_restart_and_is_not_deleted() {
    let mut world = World::new();
    let pin = |task, pinned| Command::Pin { task: TaskId(task), pinned, by: actor() };
    let delete = || Command::Delete { tasks: Box::new([TaskId(1), TaskId(2)]), by: None };
    assert_eq!(world.must(pin(2, true)).events.len(), 1);
    assert_eq!(world.must(pin(2, true)).events, []);
    world.restart();
    assert!(world.machine.state().is_pinned(TaskId(2)) && !world.machine.state().is_pinned(TaskId(1)));
    assert_eq!(world.give(delete()), Err(Rejection::Pinned(TaskId(2))));
    world.must(pin(2, false));
    assert_eq!(world.must(pin(2, false)).events, []);
    world.must(delete());
    // Without a look at the whole state after each.
    let (now, mut machine) = (world.now, world.machine);
    (0..MAX_PINS as u128).for_each(|task| drop(machine.handle(now, pin(task, true)).unwrap()));
    assert_eq!(machine.handle(now, pin(u128::MAX, true)).unwrap_err(), Rejection::TooManyPins);
}

#[test]
fn only_tasks_that_are_over_are_deleted() {
    let mut world = World::new();
    let live = world.submit_one(|_| {});
    let delete = |task| Command::Delete { tasks: Box::new([TaskId(1), task]), by: Some(actor()) };
    assert_eq!(world.give(delete(live)), Err(Rejection::StillLive(live)));
    let step = world.must(delete(TaskId(2)));
    assert_eq!(step.effects, [Effect::DeleteRuns(Box::new([TaskId(1), TaskId(2)]))]);
    assert!(matches!(step.events[0].kind, EventKind::TasksDeleted { .. }));
}
