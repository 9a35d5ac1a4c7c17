//! The orchestrator is killed at random moments: no task is lost, none is completed twice, and what runs goes on.

use std::time::Duration;

use conductor_protocol::control::Output;
use conductor_protocol::task::State;
use conductor_testkit::seed::{Seed, scale};
use conductor_testkit::world::{self, Ledger, MARK, Workload, World, eventually, submit_one};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_mixed_tasks_survive_ten_kills_of_the_orchestrator() {
    let mut seed = Seed::from_env();
    let load = Workload::mixed(&mut seed, 200 * usize::try_from(scale()).unwrap(), true);
    let world = World::new().with("agent.slots", 4);
    let mut orchestrator = world.orchestrator().await;
    let ledger = Ledger::follow(&world);
    let _agents = [world.agent("one"), world.agent("two")];
    let mut questions = world.link();
    let answering = tokio::spawn(async move { world::answer_questions(&mut questions).await });
    let mut link = world.link();
    let (submitted, mark) = (load.clone(), world.mark().to_owned());
    let submitting = tokio::spawn(async move { submitted.submit(&mut link, &mark).await });

    for _ in 0..10 * scale() {
        tokio::time::sleep(seed.millis(20, 700)).await;
        orchestrator.kill();
        tokio::time::sleep(seed.millis(0, 200)).await;
        orchestrator = world.orchestrator().await;
    }
    submitting.await.unwrap();
    ledger.finished(LIMIT * u32::try_from(scale()).unwrap(), load.len()).await;
    answering.abort();

    let told = ledger.check(&world).await;
    load.check(&told);
    outputs_are_whole(&world, &load).await;
    let mine = |told: &world::TaskTold| told.ends.iter().any(|end| end.starts_with("crashed: its agent"));
    assert!(!told.tasks.values().any(mine), "an agent's runs were given up though it lived");
}

/// The output of every task that printed one line is that line, once.
async fn outputs_are_whole(world: &World, load: &Workload) {
    let control = world.connect().await;
    let reader = world.reader().await;
    let told = reader.events(conductor_protocol::control::Events { since: Some(0), follow: false });
    let mut events = told.await.unwrap();
    let mut ids = std::collections::BTreeMap::new();
    while let Some(event) = events.next().await.unwrap() {
        if event.kind == "task_submitted" {
            ids.insert(event.name.unwrap_or_default(), event.id.unwrap());
        }
    }
    for (name, line) in &load.prints {
        let id = ids[name].parse().unwrap();
        let output = Output { id, attempt: None, offset: 0, follow: false, limit: None };
        let mut chunks = control.output(output).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await.unwrap() {
            bytes.extend_from_slice(&chunk.bytes);
        }
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches(line.as_str()).count(), 1, "{name}: {text}");
    }
}

#[tokio::test]
async fn running_commands_keep_their_processes_over_restarts_of_the_orchestrator() {
    let world = World::new().with("agent.slots", 3);
    let mut orchestrator = world.orchestrator().await;
    let _agent = world.agent("one");
    let control = world.connect().await;
    let stop = world.folder().join("stop");
    let script = format!("echo $$ > pid; until test -e {}; do sleep 0.05; done; echo done", stop.display());
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(submit_one(&control, &json!({"command": ["sh", "-c", script]}), world.mark()).await);
    }
    let pid_of = async |id| {
        let path = world.home().workspace.join(format!("tasks/{id}/work/pid"));
        eventually(LIMIT, "the command says its pid", async || {
            std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok())
        })
        .await
    };
    let mut pids = Vec::new();
    for id in &ids {
        pids.push(pid_of(*id).await);
    }
    for _ in 0..3 {
        orchestrator.kill();
        assert!(pids.iter().all(|pid| world::is_alive(*pid)), "a command ended with the orchestrator");
        orchestrator = world.orchestrator().await;
        eventually(LIMIT, "the agent is back", async || {
            let agents = world.connect().await.agents().await.ok()?;
            agents.iter().any(|agent| agent.state == "connected" && agent.tasks.len() == 3).then_some(())
        })
        .await;
        assert!(pids.iter().all(|pid| world::is_alive(*pid)), "a command ended with the restart");
    }
    std::fs::write(&stop, "").unwrap();
    let mut link = world.link();
    for (id, pid) in ids.iter().zip(pids) {
        let task = link.wait(*id).await.unwrap();
        assert_eq!((task.state, task.attempt), (State::Succeeded, 1), "{task:?}");
        assert_eq!(pid_of(*id).await, pid, "the command ran twice");
    }
}

#[tokio::test]
async fn a_result_that_is_ready_while_the_orchestrator_is_away_is_reported_when_it_is_back() {
    let world = World::new().with("agent.slots", 1);
    let mut orchestrator = world.orchestrator().await;
    let mut agent = world.agent("one");
    let control = world.connect().await;
    let go = world.folder().join("go");
    let script = format!("until test -e {}; do sleep 0.02; done; echo finished alone", go.display());
    let id = submit_one(&control, &json!({"command": ["sh", "-c", script]}), world.mark()).await;
    eventually(LIMIT, "the command runs", async || {
        let found = world::marked(MARK, world.mark());
        found.iter().any(|process| process.command.starts_with("sh -c until")).then_some(())
    })
    .await;
    orchestrator.kill();
    std::fs::write(&go, "").unwrap();
    eventually(LIMIT, "the command has ended", async || {
        let found = world::marked(MARK, world.mark());
        (!found.iter().any(|process| process.command.starts_with("sh -c until"))).then_some(())
    })
    .await;
    // The result outlives the agent as well.
    let result = world.home().workspace.join(format!("tasks/{id}/attempts/1/result.json"));
    eventually(LIMIT, "the result is written", async || result.exists().then_some(())).await;
    agent.kill();
    orchestrator = world.orchestrator().await;
    let _agent = world.agent("one");
    let task = world.link().wait(id).await.unwrap();
    assert_eq!(task.state, State::Succeeded, "{task:?}");
    assert!(orchestrator.ended().is_none());
}
