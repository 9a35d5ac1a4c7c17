//! A token of one group sees nothing of another's, on any route.

use conductor_protocol::control::Role;
use serde_json::{Value, json};

use crate::place::Place;

/// Every operation of the document on a task, with that task in its path.
fn operations_on(id: &str) -> Vec<(String, String, Option<Value>)> {
    let document: Value = serde_json::from_str(conductor_api::document_text()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/tasks/{") {
            continue;
        }
        let filled =
            path.replace("{id}", id).replace("{a}", id).replace("{b}", id).replace("{path}", "secret.txt");
        for method in item.as_object().unwrap().keys() {
            let body = match path.rsplit('/').next() {
                Some("messages") => Some(json!({"text": "go on"})),
                Some("answer") => Some(json!({"answer": "yes"})),
                _ => None,
            };
            operations.push((method.to_uppercase(), filled.clone(), body));
        }
    }
    operations
}

#[tokio::test]
async fn a_task_of_another_group_is_not_there_on_any_route() {
    let place = Place::new().await;
    let id = place
        .submit(json!({"prompt": "write secret.txt unspeakable; print unspeakable", "group": "theirs"}))
        .await;
    place.over(&id).await;
    let token = place.token("mine", Role::Operator, &["mine"]).await;
    let operations = operations_on(&id);
    assert!(operations.len() >= 12, "{operations:?}");
    for (method, path, body) in operations {
        let mut request = place.ask(&method, &path).token(&token);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
        assert!(!answer.text().contains("unspeakable"), "{method} {path}: {}", answer.text());
    }
    for path in [
        "/v1/tasks",
        "/v1/tasks?group=theirs",
        "/v1/questions",
        "/v1/agents",
        "/v1/queue",
        "/v1/schedules",
        "/v1/stats",
    ] {
        let text = place.ask("GET", path).token(&token).send().await.text();
        assert!(!text.contains(&id) && !text.contains("theirs"), "{path}: {text}");
    }
    let ended = place.ask("POST", "/v1/tasks/retry").token(&token).json(&json!({"state": ["succeeded"]}));
    assert_eq!(ended.send().await.with(200).json()["count"], 0);
    let theirs =
        place.ask("POST", "/v1/tasks").token(&token).json(&json!({"prompt": "print a", "group": "theirs"}));
    assert!([403, 404].contains(&theirs.send().await.status));
    // The owner of the group still has it.
    assert_eq!(
        place.get(&format!("/v1/tasks/{id}/files/secret.txt")).await.with(200).text(),
        "unspeakable\n"
    );
}

#[tokio::test]
async fn a_follower_of_one_group_hears_nothing_of_another() {
    let place = Place::new().await;
    let token = place.token("mine", Role::Operator, &["mine"]).await;
    let mut live = place.ask("GET", "/v1/events").token(&token).open().await;
    assert_eq!(live.event().await.unwrap().kind, "hello");
    let theirs = place.submit(json!({"prompt": "print a", "group": "theirs"})).await;
    place.over(&theirs).await;
    let mine = place.ask("POST", "/v1/tasks").token(&token).json(&json!({"prompt": "print b"})).send().await;
    let mine = mine.with(201).json()["id"].as_str().unwrap().to_owned();
    let mut past = place.ask("GET", "/v1/events?since=0").token(&token).open().await;
    for open in [&mut live, &mut past] {
        loop {
            let event = open.event().await.expect("the stream goes on");
            assert!(!event.data.contains(&theirs) && !event.data.contains("theirs"), "{event:?}");
            if event.data.contains("task_finished") && event.data.contains(&mine) {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_viewer_changes_nothing() {
    let place = Place::new().await;
    let token = place.token("looker", Role::Viewer, &[]).await;
    let id = place.run("print a").await;
    for (method, path, body) in [
        ("POST", "/v1/tasks".to_owned(), json!({"prompt": "x"})),
        ("POST", "/v1/tasks/batch".to_owned(), json!({"tasks": [{"prompt": "x"}]})),
        ("POST", format!("/v1/tasks/{id}/retry"), json!({})),
        ("DELETE", format!("/v1/tasks/{id}"), json!({})),
        ("POST", "/v1/queue/pause".to_owned(), json!({})),
        ("POST", "/v1/schedules".to_owned(), json!({"cron": "0 9 * * *", "task": {"prompt": "x"}})),
        ("POST", "/v1/uploads".to_owned(), json!({})),
    ] {
        place.ask(method, &path).token(&token).json(&body).send().await.problem(403, "forbidden");
    }
    place.ask("GET", &format!("/v1/tasks/{id}/output")).token(&token).send().await.with(200);
    for path in ["/v1/audit", "/v1/audit/verify"] {
        place.ask("GET", path).token(&token).send().await.problem(403, "forbidden");
    }
    let some = place.token("chief", Role::Admin, &["red"]).await;
    place.ask("GET", "/v1/audit/verify").token(&some).send().await.problem(403, "forbidden");
}
