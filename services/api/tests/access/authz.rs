//! What nginx may hand out.

use conductor_protocol::control::{Groups, Role};

use crate::place::Place;

async fn may(place: &Place, token: &str, uri: &str) -> u16 {
    let header = format!("X-Original-URI: {uri}");
    place.ask("GET", "/v1/authz", Some(token), &[&header], "").await.status
}

#[tokio::test]
async fn a_run_folder_is_for_those_who_may_see_its_task() {
    let place = Place::new().await;
    let only = |group: &str| Groups::Only(vec![group.to_owned()]);
    let red = place.token("red", Role::Viewer, only("red")).await;
    let blue = place.token("blue", Role::Viewer, only("blue")).await;
    let task = place.submit("red").await;
    let file = format!("/tasks/{task}/work/report.md");
    std::fs::create_dir_all(place.home.tasks().join(&task).join("work")).unwrap();
    std::fs::write(place.home.tasks().join(&task).join("work/report.md"), "good").unwrap();
    assert_eq!(may(&place, &red, &file).await, 204);
    assert_eq!(may(&place, &blue, &file).await, 403);
    assert_eq!(may(&place, &place.admin, &file).await, 204);
    let nobodys = "/tasks/01920000-0000-7000-8000-000000000001/work/report.md";
    assert_eq!(may(&place, &place.admin, nobodys).await, 403, "the same as for one that may not be seen");
    let header = format!("X-Original-URI: {file}");
    place.ask("GET", "/v1/authz", None, &[&header], "").await.with(401);
}

#[tokio::test]
async fn logs_are_for_admins_and_what_is_private_is_for_nobody() {
    let place = Place::new().await;
    let viewer = place.token("viewer", Role::Viewer, Groups::All).await;
    let task = place.submit("red").await;
    std::fs::write(place.home.logs.join("conductor.log"), "").unwrap();
    std::fs::write(place.home.logs.join("a"), "").unwrap();
    assert_eq!(may(&place, &place.admin, "/logs/conductor.log").await, 204);
    assert_eq!(may(&place, &viewer, "/logs/conductor.log").await, 403);
    assert_eq!(may(&place, &viewer, "/").await, 204);
    for private in [format!("/private/{task}/HOME/x"), format!("/tasks/{task}/../../private/{task}")] {
        assert_eq!(may(&place, &place.admin, &private).await, 403, "{private}");
    }
    place.ask("GET", "/v1/authz", Some(&place.admin), &[], "").await.with(403);
}

#[tokio::test]
async fn a_session_opens_what_its_token_opens() {
    let place = Place::new().await;
    let digest = conductor_web::digest(&place.admin);
    let presented = conductor_protocol::control::Presented { digest, address: None };
    std::fs::write(place.home.logs.join("a"), "").unwrap();
    let session = place.control.open_session(presented).await.unwrap();
    let headers = [format!("Cookie: conductor={}", session.secret), "X-Original-URL: /logs/a".to_owned()];
    place.ask("GET", "/v1/authz", None, &[&headers[0], &headers[1]], "").await.with(204);
    let other = format!("Cookie: conductor={}x", session.secret);
    place.ask("GET", "/v1/authz", None, &[&other, &headers[1]], "").await.with(401);
}

#[tokio::test]
async fn a_foreign_host_is_misdirected_whoever_asks_and_is_not_where_a_login_leads_back_to() {
    let place = Place::new().await;
    std::fs::write(place.home.logs.join("a"), "").unwrap();
    let uri = "X-Original-URI: /logs/a";
    for (token, status) in [(Some(place.admin.as_str()), 403), (None, 401), (Some("cnd_wrong"), 401)] {
        let headers = [uri, "X-Original-Host: evil.example"];
        let answer = place.ask("GET", "/v1/authz", token, &headers, "").await.with(status);
        let head = answer.head.to_ascii_lowercase();
        assert!(head.contains("x-conductor-status: 421"), "{head}");
        assert!(!head.contains("x-conductor-return"), "{head}");
    }
    let known = [uri, "X-Original-Host: localhost:8090"];
    place.ask("GET", "/v1/authz", Some(&place.admin), &known, "").await.with(204);
    let answer = place.ask("GET", "/v1/authz", None, &known, "").await.with(401);
    assert!(answer.head.to_ascii_lowercase().contains("x-conductor-return"), "{}", answer.head);
}
