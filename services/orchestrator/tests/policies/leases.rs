//! Attempts, leases and what counts.

use conductor_protocol::agent::{After, End, Finished, FromAgent};
use conductor_protocol::task::State;
use serde_json::json;

use super::server::{LIMIT, Server, assigned, failed, reason};

#[tokio::test]
async fn a_failed_attempt_is_tried_again_after_its_pause_and_as_often_as_asked() {
    let server = Server::new().await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let task =
        server.submit(json!({"prompt": "x", "retry": {"max_attempts": 2, "backoff_seconds": 20}})).await;
    let first = assigned(&mut session).await;
    session.finish([first.lease], &failed()).await.unwrap();
    server.until(task, State::Scheduled).await;
    // The pause is jittered: it is over after twice its length at the latest.
    server.advance(40);
    let second = assigned(&mut session).await;
    assert_eq!((second.task, second.attempt, second.after), (task, 2, Some(After::Failure)));
    session.finish([second.lease], &failed()).await.unwrap();
    let view = server.until(task, State::Failed).await;
    assert_eq!((reason(&view), view.attempts.len()), ("runner_error", 2));
}

#[tokio::test]
async fn a_task_that_crashes_its_workers_ends_as_crash_limit_with_all_of_them_named() {
    let server = Server::new().await;
    let task = server.submit(json!({"prompt": "x"})).await;
    for name in ["one", "two", "three"] {
        let mut agent = server.agent(name, 1);
        let mut session = agent.connect().await.unwrap();
        let assign = assigned(&mut session).await;
        assert_eq!(assign.task, task);
        let end = End::Crashed { message: "its worker died".into() };
        session.finish([assign.lease], &end).await.unwrap();
        server.control.drain_agent(name.into(), true).await.unwrap();
    }
    let view = server.until(task, State::Failed).await;
    assert_eq!(reason(&view), "crash_limit");
    let message = view.failure.unwrap().message;
    assert!(["one", "two", "three"].iter().all(|name| message.contains(name)), "{message}");
}

#[tokio::test]
async fn a_silent_agent_loses_its_lease_and_its_late_report_is_not_accepted() {
    let server = Server::new().await;
    let task = server.submit(json!({"prompt": "x"})).await;
    let mut silent = server.agent("silent", 1);
    let mut session = silent.connect().await.unwrap();
    let old = assigned(&mut session).await;
    server.advance(119);
    assert_eq!(server.state(task).await, State::Running);
    server.advance(2);
    server.until(task, State::Queued).await;
    drop(session);
    let mut other = server.agent("other", 1);
    let mut working = other.connect().await.unwrap();
    let new = assigned(&mut working).await;
    assert_eq!((new.task, new.attempt, new.after), (task, 2, Some(After::Crash)));
    // It is told when it comes back, and what it says of the lease all the same is acknowledged and changes nothing.
    let mut session = silent.connect().await.unwrap();
    assert_eq!(session.welcome().stale, [old.lease]);
    let late = Finished {
        lease: old.lease,
        end: End::Succeeded,
        exit_code: None,
        simulated: false,
        usage: None,
        result: None,
        lane: None,
        told: 0,
    };
    session.say(FromAgent { finished: vec![late], ..FromAgent::default() }).await.unwrap();
    conductor_testkit::world::within(LIMIT, "the stale report is acknowledged", async {
        while !session.hear().await.unwrap().acknowledged.contains(&old.lease) {}
    })
    .await;
    assert_eq!(server.state(task).await, State::Running);
    assert_eq!(server.control.status().await.unwrap().counters.stale_reports_refused, 1);
    working.finish([new.lease], &End::Succeeded).await.unwrap();
    assert_eq!(server.until(task, State::Succeeded).await.agent.as_deref(), Some("other"));
}

#[tokio::test]
async fn a_lease_outlives_a_restart_and_gets_its_full_time_again() {
    let mut server = Server::new().await;
    let task = server.submit(json!({"prompt": "x"})).await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let assign = assigned(&mut session).await;
    server.advance(100);
    server.restart(std::time::Duration::from_secs(600)).await;
    server.advance(100);
    assert_eq!(server.state(task).await, State::Running);
    let mut session = agent.connect().await.unwrap();
    assert!(session.welcome().stale.is_empty());
    session.finish([assign.lease], &End::Succeeded).await.unwrap();
    let view = server.until(task, State::Succeeded).await;
    assert_eq!(view.attempt, 1);
}

#[tokio::test]
async fn a_new_instance_of_an_agent_frees_at_once_what_the_old_one_held() {
    let server = Server::new().await;
    let task = server.submit(json!({"prompt": "x"})).await;
    let mut agent = server.agent("one", 1);
    assigned(&mut agent.connect().await.unwrap()).await;
    agent.restart();
    let mut session = agent.connect().await.unwrap();
    let again = assigned(&mut session).await;
    assert_eq!((again.task, again.attempt), (task, 2));
}
