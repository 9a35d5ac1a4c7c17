//! An agent's worker or monitor is killed: its tasks run again at once, and no process is left of them.

use std::time::{Duration, Instant};

use conductor_core::TaskId;
use conductor_protocol::task::State;
use conductor_testkit::seed::{Seed, scale};
use conductor_testkit::world::{self, Ledger, Workload, World, eventually, submit_one};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);
/// Far below the time-to-live of a lease, which is 120 s, and the heartbeat's 30 s.
const AT_ONCE: Duration = Duration::from_secs(15);

fn world_for_crashes() -> World {
    World::new().with("agent.slots", 4).with("tasks.crash_limit", 100)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_tasks_survive_kills_of_workers_and_monitors() {
    let mut seed = Seed::from_env();
    let load = Workload::mixed(&mut seed, 200 * usize::try_from(scale()).unwrap(), false);
    let world = world_for_crashes();
    let _orchestrator = world.orchestrator().await;
    let ledger = Ledger::follow(&world);
    let mut agents = [world.agent("one"), world.agent("two")];
    let mut questions = world.link();
    let answering = tokio::spawn(async move { world::answer_questions(&mut questions).await });
    let mut link = world.link();
    load.submit(&mut link, world.mark()).await;

    for turn in 0..10 * scale() {
        tokio::time::sleep(seed.millis(50, 600)).await;
        let which = usize::try_from(seed.below(2)).unwrap();
        if turn % 2 == 0 {
            agents[which].worker().await.kill();
        } else {
            agents[which].kill();
            agents[which] = world.agent(["one", "two"][which]);
        }
    }
    ledger.finished(LIMIT * u32::try_from(scale()).unwrap(), load.len()).await;
    answering.abort();
    let told = ledger.check(&world).await;
    load.check(&told);
    let crashed =
        told.tasks.values().flat_map(|task| &task.ends).filter(|end| end.starts_with("crashed")).count();
    println!("{crashed} attempts crashed");
    nothing_runs(&world).await;
}

/// Waits until no command of a task is left: only the programs themselves carry the mark.
async fn nothing_runs(world: &World) {
    eventually(LIMIT, "no process of a task is left", async || world.commands().is_empty().then_some(()))
        .await;
}

/// A command that forks, leaves its session, and holds its output open from a grandchild.
fn stubborn(name: &str) -> Value {
    let script =
        "trap '' TERM HUP; (setsid sh -c 'trap \"\" TERM; sleep 300 & wait' &) ; echo ready; sleep 300";
    json!({"name": name, "command": ["sh", "-c", script]})
}

/// Submits commands that never end, and waits until all of their processes are there.
async fn running(world: &World, count: usize) -> Vec<TaskId> {
    let control = world.connect().await;
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(submit_one(&control, &stubborn(&format!("stubborn-{number}")), world.mark()).await);
    }
    // sh, sleep, sh under setsid, its sleep.
    eventually(LIMIT, "all processes run", async || (world.commands().len() == 4 * count).then_some(()))
        .await;
    ids
}

/// Waits until each of the tasks has begun its next attempt, and says how long that took.
async fn run_again(world: &World, ids: &[TaskId], attempt: u32, ledger: &Ledger) -> Duration {
    let since = Instant::now();
    let again = ledger.until(AT_ONCE, "the tasks run again at once", |told| {
        let is_again = |id: &TaskId| {
            told.tasks.get(&id.to_string()).is_some_and(|task| task.assigned == attempt && task.open)
        };
        ids.iter().all(is_again).then_some(())
    });
    again.await;
    let took = since.elapsed();
    eventually(AT_ONCE, "all processes run again, and only once", async || {
        (world.commands().len() == 4 * ids.len()).then_some(())
    })
    .await;
    took
}

#[tokio::test]
async fn a_killed_worker_takes_its_trees_along_and_its_tasks_run_again_at_once() {
    let world = world_for_crashes();
    let _orchestrator = world.orchestrator().await;
    let ledger = Ledger::follow(&world);
    let agent = world.agent("one");
    let ids = running(&world, 3).await;
    for attempt in 2..4 {
        let before = world.commands();
        agent.worker().await.kill();
        let took = run_again(&world, &ids, attempt, &ledger).await;
        println!("the tasks of a killed worker ran again after {took:?}");
        assert!(before.iter().all(|process| !process.is_alive()), "processes of the old attempts are left");
    }
    cancel_all(&world, &ids).await;
    nothing_runs(&world).await;
    ledger.check(&world).await;
}

#[tokio::test]
async fn a_killed_monitor_takes_everything_along_and_its_tasks_run_again_at_once() {
    let world = world_for_crashes();
    let _orchestrator = world.orchestrator().await;
    let ledger = Ledger::follow(&world);
    let mut agent = world.agent("one");
    let ids = running(&world, 3).await;
    let before = world.commands();
    let worker = agent.worker().await;
    agent.kill();
    worker.gone().await;
    eventually(AT_ONCE, "all that it ran is gone", async || world.commands().is_empty().then_some(())).await;
    agent = world.agent("one");
    let took = run_again(&world, &ids, 2, &ledger).await;
    println!("the tasks of a killed monitor ran again after {took:?}");
    assert!(before.iter().all(|process| !process.is_alive()));
    assert!(agent.ended().is_none());
    cancel_all(&world, &ids).await;
    nothing_runs(&world).await;
    ledger.check(&world).await;
}

#[tokio::test]
async fn the_tasks_of_a_killed_agent_go_to_another() {
    let world = world_for_crashes();
    let _orchestrator = world.orchestrator().await;
    let ledger = Ledger::follow(&world);
    let mut first = world.agent("first");
    let ids = running(&world, 2).await;
    let _second = world.agent("second");
    first.kill();
    run_again(&world, &ids, 2, &ledger).await;
    let control = world.connect().await;
    for id in &ids {
        assert_eq!(control.get(*id).await.unwrap().agent.as_deref(), Some("second"));
    }
    cancel_all(&world, &ids).await;
    nothing_runs(&world).await;
}

#[tokio::test]
async fn a_task_that_keeps_killing_its_worker_ends_as_crash_limit_with_the_agents_named() {
    // In the sandbox it would not reach its worker.
    let world = World::new().with("agent.slots", 1).with("sandbox.mode", "off");
    let _orchestrator = world.orchestrator().await;
    let _agents = [world.agent("one"), world.agent("two")];
    let control = world.connect().await;
    // The worker is the child's grandparent: child, keeper, worker.
    let script = "read _ _ _ keeper _ < /proc/$$/stat; read _ _ _ worker _ < /proc/$keeper/stat; kill -9 $worker; sleep 60";
    let poison = submit_one(&control, &json!({"command": ["sh", "-c", script]}), world.mark()).await;
    let task = world.link().wait(poison).await.unwrap();
    assert_eq!(task.state, State::Failed, "{task:?}");
    let failure = task.failure.unwrap();
    assert_eq!(conductor_protocol::task::reason_text(failure.reason), "crash_limit");
    assert!(failure.message.contains("one") || failure.message.contains("two"), "{failure:?}");
    assert_eq!(task.attempts.len(), 3);
    let after = submit_one(&control, &json!({"prompt": "Say hello"}), world.mark()).await;
    assert_eq!(world.link().wait(after).await.unwrap().state, State::Succeeded);
    nothing_runs(&world).await;
}

#[tokio::test]
async fn cancel_and_timeout_end_the_whole_tree() {
    let world = World::new().with("agent.slots", 2).with("agent.stop_grace_seconds", 1);
    let _orchestrator = world.orchestrator().await;
    let _agent = world.agent("one");
    let ids = running(&world, 1).await;
    cancel_all(&world, &ids).await;
    nothing_runs(&world).await;
    let control = world.connect().await;
    let mut task = stubborn("times out");
    task["timeout_seconds"] = 1.into();
    let id = submit_one(&control, &task, world.mark()).await;
    let ended = world.link().wait(id).await.unwrap();
    let reason = ended.failure.map(|failure| conductor_protocol::task::reason_text(failure.reason));
    assert_eq!((ended.state, reason), (State::Failed, Some("timeout")));
    nothing_runs(&world).await;
}

#[tokio::test]
async fn a_clean_stop_of_an_agent_puts_its_tasks_back_without_a_crash() {
    let world = World::new()
        .with("agent.slots", 2)
        .with("orchestrator.drain_seconds", 1)
        .with("agent.stop_grace_seconds", 1);
    let _orchestrator = world.orchestrator().await;
    let ledger = Ledger::follow(&world);
    let mut agent = world.agent("one");
    let ids = running(&world, 2).await;
    let status = agent.terminate(LIMIT).await;
    assert!(status.success(), "{status}");
    nothing_runs(&world).await;
    let _agent = world.agent("one");
    run_again(&world, &ids, 2, &ledger).await;
    let told = ledger.now();
    assert!(ids.iter().all(|id| told.tasks[&id.to_string()].ends == ["stopped"]), "{told:?}");
    cancel_all(&world, &ids).await;
    nothing_runs(&world).await;
}

async fn cancel_all(world: &World, ids: &[TaskId]) {
    let control = world.connect().await;
    for id in ids {
        control.cancel(*id, None).await.unwrap();
    }
    let mut link = world.link();
    for id in ids {
        assert_eq!(link.wait(*id).await.unwrap().state, State::Cancelled);
    }
}
