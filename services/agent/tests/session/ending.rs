//! How an agent takes no more, and ends.

use conductor_agent::worker::{self, Exit, Settings};
use conductor_core::TaskId;
use conductor_protocol::agent::{Answer, Answered, End, ToAgent};
use conductor_protocol::control::AnswerBody;
use conductor_runtime::lifecycle::Shutdown;
use std::time::Duration;

use crate::agent::{Agent, home, settings};
use crate::support::{Orchestrator, lease, mock, soon, welcome};

#[tokio::test]
async fn a_task_without_a_slot_or_while_draining_is_given_back() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.works(7).await;
    agent.shutdown.drain();
    while !connection.hear().await.unwrap().draining {}
    // Whether the agent is still there when it arrives is a race; when it is, the task comes back.
    let assign = ToAgent { assign: vec![mock(1, "print x")], ..ToAgent::default() };
    connection.say(assign).await;
    while let Some(message) = connection.hear().await {
        assert_eq!(message.credits, 0);
        for finished in message.finished {
            assert_eq!(finished.end, End::Stopped);
            connection.acknowledge(finished.lease).await;
        }
    }
    assert_eq!(agent.exit().await, Exit::Drained);
}

#[tokio::test]
async fn a_drain_waits_for_runs_and_a_second_word_ends_them() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "ask May I end?")).await;
    connection.assign(mock(2, "hang")).await;
    let asked = connection.asked().await;
    agent.shutdown.drain();
    while !connection.hear().await.unwrap().draining {}
    let answer = Answered { lease: lease(1), request_id: asked.request_id, answer: AnswerBody::Allow };
    connection.say(ToAgent { answers: vec![answer], ..ToAgent::default() }).await;
    assert_eq!(connection.finished().await.end, End::Succeeded, "the drain let it end");
    connection.acknowledge(lease(1)).await;
    agent.shutdown.kill();
    assert!(matches!(connection.finished().await.end, End::Crashed { .. }));
    connection.acknowledge(lease(2)).await;
    assert_eq!(agent.exit().await, Exit::Killed);
}

#[tokio::test]
async fn runs_that_outlast_the_drain_are_stopped_and_count_as_nothing() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::with(Settings { drain: Duration::ZERO, ..settings(home.path()) });
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "hang")).await;
    connection.started(1).await;
    agent.shutdown.drain();
    assert_eq!(connection.finished().await.end, End::Stopped);
    connection.acknowledge(lease(1)).await;
    assert_eq!(agent.exit().await, Exit::Drained);
}

#[tokio::test]
async fn runs_are_stopped_when_no_orchestrator_comes_back() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::with(Settings { orphan_grace: Duration::from_millis(10), ..settings(home.path()) });
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "hang")).await;
    connection.started(1).await;
    drop((connection, orchestrator));
    let result =
        home.path().join("workspace/tasks").join(TaskId(1).to_string()).join("attempts/1/result.json");
    soon(async {
        while !result.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let orchestrator = Orchestrator::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    assert_eq!(connection.finished().await.end, End::Stopped);
    connection.acknowledge(lease(1)).await;
    agent.drained().await;
}

#[tokio::test]
async fn the_death_of_the_monitor_ends_the_runs_as_crashed_within_a_moment() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let (monitor, gone) = tokio::sync::oneshot::channel::<()>();
    let shutdown = Shutdown::new();
    let settings = settings(home.path());
    let task = tokio::spawn(async move {
        let gone = async { drop(gone.await) };
        worker::run(settings, &shutdown, gone).await
    });
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "hang")).await;
    connection.started(1).await;
    drop(monitor);
    assert!(matches!(connection.finished().await.end, End::Crashed { .. }));
    connection.acknowledge(lease(1)).await;
    assert_eq!(soon(task).await.unwrap().unwrap(), Exit::MonitorGone);
}

#[tokio::test]
async fn an_agent_that_is_held_back_asks_for_nothing_until_it_may_again() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.accept().await;
    let held_back = conductor_protocol::agent::Welcome { draining: true, ..welcome(home.path()) };
    connection.answer(Answer::Welcome(held_back)).await;
    connection.assign(mock(1, "print it was under way")).await;
    let message = loop {
        let message = connection.hear().await.unwrap();
        if !message.finished.is_empty() {
            break message;
        }
    };
    assert_eq!((message.credits, &message.finished[0].end), (0, &End::Succeeded));
    connection.acknowledge(lease(1)).await;
    connection.say(ToAgent { drain: Some(false), ..ToAgent::default() }).await;
    assert_eq!(connection.hear().await.unwrap().credits, 1, "what was granted at the hello still counts");
    agent.drained().await;
}
