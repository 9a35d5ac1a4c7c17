//! Numbers over time, and what is scraped.

use conductor_protocol::agent::End;
use conductor_protocol::control::TrendsCall;
use conductor_protocol::task::State;
use serde_json::json;

use super::server::{Server, assigned, failed};

#[tokio::test]
async fn numbers_over_time_tell_what_happened_in_which_minute() {
    let server = Server::new().await;
    let first = server.submit(json!({"prompt": "x"})).await;
    server.submit(json!({"prompt": "y"})).await;
    server.advance(120);
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let assign = assigned(&mut session).await;
    assert_eq!(assign.task, first);
    session.finish([assign.lease], &End::Succeeded).await.unwrap();
    server.until(first, State::Succeeded).await;
    let steps = server.control.trends(TrendsCall { seconds: 240, step_seconds: 60 }).await.unwrap().steps;
    assert_eq!(steps.iter().map(|step| step.submitted).collect::<Vec<_>>(), [0, 2, 0, 0]);
    assert_eq!(steps.iter().map(|step| step.succeeded).collect::<Vec<_>>(), [0, 0, 0, 1]);
    assert_eq!(steps[3].mean_wait_seconds, Some(120.0));
    assert_eq!(steps[0].mean_wait_seconds, None);
}

#[tokio::test]
async fn a_scrape_counts_what_each_runner_came_to() {
    let server = Server::new().await;
    let mut agent = server.agent("one", 2);
    let mut session = agent.connect().await.unwrap();
    for end in [End::Succeeded, failed()] {
        let task = server.submit(json!({"prompt": "x", "runner": "mock"})).await;
        let assign = assigned(&mut session).await;
        session.finish([assign.lease], &end).await.unwrap();
        let over = if matches!(end, End::Succeeded) { State::Succeeded } else { State::Failed };
        server.until(task, over).await;
    }
    let metrics = server.control.metrics().await.unwrap();
    let mock = metrics.runners.iter().find(|runner| runner.runner == "mock").unwrap();
    assert_eq!((mock.submitted, mock.succeeded, mock.failed), (2, 1, 1));
    assert_eq!(metrics.queue_wait.counts.iter().sum::<u64>(), 2);
    assert_eq!(metrics.log_append.counts.iter().sum::<u64>(), metrics.log_batch.counts.iter().sum::<u64>());
    assert!(metrics.log_batch.sum >= 6.0, "two tasks came, ran and ended: {:?}", metrics.log_batch);
    assert_eq!(metrics.agents, [("connected".to_owned(), 1)]);
    assert!(metrics.volumes.iter().any(|volume| volume.name == "state" && volume.free_bytes > 0));
}

#[tokio::test]
async fn today_begins_at_midnight_where_people_are() {
    // The clock begins at 2026-01-01T00:00:30Z, which is 09:00:30 in Tokyo.
    let server = Server::with(&[("CONDUCTOR__BUDGETS__TIME_ZONE", "Asia/Tokyo")]).await;
    server.submit(json!({"prompt": "x"})).await;
    let today = server.control.stats().await.unwrap().today;
    assert_eq!((today.submitted, today.since.0), (1, 1_767_193_200_000));
    server.advance(15 * 3_600);
    server.submit(json!({"prompt": "y"})).await;
    let stats = server.control.stats().await.unwrap();
    assert_eq!((stats.today.submitted, stats.today.since.0), (1, 1_767_279_600_000));
}

#[tokio::test]
async fn the_bytes_that_runs_print_are_counted() {
    let server = Server::new().await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    server.submit(json!({"prompt": "x"})).await;
    let lease = assigned(&mut session).await.lease;
    for bytes in [10, 4_000, 4_000] {
        let output = vec![conductor_protocol::agent::OutputLength { lease, bytes }];
        session.say(conductor_protocol::agent::FromAgent { output, ..Default::default() }).await.unwrap();
    }
    conductor_testkit::world::eventually(super::server::LIMIT, "the bytes are counted", async || {
        let metrics = server.control.metrics().await.unwrap();
        (metrics.output_bytes == 4_000).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_subtasks_of_a_task_are_listed_by_their_parent() {
    use conductor_protocol::control::{Filter, ListRequest};
    let server = Server::new().await;
    let subtasks = json!([{"prompt": "a"}, {"prompt": "b", "subtasks": [{"prompt": "c"}]}]);
    let parent = server.submit(json!({"subtasks": subtasks})).await;
    server.submit(json!({"prompt": "z"})).await;
    let below = async |parent: String| {
        let filter = Filter { parent: Some(parent), ..Filter::default() };
        let page = server.control.list(ListRequest { filter, ..ListRequest::default() }).await;
        page.map(|page| page.items)
    };
    let children = below(parent.to_string()).await.unwrap();
    assert_eq!(children.len(), 2);
    assert!(children.iter().all(|child| child.parent == Some(parent)));
    assert_eq!(below(children[0].id.to_string()).await.unwrap().len(), 1);
    assert!(below("nonsense".into()).await.is_err());
}
