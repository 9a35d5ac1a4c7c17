//! Everything is killed at once: what is left running is ended at the next start before its task runs again.

use std::time::Duration;

use conductor_testkit::seed::{Seed, scale};
use conductor_testkit::world::{self, Found, Ledger, Spawned, Workload, World, eventually, submit_one};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(90);

/// Kills every program of the world by its id, keepers among them, and leaves the commands of tasks as they are.
async fn kill_all(world: &World, spawned: Vec<Spawned>) {
    let programs = world.programs();
    assert!(programs.len() > spawned.len(), "workers run beside what the test started: {programs:?}");
    // Stopped first, so that none of them sees another one end and ends what is left of it.
    programs.iter().for_each(Found::stop);
    programs.iter().for_each(Found::kill);
    drop(spawned);
    for program in &programs {
        program.gone().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_tasks_survive_when_everything_is_killed_at_once() {
    let mut seed = Seed::from_env();
    let load = Workload::mixed(&mut seed, 150 * usize::try_from(scale()).unwrap(), false);
    let world = World::new().with("agent.slots", 4).with("tasks.crash_limit", 100);
    let mut spawned = vec![world.orchestrator().await, world.agent("one"), world.agent("two")];
    let ledger = Ledger::follow(&world);
    let mut questions = world.link();
    let answering = tokio::spawn(async move { world::answer_questions(&mut questions).await });
    let mut link = world.link();
    let (submitted, mark) = (load.clone(), world.mark().to_owned());
    let submitting = tokio::spawn(async move { submitted.submit(&mut link, &mark).await });
    for _ in 0..5 * scale() {
        tokio::time::sleep(seed.millis(200, 900)).await;
        kill_all(&world, spawned).await;
        spawned = vec![world.orchestrator().await, world.agent("one"), world.agent("two")];
    }
    submitting.await.unwrap();
    ledger.finished(LIMIT * u32::try_from(scale()).unwrap(), load.len()).await;
    answering.abort();
    load.check(&ledger.check(&world).await);
}

#[tokio::test]
async fn what_is_left_running_is_ended_before_its_task_runs_again() {
    // Its command writes beside its folder, which the sandbox would not let it do.
    let world = World::new().with("agent.slots", 1).with("sandbox.mode", "off");
    let spawned = vec![world.orchestrator().await, world.agent("one")];
    let control = world.connect().await;
    // A second copy that finds the first one alive says so; one that has ended may wait for init to reap it.
    let alive = world.folder().join("alive");
    let script = format!(
        "test -e {0} && grep -qs 'State:.[^ZX]' /proc/$(cat {0})/status && echo OVERLAP; \
         echo $$ > {0}; sleep 300 & wait",
        alive.display()
    );
    let id = submit_one(&control, &json!({"command": ["sh", "-c", script]}), world.mark()).await;
    let pid = async |not: Option<u32>| {
        eventually(LIMIT, "the command runs", async || {
            let pid = std::fs::read_to_string(&alive).ok()?.trim().parse::<u32>().ok()?;
            (Some(pid) != not).then_some(pid)
        })
        .await
    };
    let first = pid(None).await;
    kill_all(&world, spawned).await;
    assert!(world::is_alive(first), "the command outlives its programs, else this test shows nothing");
    let _orchestrator = world.orchestrator().await;
    let _agent = world.agent("one");
    let second = pid(Some(first)).await;
    assert!(!world::is_alive(first), "the first copy is left");
    assert!(world::is_alive(second));
    let output = world.home().workspace.join(format!("tasks/{id}/attempts/2/output.log"));
    let text = std::fs::read_to_string(&output).unwrap_or_default();
    assert!(!text.contains("OVERLAP"), "two copies ran at the same time");
    let view = world.connect().await.get(id).await.unwrap();
    assert_eq!((view.attempt, view.attempts[0].state.as_str()), (2, "crashed"), "{view:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_tasks_survive_kills_of_conductor_up_and_its_agents_end_with_it() {
    let mut seed = Seed::from_env();
    let load = Workload::mixed(&mut seed, 150 * usize::try_from(scale()).unwrap(), false);
    let world = World::new().with("agent.slots", 4).with("tasks.crash_limit", 100);
    let mut up = world.up().await;
    let ledger = Ledger::follow(&world);
    let mut questions = world.link();
    let answering = tokio::spawn(async move { world::answer_questions(&mut questions).await });
    let mut link = world.link();
    let (submitted, mark) = (load.clone(), world.mark().to_owned());
    let submitting = tokio::spawn(async move { submitted.submit(&mut link, &mark).await });
    for _ in 0..5 * scale() {
        tokio::time::sleep(seed.millis(200, 900)).await;
        up.kill();
        // At once: the next finds the agents of the last one still leaving.
        up = world.up().await;
    }
    submitting.await.unwrap();
    ledger.finished(LIMIT * u32::try_from(scale()).unwrap(), load.len()).await;
    answering.abort();
    load.check(&ledger.check(&world).await);
    up.kill();
    eventually(LIMIT, "nothing is left of it", async || world.processes().is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_command_under_a_killed_conductor_up_is_ended_and_runs_again_at_the_next_start() {
    let world = World::new().with("agent.slots", 1);
    let mut up = world.up().await;
    let script = "(setsid sleep 300 &); sleep 300";
    let id =
        submit_one(&world.connect().await, &json!({"command": ["sh", "-c", script]}), world.mark()).await;
    let running = async || {
        eventually(LIMIT, "the command runs", async || {
            let commands = world.commands();
            (commands.len() == 3).then_some(commands)
        })
        .await
    };
    let first = running().await;
    up.kill();
    eventually(LIMIT, "nothing is left of it", async || world.processes().is_empty().then_some(())).await;
    let _up = world.up().await;
    let second = running().await;
    assert!(first.iter().all(|process| !second.contains(process)));
    let view = world.connect().await.get(id).await.unwrap();
    assert_eq!((view.attempt, view.attempts[0].state.as_str()), (2, "crashed"), "{view:?}");
}
