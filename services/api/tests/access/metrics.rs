//! Numbers as Prometheus reads them.

use conductor_protocol::control::{Groups, Role};
use conductor_testkit::world::eventually;

use crate::place::{LIMIT, Place};

#[tokio::test]
async fn the_numbers_are_those_of_the_orchestrator_and_of_the_api() {
    let place = Place::new().await;
    place.submit("red").await;
    let viewer = place.token("prometheus", Role::Viewer, Groups::All).await;
    place.get("/v1/nothing/at/all", &viewer).await.with(404);
    // The history follows the log.
    let text = eventually(LIMIT, "the task is counted", async || {
        let text = place.get("/metrics", &viewer).await.with(200).body;
        text.contains("conductor_tasks_submitted_total{runner=\"auto\"} 1").then_some(text)
    })
    .await;
    for part in [
        "conductor_tasks{state=\"queued\"} 1",
        "conductor_agent_slots{state=\"free\"} 0",
        "conductor_log_append_seconds_count",
        "conductor_disk_free_bytes{volume=\"state\"}",
        "conductor_ws_clients 0",
        "conductor_api_request_seconds_count{route=\"none\",method=\"GET\",status=\"404\"} 1",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let is_a_sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_default();
        name.starts_with("conductor_") && value.parse::<f64>().is_ok()
    };
    let strange = text.lines().find(|line| !line.is_empty() && !line.starts_with('#') && !is_a_sample(line));
    assert_eq!(strange, None);
}
