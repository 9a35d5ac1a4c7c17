//! The way to the file server and back.

use serde_json::json;

use crate::place::Place;

const FILES: (&str, &str) = ("CONDUCTOR__FILES__PUBLIC_URL", "http://localhost:8090");

#[tokio::test]
async fn a_login_that_the_file_server_asked_for_leads_back_to_it() {
    let place = Place::with(&[FILES]).await;
    let mut browser = place.nobody();
    let page = browser.get("/login?files=%2Ftasks%2Fx%2Fwork%2Fa%2520b.txt%3Fy%3D1").await.with(200);
    assert!(page.body.contains(r#"name="files" value="/tasks/x/work/a%20b.txt?y=1""#), "{page:?}");
    let policy = page.header("content-security-policy").unwrap();
    // The test's browser calls us 127.0.0.1, and so the file server too.
    assert!(policy.contains("form-action 'self' http://127.0.0.1:8090;"), "{policy}");
    let way = [("token", place.admin.as_str()), ("files", "/tasks/x/work/a%20b.txt?y=1")];
    let answer = browser.post("/login", &way).await.with(303);
    assert_eq!(answer.header("location"), Some("http://127.0.0.1:8090/tasks/x/work/a%20b.txt?y=1"));
    for evil in ["//evil.example", "@evil.example/", ".evil.example/", "https://evil.example", "/\\evil"] {
        let way = [("token", place.admin.as_str()), ("files", evil)];
        let answer = browser.post("/login", &way).await.with(303);
        assert_eq!(answer.header("location"), Some("/"), "{evil}");
    }
    browser.cookie = None;
    let page = browser.get("/login?next=%2Ftasks").await.with(200);
    assert!(!page.header("content-security-policy").unwrap().contains("8090"), "{page:?}");
}

#[tokio::test]
async fn pages_link_to_the_file_server_where_there_is_one() {
    let place = Place::with(&[FILES]).await;
    let id = place.submit(json!({"prompt": "x"})).await;
    let browser = place.log_in(&place.admin).await;
    let page = browser.get(&format!("/tasks/{id}?tab=files")).await.with(200);
    for link in [format!("http://127.0.0.1:8090/tasks/{id}/\""), "http://127.0.0.1:8090/tasks/\"".to_owned()]
    {
        assert!(page.body.contains(&link), "{link}: {page:?}");
    }
    let place = Place::new().await;
    let page = place.log_in(&place.admin).await.get("/tasks").await.with(200);
    assert!(!page.body.contains("8090"), "{page:?}");
    // Nowhere to go back to.
    let way = [("token", place.admin.as_str()), ("files", "/tasks/")];
    let answer = place.nobody().post("/login", &way).await.with(303);
    assert_eq!(answer.header("location"), Some("/"));
}
