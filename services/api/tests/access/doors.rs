//! What is open without a token, and what a token may not open.

use conductor_protocol::control::{Groups, Role};

use crate::place::Place;

/// The paths that answer without a token; no other may.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Every operation of the document, with something in the place of its parameters.
fn operations() -> Vec<(String, String)> {
    let document = serde_json::to_value(conductor_api::document()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let mut operations = Vec::new();
    for (path, item) in paths {
        let methods = item.as_object().unwrap().keys();
        for method in methods.filter(|key| ["get", "post", "put", "patch", "delete"].contains(&key.as_str()))
        {
            let filled: Vec<&str> = path
                .split('/')
                .map(|part| match part.starts_with('{') {
                    true => "01920000-0000-7000-8000-000000000001",
                    false => part,
                })
                .collect();
            operations.push((method.to_uppercase(), filled.join("/")));
        }
    }
    operations
}

#[tokio::test]
async fn no_operation_answers_without_a_token_but_the_open_ones() {
    let place = Place::new().await;
    let operations = operations();
    assert!(operations.len() >= 8, "{operations:?}");
    for (method, path) in operations {
        let is_open = OPEN.contains(&path.as_str());
        for token in [None, Some("cnd_of_nobody")] {
            // A body that is none: who is nobody is not even told that.
            let answer = place.ask(&method, &path, token, &[], "{").await;
            let refused = answer.status == 401 || (token.is_some() && answer.status == 429);
            assert!(refused != is_open, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_token_of_an_agent_opens_nothing_but_its_own_name() {
    let place = Place::new().await;
    let token = place.token("worker", Role::Agent, Groups::All).await;
    assert_eq!(place.get("/v1/me", &token).await.with(200).json()["role"], "agent");
    for path in ["/v1/tokens", "/metrics", "/v1/authz"] {
        place.get(path, &token).await.with(403);
    }
}

#[tokio::test]
async fn a_token_of_a_file_or_a_query_opens_nothing() {
    let place = Place::new().await;
    place.ask("GET", &format!("/v1/me?token={}", place.admin), None, &[], "").await.with(401);
    let cookie = format!("Cookie: conductor={}", place.admin);
    place.ask("GET", "/v1/me", None, &["Authorization: Token x", &cookie], "").await.with(401);
}

#[tokio::test]
async fn a_foreign_name_or_page_is_refused_whatever_token_it_has() {
    let place = Place::new().await;
    let foreign = place.ask("GET", "/v1/me", Some(&place.admin), &["Origin: http://evil.example"], "").await;
    foreign.with(200);
    let body = r#"{"name":"x","role":"admin"}"#;
    let headers = ["Origin: http://evil.example"];
    place.ask("POST", "/v1/tokens", Some(&place.admin), &headers, body).await.with(403);
}
