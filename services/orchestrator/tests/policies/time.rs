//! What happens because time passes.

use conductor_protocol::agent::End;
use conductor_protocol::control::AddSchedule;
use conductor_protocol::task::State;
use conductor_testkit::world::eventually;
use serde_json::json;
use serde_json::value::to_raw_value;

use super::server::{LIMIT, Server, assigned, reason, told_to_end};

#[tokio::test]
async fn a_task_for_later_runs_when_its_time_has_come_also_over_a_restart() {
    let mut server = Server::new().await;
    let soon = server.submit(json!({"prompt": "x", "run_at": "2026-01-01T01:00:00Z"})).await;
    let late = server.submit(json!({"prompt": "x", "run_at": "2026-01-01T02:00:00Z"})).await;
    server.advance(1800);
    assert_eq!(server.state(soon).await, State::Scheduled);
    server.restart(std::time::Duration::from_secs(1800)).await;
    server.until(soon, State::Queued).await;
    assert_eq!(server.state(late).await, State::Scheduled);
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    assert_eq!(assigned(&mut session).await.task, soon);
}

#[tokio::test]
async fn a_task_that_nobody_takes_fails_when_its_time_in_the_queue_is_over() {
    let mut server = Server::new().await;
    let task = server.submit(json!({"prompt": "x", "queue_timeout_seconds": 100})).await;
    server.advance(50);
    server.restart(std::time::Duration::ZERO).await;
    server.advance(40);
    assert_eq!(server.state(task).await, State::Queued);
    server.advance(11);
    assert_eq!(reason(&server.until(task, State::Failed).await), "queue_timeout");
}

#[tokio::test]
async fn a_run_that_its_agent_does_not_end_in_time_is_ended_by_the_orchestrator() {
    let server = Server::new().await;
    let task = server.submit(json!({"prompt": "x", "timeout_seconds": 30})).await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let assign = assigned(&mut session).await;
    assert_eq!(assign.timeout_ms, 30_000);
    session.start([assign.lease]).await.unwrap();
    eventually(LIMIT, "the run has begun", async || server.view(task).await.started_at).await;
    // The agent goes first; the orchestrator only steps in when it does not.
    server.advance(100);
    told_to_end(&mut session, assign.lease).await;
    assert_eq!(reason(&server.until(task, State::Failed).await), "timeout");
}

fn every_minute(overlap: &str) -> AddSchedule {
    serde_json::from_value(json!({
        "name": "tick", "cron": "* * * * *", "overlap": overlap, "task": {"prompt": "tick", "name": "tick"},
    }))
    .unwrap()
}

#[tokio::test]
async fn a_schedule_makes_a_task_each_time_it_comes_due_and_skips_while_the_last_one_lives() {
    let mut server = Server::new().await;
    let schedule = server.control.add_schedule(every_minute("skip")).await.unwrap();
    assert_eq!(schedule.time_zone, "UTC");
    let mut agent = server.agent("one", 4);
    let mut session = agent.connect().await.unwrap();
    server.advance(31);
    let first = assigned(&mut session).await;
    let next = async |server: &Server| server.control.schedules().await.unwrap()[0].next_at;
    let before = next(&server).await;
    server.advance(60);
    eventually(LIMIT, "the occurrence is passed over", async || {
        (next(&server).await != before).then_some(())
    })
    .await;
    assert_eq!(server.control.queue().await.unwrap().by_state.iter().map(|(_, count)| count).sum::<u64>(), 1);
    session.finish([first.lease], &End::Succeeded).await.unwrap();
    server.until(first.task, State::Succeeded).await;
    drop(session);
    server.restart(std::time::Duration::ZERO).await;
    let mut session = agent.connect().await.unwrap();
    server.advance(60);
    let second = assigned(&mut session).await;
    assert_ne!(second.task, first.task);
    assert_eq!(server.view(second.task).await.name.as_deref(), Some("tick"));
    server.control.remove_schedule(schedule.id).await.unwrap();
    assert!(server.control.schedules().await.unwrap().is_empty());
}

#[tokio::test]
async fn occurrences_that_were_missed_while_nothing_ran_are_made_up_for_once_where_asked() {
    let mut server = Server::new().await;
    let mut once = every_minute("queue");
    once.catch_up = conductor_protocol::control::CatchUp::One;
    once.task = to_raw_value(&json!({"prompt": "tick", "group": "once"})).unwrap();
    server.control.add_schedule(once).await.unwrap();
    let mut none = every_minute("queue");
    none.task = to_raw_value(&json!({"prompt": "tick", "group": "none"})).unwrap();
    server.control.add_schedule(none).await.unwrap();
    server.restart(std::time::Duration::from_secs(600)).await;
    let groups = async || {
        let mut groups = server.control.queue().await.unwrap().queued_by_group;
        groups.sort();
        groups
    };
    eventually(LIMIT, "one task stands for all that were missed", async || {
        (groups().await == [("once".to_owned(), 1)]).then_some(())
    })
    .await;
    eventually(LIMIT, "both look ahead", async || {
        let now = server.clock.now().wall_ms;
        server
            .control
            .schedules()
            .await
            .unwrap()
            .iter()
            .all(|schedule| schedule.next_at.0 > now)
            .then_some(())
    })
    .await;
    server.advance(60);
    eventually(LIMIT, "both go on as before", async || {
        (groups().await == [("none".to_owned(), 1), ("once".to_owned(), 2)]).then_some(())
    })
    .await;
}
