//! Tokens over HTTP.

use std::time::{Duration, Instant};

use conductor_protocol::control::{Groups, Role};
use conductor_testkit::world::eventually;

use crate::place::Place;

#[tokio::test]
async fn a_token_is_made_used_and_taken() {
    let place = Place::new().await;
    let admin = Some(place.admin.as_str());
    let body = r#"{"name":"ci","role":"operator","groups":{"only":["red"]}}"#;
    let made = place.ask("POST", "/v1/tokens", admin, &[], body).await.with(201);
    assert!(made.head.contains("location: /v1/tokens/ci"), "{made:?}");
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let me = place.get("/v1/me", &secret).await.with(200).json();
    assert_eq!((&me["name"], &me["groups"]["only"][0]), (&"ci".into(), &"red".into()));
    let listed = place.get("/v1/tokens", &place.admin).await.with(200);
    assert!(listed.body.contains("\"ci\"") && !listed.body.contains(&secret), "{listed:?}");
    place.ask("POST", "/v1/tokens", admin, &[], body).await.with(409);
    place.ask("DELETE", "/v1/tokens/ci", admin, &[], "").await.with(204);
    place.get("/v1/me", &secret).await.with(401);
    place.ask("DELETE", "/v1/tokens/ci", admin, &[], "").await.with(404);
}

#[tokio::test]
async fn the_groups_of_a_token_may_be_given_as_a_list() {
    let place = Place::new().await;
    let admin = Some(place.admin.as_str());
    let body = r#"{"name":"ci","role":"viewer","groups":["red"]}"#;
    let made = place.ask("POST", "/v1/tokens", admin, &[], body).await.with(201).json();
    assert_eq!(made["token"]["groups"]["only"], serde_json::json!(["red"]));
}

#[tokio::test]
async fn a_token_taken_elsewhere_is_refused_within_two_seconds() {
    let place = Place::new().await;
    let secret = place.token("ci", Role::Viewer, Groups::All).await;
    place.get("/v1/me", &secret).await.with(200);
    place.control.revoke_token("ci".into()).await.unwrap();
    let taken = Instant::now();
    let refused = async || (place.get("/v1/me", &secret).await.status == 401).then_some(());
    eventually(Duration::from_secs(10), "it is refused", refused).await;
    assert!(taken.elapsed() < Duration::from_secs(2), "{:?}", taken.elapsed());
}

#[tokio::test]
async fn only_an_admin_sees_and_makes_tokens() {
    let place = Place::new().await;
    for role in [Role::Viewer, Role::Operator] {
        let token = place.token(&format!("{role:?}").to_lowercase(), role, Groups::All).await;
        place.get("/v1/tokens", &token).await.with(403);
        let body = r#"{"name":"more","role":"viewer"}"#;
        place.ask("POST", "/v1/tokens", Some(&token), &[], body).await.with(403);
        place.ask("DELETE", "/v1/tokens/viewer", Some(&token), &[], "").await.with(403);
    }
}

#[tokio::test]
async fn a_bad_body_is_refused_with_the_place_that_is_wrong() {
    let place = Place::new().await;
    for (body, pointer) in [
        (r#"{"name":"a","role":"king"}"#, "/role"),
        (r#"{"name":"a","role":"viewer","until":1}"#, "/until"),
        (r#"{"name":"a","role":"viewer","groups":{"only":"x"}}"#, "/groups/only"),
        (r#"{"role":"viewer"}"#, ""),
        (r#"{"name":"a","role":"viewer"} more"#, ""),
        ("[", ""),
        ("\"\u{0}", ""),
    ] {
        let refused = place.ask("POST", "/v1/tokens", Some(&place.admin), &[], body).await.with(400);
        let problem = refused.json();
        assert_eq!(problem["code"], "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    let form = ["Content-Type: application/x-www-form-urlencoded"];
    place.ask("POST", "/v1/tokens", Some(&place.admin), &form, "").await.with(400);
}
