//! What becomes of results and outputs.

use conductor_agent::worker::Exit;
use conductor_protocol::agent::{Answer, Answered, End, ToAgent};
use conductor_protocol::control::AnswerBody;

use crate::agent::{Agent, home, output_log};
use crate::support::{Orchestrator, lease, mock, task, welcome};

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
async fn the_length_of_a_growing_output_is_told_before_and_with_the_end() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "print one\nask Go on?\nprint two")).await;
    let (mut bytes, mut asked) = (0, None);
    while bytes == 0 || asked.is_none() {
        let message = connection.hear().await.unwrap();
        bytes = message.output.iter().map(|output| output.bytes).max().unwrap_or(bytes);
        asked = message.asked.into_iter().next().or(asked);
    }
    let request_id = asked.unwrap().request_id;
    let answer = Answered { lease: lease(1), request_id, answer: AnswerBody::Allow };
    connection.say(ToAgent { answers: vec![answer], ..ToAgent::default() }).await;
    let last = loop {
        let message = connection.hear().await.unwrap();
        if !message.finished.is_empty() {
            break message;
        }
        bytes = message.output.iter().map(|output| output.bytes).max().unwrap_or(bytes);
    };
    let told = last.output.first().map_or(bytes, |output| output.bytes);
    let length = std::fs::metadata(output_log(home.path(), 1, 1)).unwrap().len();
    assert_eq!(told, length, "the whole length is told with the result at the latest");
    connection.acknowledge(lease(1)).await;
    agent.drained().await;
}

#[tokio::test]
async fn output_that_the_orchestrator_cannot_see_is_sent_whole_before_the_result_is_reported() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let elsewhere = home.path().join("elsewhere").to_str().unwrap().to_owned();
    let other = conductor_protocol::agent::Welcome { workspace: elsewhere, ..welcome(home.path()) };
    let (mut connection, _) = orchestrator.accept().await;
    connection.answer(Answer::Welcome(other.clone())).await;
    let (mut connection, hello) = orchestrator.accept().await;
    assert!(!hello.shares_workspace);
    connection.answer(Answer::Welcome(other)).await;
    connection.assign(mock(1, "print 300KB")).await;
    let grant = 100_000;
    let (mut output, opening) = orchestrator.accept_output(grant).await;
    assert_eq!((opening.agent_id, opening.instance), (hello.agent_id, hello.instance));
    let first = output.output(grant).await;
    assert_eq!(first.len() as u64, grant, "no more is sent than was granted");
    drop(output);
    let (mut output, _) = orchestrator.accept_output(1 << 20).await;
    let all = output.output(u64::MAX).await;
    let file = std::fs::read(output_log(home.path(), 1, 1)).unwrap();
    assert!(all == file, "what was not taken on the first connection is sent again: {} bytes", all.len());
    output.say(ToAgent { grant: Some(all.len() as u64), ..ToAgent::default() }).await;
    assert_eq!(connection.finished().await.end, End::Succeeded);
    connection.acknowledge(lease(1)).await;
    agent.drained().await;
}
