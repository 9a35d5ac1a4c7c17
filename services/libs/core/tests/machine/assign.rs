//! Who gets what, in which order.

use conductor_core::*;

use crate::world::*;

#[test]
fn an_assignment_takes_a_credit() {
    let mut world = World::new();
    for _ in 0..3 {
        world.submit_one(|_| {});
    }
    world.join(ADA, 2);
    assert_eq!(world.assign().len(), 2);
    assert_eq!(world.assign().len(), 0);
    assert_eq!(world.machine.agent(ADA).unwrap().credits, 0);
}

#[test]
fn higher_priority_goes_first_and_older_first_within_one() {
    let mut world = World::new();
    let low = world.submit_one(|task| task.priority = Priority::new(1).unwrap());
    let old = world.submit_one(|_| {});
    let new = world.submit_one(|_| {});
    let high = world.submit_one(|task| task.priority = Priority::new(10).unwrap());
    world.join(ADA, 4);
    let order: Vec<_> = world.assign().into_iter().map(|(_, task, _)| task).collect();
    assert_eq!(order, [high, old, new, low]);
}

fn order(world: &mut World) -> Vec<TaskId> {
    world.assign().into_iter().map(|(_, task, _)| task).collect()
}

#[test]
fn waiting_raises_a_task_until_nothing_overtakes_it() {
    let mut world = World::new();
    let low = world.submit_one(|task| task.priority = Priority::new(0).unwrap());
    world.pass(10 * 300_000);
    let high = world.submit_one(|task| task.priority = Priority::new(10).unwrap());
    world.join(ADA, 1);
    assert_eq!(order(&mut world), [low], "ten steps of waiting weigh ten steps of priority");
    let urgent = world.submit_one(|task| task.priority = Priority::new(10).unwrap());
    world.say(ADA, AgentSay::Credits(2));
    assert_eq!(order(&mut world), [high, urgent]);
}

#[test]
fn waiting_a_little_does_not_overtake() {
    let mut world = World::new();
    let low = world.submit_one(|task| task.priority = Priority::new(4).unwrap());
    world.pass(299_999);
    let high = world.submit_one(|task| task.priority = Priority::new(5).unwrap());
    world.join(ADA, 2);
    assert_eq!(order(&mut world), [high, low]);
}

#[test]
fn groups_share_within_a_priority() {
    let mut world = World::new();
    let red: Vec<_> = (0..4).map(|_| world.submit_one(|task| task.group = name("red"))).collect();
    let blue: Vec<_> = (0..2).map(|_| world.submit_one(|task| task.group = name("blue"))).collect();
    world.join(ADA, 6);
    assert_eq!(order(&mut world), [red[0], blue[0], red[1], blue[1], red[2], red[3]]);
}

#[test]
fn between_idle_groups_the_one_served_longest_ago_is_next() {
    let mut world = World::new();
    for group in ["red", "red", "red", "blue", "blue", "blue"] {
        world.submit_one(|task| task.group = name(group));
    }
    world.join(ADA, 0);
    let mut served = Vec::new();
    for _ in 0..6 {
        world.say(ADA, AgentSay::Credits(1));
        let (_, task, lease) = world.assign()[0];
        served.push(world.machine.state().task(task).unwrap().group);
        world.finish(ADA, lease, AttemptEnd::Succeeded);
    }
    let (red, blue) = (name("red"), name("blue"));
    assert_eq!(served, [&red, &blue, &red, &blue, &red, &blue].map(Clone::clone));
}

#[test]
fn a_group_is_not_served_twice_for_asking_in_two_ways() {
    let mut world = World::new();
    let red = |task: &mut NewTask| task.group = name("red");
    let first = world.submit_one(red);
    let second = world.submit_one(|task| {
        red(task);
        task.runner = name("command");
    });
    let other = world.submit_one(|task| task.group = name("blue"));
    world.hello(1, profile(ADA, "agent-ada", 1, &["mock", "command"]), Vec::new()).unwrap();
    world.say(ADA, AgentSay::Credits(3));
    assert_eq!(order(&mut world), [first, other, second]);
}

#[test]
fn priority_goes_before_fairness() {
    let mut world = World::new();
    let red: Vec<_> = (0..2)
        .map(|_| {
            world.submit_one(|task| {
                task.group = name("red");
                task.priority = Priority::new(6).unwrap();
            })
        })
        .collect();
    let blue = world.submit_one(|task| task.group = name("blue"));
    world.join(ADA, 3);
    assert_eq!(order(&mut world), [red[0], red[1], blue]);
}

#[test]
fn a_task_goes_only_to_an_agent_with_its_runner_and_labels() {
    let mut world = World::new();
    let plain = world.submit_one(|task| task.runner = name("command"));
    let special = world.submit_one(|task| {
        task.runner = name("command");
        task.requires = names(&["gpu", "linux"]);
    });
    world.join(ADA, 4);
    assert_eq!(world.assign(), []);
    let why = |world: &World, task| world.machine.pending_reason(task).unwrap();
    assert_eq!(why(&world, plain), "no connected agent offers the runner command");
    let mut bob = profile(BOB, "agent-bob", 1, &["command"]);
    bob.labels = names(&["gpu"]);
    world.hello(1, bob.clone(), Vec::new()).unwrap();
    world.say(BOB, AgentSay::Credits(2));
    assert_eq!(world.assign().len(), 1);
    world.run(plain);
    assert_eq!(why(&world, special), "no connected agent that offers its runner has the labels gpu, linux");
    bob.labels = names(&["gpu", "linux", "x64"]);
    let held = world.run(plain).lease;
    world.hello(2, bob, vec![held]).unwrap();
    world.must(Command::Agent { agent: BOB, session: 2, say: AgentSay::Credits(2) });
    assert_eq!(order(&mut world), [special]);
}

#[test]
fn an_agent_whose_runner_is_not_ready_gets_nothing_for_it() {
    let mut world = World::new();
    world.submit_one(|_| {});
    let mut ada = profile(ADA, "agent-ada", 1, &["mock"]);
    ada.runners[0].ready = false;
    world.hello(1, ada, Vec::new()).unwrap();
    world.say(ADA, AgentSay::Credits(1));
    assert_eq!(world.assign(), []);
}

#[test]
fn the_agent_with_the_most_free_slots_is_served_first() {
    let mut world = World::new();
    for _ in 0..4 {
        world.submit_one(|_| {});
    }
    world.join(ADA, 1);
    world.join(BOB, 3);
    let agents: Vec<_> = world.assign().into_iter().map(|(agent, _, _)| agent).collect();
    assert_eq!(agents.iter().filter(|agent| **agent == BOB).count(), 3);
    assert_eq!(agents[..2], [BOB, BOB]);
}

#[test]
fn auto_is_the_first_coding_runner_that_any_agent_offers() {
    let mut world = World::new();
    let id = world.submit_one(|task| task.runner = name(AUTO));
    world.join(ADA, 1);
    assert_eq!(world.assign(), []);
    assert_eq!(
        world.machine.pending_reason(id),
        Some("no connected agent offers a coding runner with a credential".into())
    );
    world.hello(1, profile(BOB, "agent-bob", 1, &["gemini", "codex"]), Vec::new()).unwrap();
    world.say(BOB, AgentSay::Credits(1));
    assert_eq!(world.assign().len(), 1);
    assert_eq!(world.run(id).runner, name("codex"));
}

#[test]
fn auto_falls_to_the_mock_only_where_that_is_allowed() {
    let mut world = World::with(Policy { auto_mock: true, ..Policy::default() });
    let id = world.submit_one(|task| task.runner = name(AUTO));
    world.join(ADA, 1);
    let step = world.must(Command::Assign);
    let Effect::Assign { runner, .. } = &step.effects[0] else { panic!("{step:?}") };
    assert_eq!(*runner, name(MOCK));
    assert_eq!(world.machine.state().task(id).unwrap().runner, name(AUTO));
}

#[test]
fn auto_waits_for_a_busy_coding_agent_rather_than_fall_to_the_mock() {
    let mut world = World::with(Policy { auto_mock: true, ..Policy::default() });
    world.join(ADA, 1);
    world.hello(1, profile(BOB, "agent-bob", 1, &["claude"]), Vec::new()).unwrap();
    let id = world.submit_one(|task| task.runner = name(AUTO));
    assert_eq!(world.assign(), []);
    assert_eq!(world.machine.pending_reason(id), Some("all agents that could run it are busy".into()));
}

#[test]
fn a_step_assigns_a_bounded_number() {
    let mut world = World::new();
    let tasks = (0..ASSIGNMENTS_A_STEP + 1).map(|_| world.task()).collect();
    world.submit(tasks).unwrap();
    world.join(ADA, 2_000);
    let step = world.must(Command::Assign);
    assert_eq!((step.effects.len(), step.more), (ASSIGNMENTS_A_STEP, true));
    let step = world.must(Command::Assign);
    assert_eq!((step.effects.len(), step.more), (1, false));
}

#[test]
fn nothing_is_held_for_groups_and_runners_that_nobody_uses() {
    let mut world = World::new();
    for number in 0..200 {
        let id = world.submit_one(|task| {
            task.group = name(&format!("group-{number}"));
            task.runner = name(&format!("runner-{number}"));
        });
        world.must(Command::Cancel { task: id, reason: CancelReason::Requested(None), by: actor() });
    }
    assert_eq!(world.machine.state().groups().count(), 0);
    assert_eq!(world.machine.state().demand().len(), 0);
}

#[test]
fn each_run_that_gets_secrets_is_an_event_of_its_own() {
    let mut world = World::new();
    let mut task = world.task();
    task.max_attempts = 2;
    let (id, secrets) = (task.id, names(&["NPM_TOKEN", "deploy"]));
    world.must(Command::Submit(Submit { secrets: vec![(id, secrets.clone())], ..submit(vec![task]) }));
    world.submit_one(|_| {});
    world.join(ADA, 2);
    let used = |step: &Step| -> Vec<(TaskId, Lease, Box<[Name]>)> {
        let used = step.events.iter().filter_map(|event| match &event.kind {
            EventKind::SecretsUsed { task, lease, secrets } => Some((*task, *lease, secrets.clone())),
            _ => None,
        });
        used.collect()
    };
    let first = world.must(Command::Assign);
    let Effect::Assign { lease, .. } = first.effects[0] else { panic!("{first:?}") };
    assert_eq!(used(&first), [(id, lease, secrets.clone())]);
    world.finish(ADA, lease, failure(FailureReason::ExitCode));
    world.pass(6_000);
    world.say(ADA, AgentSay::Credits(1));
    let second = world.must(Command::Assign);
    let Effect::Assign { lease, .. } = second.effects[0] else { panic!("{second:?}") };
    assert_eq!(used(&second), [(id, lease, secrets)], "the second attempt gets them too");
}
