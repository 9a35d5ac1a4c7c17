//! State changes as server-sent events.

use std::time::Duration;

use conductor_protocol::control::Role;
use conductor_testkit::world::within;
use serde_json::json;

use crate::place::{Open, Place, Sse};

async fn follow(place: &Place, query: &str) -> Open {
    place.ask("GET", &format!("/v1/events{query}")).header("Accept: text/event-stream").open().await
}

fn seq(event: &Sse) -> u64 {
    event.id.as_deref().and_then(|id| id.parse().ok()).expect("a state change has its number")
}

fn is_end_of(id: &str) -> impl Fn(&Sse) -> bool {
    move |event| event.data.contains("task_finished") && event.data.contains(id)
}

#[tokio::test]
async fn who_comes_again_misses_nothing_and_sees_nothing_twice() {
    let place = Place::new().await;
    let mut open = follow(&place, "").await;
    assert!(open.head.contains("text/event-stream"), "{}", open.head);
    let hello = open.event().await.unwrap();
    assert_eq!(hello.kind, "hello");
    assert!(hello.json()["log"].is_string());
    let ids = [place.run("print a").await, place.run("print b").await, place.run("print c").await];
    let mut all = Vec::new();
    while all.last().is_none_or(|event| !is_end_of(&ids[2])(event)) {
        all.push(open.event().await.unwrap());
    }
    assert!(all.windows(2).all(|pair| seq(&pair[0]) < seq(&pair[1])));
    for (index, event) in all.iter().enumerate() {
        let mut again = place
            .ask("GET", "/v1/events?since=0")
            .header(&format!("Last-Event-ID: {}", seq(event)))
            .open()
            .await;
        assert_eq!(again.event().await.unwrap().kind, "hello");
        for expected in &all[index + 1..] {
            assert_eq!(again.event().await.as_ref(), Some(expected));
        }
    }
}

#[tokio::test]
async fn what_was_before_the_api_began_comes_from_the_log() {
    let mut place = Place::new().await;
    let before = place.run("print a").await;
    let mut whole = follow(&place, "?since=0").await;
    let first = whole.until(|event| event.data.contains(&before)).await;
    assert_eq!(place.up.terminate(Duration::from_secs(20)).await.code(), Some(0));
    let place = Place::at(place.world).await;
    let after = place.run("print b").await;
    let mut again = follow(&place, &format!("?since={}", seq(&first) - 1)).await;
    assert_eq!(again.until(|event| event.kind != "hello").await, first);
    let mut last = seq(&first);
    loop {
        let event = again.event().await.unwrap();
        assert!(seq(&event) > last, "{event:?}");
        last = seq(&event);
        if is_end_of(&after)(&event) {
            return;
        }
    }
}

#[tokio::test]
async fn a_stream_ends_within_two_seconds_of_its_tokens_end() {
    let place = Place::new().await;
    let token = place.token("short", Role::Viewer, &[]).await;
    let id = place.submit(json!({"prompt": "hang"})).await;
    let mut streams = Vec::new();
    for path in [
        "/v1/events",
        &format!("/v1/tasks/{id}/output?follow=true"),
        &format!("/v1/tasks/{id}/events?follow=true"),
    ] {
        let open = place.ask("GET", path).token(&token).header("Accept: text/event-stream").open().await;
        assert_eq!(open.status, 200, "{}", open.head);
        streams.push(open);
    }
    place.ask("DELETE", "/v1/tokens/short").send().await.with(204);
    for mut open in streams {
        within(Duration::from_secs(3), "the stream ends", async { while open.event().await.is_some() {} })
            .await;
    }
    place.ask("GET", "/v1/tasks").token(&token).send().await.problem(401, "unauthorized");
}

#[tokio::test]
async fn bad_numbers_are_refused() {
    let place = Place::new().await;
    place.get("/v1/events?since=x").await.problem(400, "invalid_request");
    place.ask("GET", "/v1/events").header("Last-Event-ID: x").send().await.problem(400, "invalid_request");
}
