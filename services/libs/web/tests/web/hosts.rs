//! Whom a request is for, and where it comes from.

use conductor_runtime::config::Tls;

use crate::place::Place;

#[tokio::test]
async fn a_loopback_listener_refuses_foreign_names() {
    let place = Place::new().await;
    for host in ["evil.example", "127.0.0.1.evil.example:80", "192.0.2.1", "internal"] {
        let refused = place.ask("GET", "/open", &[&format!("Host: {host}")]).await;
        assert!(refused.problem(403, "forbidden").body().contains("allowed_hosts"));
    }
    for host in ["localhost", "127.0.0.1:1", "[::1]:8081"] {
        place.ask("GET", "/open", &[&format!("Host: {host}")]).await.ok();
    }
    place.send("GET /open HTTP/1.1\r\nConnection: close\r\n\r\n").await.problem(400, "invalid_request");
    place
        .ask("GET", "/open", &["Host: localhost", "Host: evil.example"])
        .await
        .problem(400, "invalid_request");
    place.ask("GET", "http://evil.example/open", &["Host: localhost"]).await.problem(403, "forbidden");
}

#[tokio::test]
async fn an_open_listener_refuses_foreign_names_too() {
    let place = Place::on("0.0.0.0:0", &Tls::default(), |options| {
        options.allowed_hosts = vec!["tasks.example".into()];
    })
    .await;
    place.ask("GET", "/open", &["Host: tasks.example:8081"]).await.ok();
    place.ask("GET", "/open", &["Host: api:8081"]).await.ok();
    place.ask("GET", "/open", &["Host: evil.example"]).await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_page_of_another_site_may_change_nothing_and_open_no_websocket() {
    let place = Place::with(|options| options.open = true).await;
    let here = format!("Origin: http://{}", place.address);
    place.ask("POST", "/change", &[&here]).await.ok();
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "file://", "garbage"] {
        let origin = format!("Origin: {origin}");
        place.ask("POST", "/change", &[&origin]).await.problem(403, "forbidden");
        let upgrade = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", &origin];
        place.ask("GET", "/open", &upgrade).await.problem(403, "forbidden");
    }
    for site in ["cross-site", "same-site"] {
        place.ask("DELETE", "/change", &[&format!("Sec-Fetch-Site: {site}")]).await.problem(403, "forbidden");
    }
    place.ask("GET", "/open", &["Upgrade: websocket", &here]).await.ok();
}

#[tokio::test]
async fn below_a_public_path_requests_and_links_agree() {
    let place = Place::with(|options| {
        options.public_url = Some("https://tasks.example/conductor/".parse().unwrap());
        options.open = true;
    })
    .await;
    let host = "Host: tasks.example";
    for path in ["/conductor/where", "/where"] {
        let seen = place.ask("GET", path, &[host]).await;
        assert_eq!(seen.ok(), "/where /conductor/next 127.0.0.1 true", "by https, as the public URL says");
    }
    let local = place.ask("GET", "/where", &["Host: localhost"]).await;
    assert_eq!(local.ok(), "/where /conductor/next 127.0.0.1 false");
    place.ask("POST", "/conductor/change", &[host, "Origin: https://tasks.example"]).await.ok();
    place.ask("POST", "/change", &[host, "Origin: https://other.example"]).await.problem(403, "forbidden");
    place.ask("GET", "/conductors/where", &[host]).await.problem(404, "not_found");
}

#[tokio::test]
async fn every_answer_says_how_a_browser_may_use_it() {
    let place = Place::new().await;
    for path in ["/open", "/me", "/nowhere"] {
        let answer = place.ask("GET", path, &[]).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert!(answer.header("content-security-policy").unwrap().contains("default-src 'none'"));
    }
}
