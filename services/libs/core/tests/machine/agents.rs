//! Agents that come, go and come back.

use conductor_core::*;

use crate::world::*;

fn ada(instance: u128) -> Profile {
    profile(ADA, "agent-ada", instance, &["mock"])
}

fn running() -> (World, TaskId, Lease) {
    let mut world = World::new();
    world.submit_one(|task| task.timeout_ms = 10_000_000);
    world.join(ADA, 1);
    let (id, lease) = world.start();
    (world, id, lease)
}

#[test]
fn an_agent_that_says_the_same_of_itself_is_not_logged_again() {
    let mut world = World::new();
    let step = world.hello(1, ada(1), Vec::new()).unwrap();
    assert!(matches!(step.events[..], [Event { kind: EventKind::AgentJoined { .. }, .. }]));
    let step = world.hello(2, ada(1), Vec::new()).unwrap();
    assert_eq!(step.events, []);
    let mut more = ada(1);
    more.slots = 9;
    assert_eq!(world.hello(3, more, Vec::new()).unwrap().events.len(), 1);
}

#[test]
fn a_connection_that_was_replaced_is_not_heard() {
    let mut world = World::new();
    world.hello(2, ada(1), Vec::new()).unwrap();
    let stale = Err(Rejection::StaleSession(ADA));
    assert_eq!(world.hello(1, ada(1), Vec::new()), stale);
    for say in [AgentSay::Heartbeat, AgentSay::Credits(1), AgentSay::Gone] {
        assert_eq!(world.give(Command::Agent { agent: ADA, session: 1, say }), stale);
    }
    assert!(world.machine.agent(ADA).unwrap().connected);
}

#[test]
fn an_agent_that_never_said_hello_is_not_heard() {
    let mut world = World::new();
    let word = Command::Agent { agent: ADA, session: 1, say: AgentSay::Heartbeat };
    assert_eq!(world.give(word), Err(Rejection::StaleSession(ADA)));
}

#[test]
fn credits_begin_anew_with_each_connection() {
    let mut world = World::new();
    world.join(ADA, 3);
    world.hello(2, ada(1), Vec::new()).unwrap();
    assert_eq!(world.machine.agent(ADA).unwrap().credits, 0);
}

#[test]
fn an_agent_that_is_gone_keeps_its_leases_until_they_run_out() {
    let (mut world, id, lease) = running();
    world.pass(50_000);
    world.say(ADA, AgentSay::Heartbeat);
    world.say(ADA, AgentSay::Gone);
    world.pass(119_999);
    world.run(id);
    world.pass(1);
    assert!(world.is_queued(id));
    let step = world.hello(2, ada(1), vec![lease]).unwrap();
    assert_eq!(step.reply, Reply::Welcome { stale: vec![lease], draining: false, replaced: None });
}

#[test]
fn an_agent_that_comes_back_in_time_goes_on() {
    let (mut world, id, lease) = running();
    world.say(ADA, AgentSay::Gone);
    world.pass(60_000);
    let step = world.hello(2, ada(1), vec![lease]).unwrap();
    assert_eq!(step.reply, Reply::Welcome { stale: vec![], draining: false, replaced: None });
    world.pass(100_000);
    assert_eq!(world.run(id).lease, lease);
}

#[test]
fn a_new_instance_frees_at_once_what_it_does_not_hold() {
    let mut world = World::new();
    for _ in 0..2 {
        world.submit_one(|_| {});
    }
    world.join(ADA, 2);
    let given = world.assign();
    let [(_, kept, held), (_, lost, _)] = given[..] else { panic!("{given:?}") };
    world.say(ADA, AgentSay::Gone);
    let step = world.hello(2, ada(2), vec![held]).unwrap();
    let replaced = Some(InstanceId(1));
    assert_eq!(step.reply, Reply::Welcome { stale: vec![], draining: false, replaced });
    assert_eq!(world.run(kept).lease, held);
    assert!(world.is_queued(lost));
    assert_eq!(*world.machine.state().task(lost).unwrap().crashed_on, [name("agent-ada")]);
}

#[test]
fn an_assignment_that_never_arrived_is_no_crash() {
    let mut world = World::new();
    let id = world.submit_one(|_| {});
    world.join(ADA, 1);
    world.assign();
    world.say(ADA, AgentSay::Gone);
    world.hello(2, ada(1), Vec::new()).unwrap();
    assert!(world.is_queued(id));
    let image = world.machine.state().task(id).unwrap();
    assert_eq!((image.last_end, image.crashed_on.len()), (Some(Requeue::Stop), 0));
}

#[test]
fn a_run_that_its_own_instance_lost_is_a_crash() {
    let (mut world, id, _) = running();
    world.hello(2, ada(1), Vec::new()).unwrap();
    assert_eq!(world.machine.state().task(id).unwrap().last_end, Some(Requeue::Crash));
}

#[test]
fn a_cancel_is_said_again_to_an_agent_that_comes_back() {
    let (mut world, id, lease) = running();
    world.say(ADA, AgentSay::Gone);
    world.must(Command::Cancel { task: id, reason: CancelReason::Requested(None), by: actor() });
    let step = world.hello(2, ada(1), vec![lease]).unwrap();
    assert_eq!(step.effects, [Effect::EndRun { agent: ADA, lease, revoked: false }]);
}

#[test]
fn a_live_name_is_never_taken_by_another() {
    let mut world = World::new();
    world.join(ADA, 1);
    let taken = Err(Rejection::NameTaken(name("agent-ada")));
    let other = profile(BOB, "agent-ada", 1, &["mock"]);
    assert_eq!(world.hello(1, other.clone(), Vec::new()), taken);
    world.submit_one(|_| {});
    let (_, lease) = world.start();
    world.say(ADA, AgentSay::Gone);
    assert_eq!(world.hello(1, other.clone(), Vec::new()), taken, "it still holds a lease");
    world.hello(2, ada(1), vec![lease]).unwrap();
    world.finish_on(2, ADA, lease, AttemptEnd::Succeeded);
    world.must(Command::Agent { agent: ADA, session: 2, say: AgentSay::Gone });
    let step = world.hello(1, other, Vec::new()).unwrap();
    assert_eq!(step.events[0].kind, EventKind::AgentLeft { agent: ADA });
    assert_eq!(world.machine.state().agent_named(&name("agent-ada")), Some(BOB));
}

#[test]
fn a_lease_of_another_agent_cannot_be_used() {
    let (mut world, id, lease) = running();
    world.join(BOB, 1);
    let step = world.finish(BOB, lease, AttemptEnd::Succeeded);
    assert_eq!(step.reply, Reply::Accepted { fresh: false });
    assert_eq!(world.run(id).agent, ADA);
}

#[test]
fn a_lease_of_another_incarnation_is_stale() {
    let (mut world, id, lease) = running();
    let forged = Lease { incarnation: Incarnation(99), number: lease.number };
    let step = world.finish(ADA, forged, AttemptEnd::Succeeded);
    assert_eq!(step.reply, Reply::Accepted { fresh: false });
    world.run(id);
    let step = world.hello(2, ada(1), vec![lease, forged]).unwrap();
    assert_eq!(step.reply, Reply::Welcome { stale: vec![forged], draining: false, replaced: None });
}

#[test]
fn a_start_under_a_stale_lease_is_told_to_end() {
    let mut world = World::new();
    world.join(ADA, 1);
    let lease = Lease { incarnation: Incarnation(1), number: 77 };
    let step = world.say(ADA, AgentSay::Started(lease));
    assert_eq!(step.reply, Reply::Accepted { fresh: false });
    assert_eq!(step.effects, [Effect::EndRun { agent: ADA, lease, revoked: true }]);
}

#[test]
fn an_agent_that_drains_by_itself_is_given_nothing_more_until_it_comes_back() {
    let mut world = World::new();
    world.join(ADA, 2);
    world.say(ADA, AgentSay::Draining);
    world.say(ADA, AgentSay::Credits(2));
    let id = world.submit_one(|_| {});
    assert_eq!(world.assign(), []);
    let why = world.machine.pending_reason(id);
    assert_eq!(why, Some("all agents that could run it are draining".into()));
    world.hello(1, ada(1), Vec::new()).unwrap();
    world.say(ADA, AgentSay::Credits(1));
    assert_eq!(world.assign().len(), 1);
}

#[test]
fn a_runner_that_becomes_ready_serves_what_waits_for_it() {
    let mut world = World::new();
    let offers = |ready: bool| -> Box<[RunnerOffer]> {
        let missing = (!ready).then(|| "no credential is set".into());
        [RunnerOffer { runner: name("claude"), version: None, ready, missing }].into()
    };
    world.join(ADA, 1);
    world.say(ADA, AgentSay::Offers(offers(false)));
    let id = world.submit_one(|task| task.runner = name("claude"));
    world.say(ADA, AgentSay::Credits(1));
    assert_eq!(world.assign(), []);
    let step = world.say(ADA, AgentSay::Offers(offers(true)));
    assert_eq!(step.events.len(), 1);
    assert_eq!(world.assign().len(), 1);
    world.run(id);
    let step = world.say(ADA, AgentSay::Offers(offers(true)));
    assert!(step.events.is_empty(), "nothing changed");
    world.run(id);
}

#[test]
fn an_agent_that_is_gone_and_holds_nothing_is_forgotten_some_time() {
    let mut world = World::new();
    world.join(ADA, 1);
    world.say(ADA, AgentSay::Gone);
    world.pass(86_399_999);
    assert!(world.machine.agent(ADA).is_some());
    let steps = world.pass(1);
    assert_eq!(steps[0].events[0].kind, EventKind::AgentLeft { agent: ADA });
    assert_eq!(world.machine.agents().count(), 0);
}

#[test]
fn only_so_many_agents_are_known() {
    let mut world = World::with(Policy { max_agents: 1, ..Policy::default() });
    world.join(ADA, 1);
    let refused = world.hello(1, profile(BOB, "agent-bob", 1, &["mock"]), Vec::new());
    assert_eq!(refused, Err(Rejection::TooManyAgents));
    world.hello(2, ada(2), Vec::new()).unwrap();
}

#[test]
fn an_agent_may_change_its_name() {
    let mut world = World::new();
    world.join(ADA, 1);
    world.hello(2, profile(ADA, "countess", 2, &["mock"]), Vec::new()).unwrap();
    assert_eq!(world.machine.state().agent_named(&name("agent-ada")), None);
    assert_eq!(world.machine.state().agent_named(&name("countess")), Some(ADA));
}

#[test]
fn an_agent_without_room_on_its_disk_is_given_nothing_what_it_granted_is_kept_and_a_task_says_why_it_waits() {
    let mut world = World::new();
    world.join(ADA, 2);
    let before = world.machine.state().seq();
    world.say(ADA, AgentSay::DiskFull(true));
    assert_eq!(world.machine.state().seq(), before, "how full a disk is does not belong into the log");
    assert!(world.machine.agent(ADA).unwrap().disk_full);
    let id = world.submit_one(|_| {});
    assert_eq!(world.assign(), []);
    let why = world.machine.pending_reason(id).unwrap();
    assert!(why.starts_with("all agents that could run it have less free space on their disks"), "{why}");
    assert_eq!(world.machine.unserved(10), [], "it is served when there is room");
    world.say(ADA, AgentSay::DiskFull(false));
    assert_eq!(world.assign().len(), 1, "the credits from before still count");

    // Another connection begins as if there were room, and says otherwise if not.
    world.say(ADA, AgentSay::DiskFull(true));
    let lease = world.machine.agent(ADA).unwrap().leases[0].0;
    world.hello(1, ada(1), vec![lease]).unwrap();
    assert!(!world.machine.agent(ADA).unwrap().disk_full);
}
