//! The worker against a scripted orchestrator.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::path::Path;
use std::time::Duration;

use conductor_agent::process::KeeperProgram;
use conductor_agent::runner::Limits;
use conductor_agent::session::Target;
use conductor_agent::worker::{self, Exit, Settings};
use conductor_protocol::agent::{Answer, End, FromAgent, ToAgent};
use conductor_protocol::{Code, Problem};
use conductor_runtime::lifecycle::Shutdown;
use support::{Orchestrator, lease, mock, soon, task, welcome};
use tempfile::TempDir;
use tokio::task::JoinHandle;

struct Agent {
    shutdown: Shutdown,
    task: JoinHandle<Result<Exit, worker::Error>>,
}

impl Agent {
    fn start(home: &Path) -> Self {
        Self::with(settings(home))
    }

    fn with(settings: Settings) -> Self {
        let shutdown = Shutdown::new();
        let inside = shutdown.clone();
        let task = tokio::spawn(async move { worker::run(settings, &inside, std::future::pending()).await });
        Self { shutdown, task }
    }

    async fn exit(self) -> Exit {
        soon(self.task).await.unwrap().unwrap()
    }

    async fn drained(self) {
        self.shutdown.drain();
        assert_eq!(self.exit().await, Exit::Drained);
    }
}

fn settings(home: &Path) -> Settings {
    Settings {
        name: "one".into(),
        host: "here".into(),
        slots: 2,
        labels: vec!["gpu".into()],
        runners: Settings::built_in_runners(),
        workspace: home.join("workspace"),
        agents: home.join("state/agents"),
        target: Target::unix(&home.join("run/agent.sock")),
        limits: Limits { grace: Duration::from_millis(300), ..Limits::default() },
        orphan_grace: Duration::from_secs(3_600),
        drain: Duration::from_secs(60),
        keeper: KeeperProgram { path: "/bin/false".into(), args: Vec::new() },
        environment: Vec::new(),
    }
}

fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    conductor_runtime::paths::Home::at(home.path()).create().unwrap();
    home
}

#[tokio::test]
async fn an_agent_says_what_it_is_and_keeps_its_id_over_restarts() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, first) = orchestrator.welcome(home.path()).await;
    connection.works(1).await;
    assert_eq!((first.name.as_str(), first.slots, first.credits), ("one", 2, 2));
    assert_eq!(
        (first.protocol, first.labels.as_slice(), first.held.as_slice()),
        (1, &["gpu".to_owned()][..], &[][..])
    );
    assert!(first.shares_workspace && first.seen.is_none());
    agent.drained().await;
    let agent = Agent::start(home.path());
    let (_connection, second) = orchestrator.welcome(home.path()).await;
    assert_eq!(second.agent_id, first.agent_id);
    assert_ne!(second.instance, first.instance);
    assert_eq!(second.seen.unwrap().seq, 1);
    agent.drained().await;
}

#[tokio::test]
async fn a_task_is_run_and_its_slot_is_offered_again_with_the_result() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "print hello")).await;
    let message = loop {
        let message = connection.hear().await.unwrap();
        if !message.finished.is_empty() {
            break message;
        }
    };
    assert_eq!(message.finished[0].lease, lease(1));
    assert_eq!(message.credits, 1);
    connection.acknowledge(lease(1)).await;
    agent.drained().await;
}

#[tokio::test]
async fn a_result_is_reported_until_it_is_acknowledged_over_connections_and_lives() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "print one")).await;
    let first = connection.finished().await;
    drop(connection);
    let (mut connection, hello) = orchestrator.welcome(home.path()).await;
    assert_eq!(hello.held, [lease(1)]);
    assert_eq!(connection.finished().await.end, first.end);
    drop(connection);
    agent.shutdown.kill();
    assert_eq!(agent.exit().await, Exit::Killed);
    let agent = Agent::start(home.path());
    let (mut connection, hello) = orchestrator.welcome(home.path()).await;
    assert_eq!((hello.held.as_slice(), hello.credits), (&[lease(1)][..], 2));
    assert_eq!(connection.finished().await.lease, lease(1));
    connection.acknowledge(lease(1)).await;
    agent.drained().await;
    let agent = Agent::start(home.path());
    let (_connection, hello) = orchestrator.welcome(home.path()).await;
    assert!(hello.held.is_empty(), "what was acknowledged is forgotten");
    agent.drained().await;
}

#[tokio::test]
async fn a_stale_result_is_forgotten_at_the_welcome() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "print one")).await;
    connection.finished().await;
    drop(connection);
    let (mut connection, _) = orchestrator.accept().await;
    let stale = conductor_protocol::agent::Welcome { stale: vec![lease(1)], ..welcome(home.path()) };
    connection.answer(Answer::Welcome(stale)).await;
    connection.assign(mock(2, "print two")).await;
    assert_eq!(connection.finished().await.lease, lease(2), "the stale one is not reported");
    connection.acknowledge(lease(2)).await;
    agent.drained().await;
}

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
async fn what_cannot_run_fails_with_its_reason_and_the_agent_goes_on() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(task(1, "claude", &serde_json::json!({"prompt": "x"}))).await;
    let End::Failed(failure) = connection.finished().await.end else { panic!("it did not fail") };
    assert_eq!(failure.reason, conductor_core::FailureReason::RunnerUnavailable);
    connection.acknowledge(lease(1)).await;
    agent.drained().await;
}

#[tokio::test]
async fn a_refused_agent_comes_again_and_a_revoked_one_leaves() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.accept().await;
    connection.answer(Answer::Refused(Problem::new(Code::Conflict, "the name is taken"))).await;
    let (mut connection, _) = orchestrator.accept().await;
    connection.answer(Answer::Refused(Problem::new(Code::Forbidden, "it was revoked"))).await;
    assert_eq!(agent.exit().await, Exit::Revoked);
}

#[tokio::test]
async fn an_agent_follows_a_new_orchestrator_with_a_new_key() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (connection, first) = orchestrator.welcome(home.path()).await;
    drop((connection, orchestrator));
    let orchestrator = Orchestrator::start(home.path());
    let (_connection, second) = orchestrator.welcome(home.path()).await;
    assert_eq!(second.instance, first.instance);
    agent.drained().await;
}

#[tokio::test]
async fn an_agent_with_another_workspace_comes_anew_and_says_so() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, hello) = orchestrator.accept().await;
    assert!(hello.shares_workspace);
    let elsewhere = home.path().join("elsewhere").to_str().unwrap().to_owned();
    let other = conductor_protocol::agent::Welcome { workspace: elsewhere, ..welcome(home.path()) };
    connection.answer(Answer::Welcome(other)).await;
    let (_connection, hello) = orchestrator.accept().await;
    assert!(!hello.shares_workspace);
    agent.drained().await;
}

#[tokio::test]
async fn a_second_agent_of_the_same_name_is_refused() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let _connection = orchestrator.welcome(home.path()).await;
    let second = Agent::start(home.path());
    let error = soon(second.task).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("another agent named one"), "{error}");
    agent.drained().await;
}

#[tokio::test]
async fn heartbeats_are_sent_as_the_welcome_says_and_pings_are_answered() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.accept().await;
    let often = conductor_protocol::agent::Welcome { heartbeat_seconds: 1, ..welcome(home.path()) };
    connection.answer(Answer::Welcome(often)).await;
    for _ in 0..2 {
        let FromAgent { credits, started, finished, asked, output, draining } =
            connection.hear().await.unwrap();
        assert!(credits == 0 && !draining, "a heartbeat says nothing");
        assert!(started.is_empty() && finished.is_empty() && asked.is_empty() && output.is_empty());
    }
    agent.drained().await;
}
