//! What tasks that run use, beside the state changes.

use conductor_protocol::control::Role;
use serde_json::{Value, json};

use crate::place::{Place, Sse};
use crate::websocket::Client;

/// Submits a task that uses tokens, waits for an answer, and uses more.
async fn user(place: &Place, group: &str) -> String {
    let prompt = "use 1200 tokens; ask Go on?; use 800 tokens; ask And on?";
    place.submit(json!({"prompt": prompt, "group": group})).await
}

fn tokens(event: &Value) -> u64 {
    event["usage"]["output_tokens"].as_u64().unwrap() + event["usage"]["input_tokens"].as_u64().unwrap()
}

async fn answer(place: &Place, id: &str) {
    place.post(&format!("/v1/tasks/{id}/answer"), json!({"answer": "yes"})).await.with(204);
}

#[tokio::test]
async fn what_a_running_task_uses_is_told_beside_the_log_to_who_asks_and_may_see_it() {
    let place = Place::new().await;
    let (mut client, _) = Client::new(&place, &place.admin).await;
    client.say(json!({"subscribe": {"topics": ["tasks", "usage"]}})).await;
    let (mut other, _) = Client::new(&place, &place.token("mine", Role::Viewer, &["mine"]).await).await;
    other.say(json!({"subscribe": {"topics": ["usage"]}})).await;
    let mut stream = place.ask("GET", "/v1/events?usage=true").open().await;
    let mut plain = place.ask("GET", "/v1/events").open().await;

    let id = user(&place, "ours").await;
    let used =
        |least: u64| move |message: &Value| message["topic"] == "usage" && tokens(&message["event"]) >= least;
    let first = client.until(used(1_200)).await;
    assert_eq!((&first["event"]["id"], &first["event"]["group"]), (&json!(id), &json!("ours")), "{first}");
    assert_eq!((&first["event"]["attempt"], tokens(&first["event"])), (&json!(1), 1_200), "{first}");
    let told = stream.until(|event: &Sse| event.kind == "usage").await;
    assert_eq!((told.id.as_deref(), told.json()), (None, first["event"].clone()));
    let task = place.get(&format!("/v1/tasks/{id}")).await.with(200).json();
    assert_eq!(task["usage"], first["event"]["usage"], "it is the task's own usage");

    answer(&place, &id).await;
    let more = client.until(used(2_000)).await;
    assert!(
        more["seq"].as_u64() >= first["seq"].as_u64(),
        "it carries the last number that was told: {more}"
    );
    // Who comes later is told of what runs at once.
    let (mut late, _) = Client::new(&place, &place.admin).await;
    late.say(json!({"subscribe": {"topics": ["usage"]}})).await;
    assert_eq!(late.next().await.unwrap()["event"], more["event"]);

    let mine = user(&place, "mine").await;
    let only = other.until(|message| message["topic"] == "usage").await;
    assert_eq!(only["event"]["id"], json!(mine), "another group's use is not told: {only}");
    answer(&place, &id).await;
    let is_end = |event: &Sse| event.data.contains("task_finished") && event.data.contains(&id);
    loop {
        let event = plain.event().await.unwrap();
        assert_ne!(event.kind, "usage", "it was not asked for");
        if is_end(&event) {
            break;
        }
    }
    place.get("/v1/events?usage=perhaps").await.problem(400, "invalid_request");
}
