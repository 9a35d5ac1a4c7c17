//! How an agent comes, stays and comes again.

use conductor_agent::worker::{Exit, Settings};
use conductor_protocol::agent::{Answer, FromAgent};
use conductor_protocol::{Code, Problem};

use crate::agent::{Agent, home, settings};
use crate::support::{Orchestrator, soon, welcome};

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
async fn an_agent_whose_disk_is_below_its_floor_asks_for_nothing_and_says_why() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::with(Settings { free_floor_bytes: u64::MAX, ..settings(home.path()) });
    let (mut connection, hello) = orchestrator.welcome(home.path()).await;
    assert_eq!(hello.credits, 0);
    let said = connection.hear().await.unwrap();
    assert_eq!((said.credits, said.disk_full), (0, Some(true)));
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
        let FromAgent {
            credits,
            started,
            finished,
            asked,
            withdrawn,
            output,
            spent,
            draining,
            runners,
            disk_full,
        } = connection.hear().await.unwrap();
        assert!(credits == 0 && !draining, "a heartbeat says nothing");
        assert!(started.is_empty() && finished.is_empty() && asked.is_empty() && output.is_empty());
        assert!(spent.is_empty() && withdrawn.is_empty(), "nothing runs");
        assert!(runners.is_empty() && disk_full.is_none(), "nothing came or went");
    }
    agent.drained().await;
}
