//! Who gets in, and what is said to those who do not.

use std::fs;

use conductor_protocol::control::{Groups, Role};
use conductor_testkit::world::eventually;

use crate::nginx::{DASHBOARD, LIMIT, Site};

/// What one token may ask for at once, as nginx.conf.template has it.
const MOST_AT_ONCE: usize = 64;

#[tokio::test]
async fn who_shows_no_token_gets_nothing_and_a_browser_is_sent_to_the_login_and_back() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    fs::write(work.join("a b.txt"), "inside").unwrap();
    for path in ["/", "/tasks/", "/logs/", &format!("/tasks/{id}/"), &format!("/tasks/{id}/work/a%20b.txt")] {
        let answer = site.get(path, None).await.with(401);
        assert!(answer.head.contains("WWW-Authenticate: Bearer"), "{answer:?}");
        assert!(!answer.body.contains("inside") && !answer.body.contains(&id), "{answer:?}");
        site.get(path, Some("cnd_wrong-but-long-enough")).await.with(401);
        let answer = site.ask("GET", path, None, &["Accept: text/html,*/*;q=0.8"]).await.with(302);
        let back: String = url(&answer.head);
        let (login, back) = back.split_once("?files=").unwrap();
        assert_eq!(login, format!("{DASHBOARD}/login"));
        let back: String = percent_decoded(back);
        assert_eq!(back, path);
    }
    // A task's own request comes from the same machine and shows nothing.
    let path = format!("/tasks/{id}/work/a%20b.txt");
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let answer = crate::place::ask_as(site.address, host, "GET", &path, None, &[], "").await.unwrap();
        answer.with(401);
    }
}

fn url(head: &str) -> String {
    let line = head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap();
    line.trim().to_owned()
}

fn percent_decoded(text: &str) -> String {
    let query = format!("x={text}");
    url::form_urlencoded::parse(query.as_bytes()).next().unwrap().1.into_owned()
}

#[tokio::test]
async fn a_run_is_for_those_of_its_group_and_the_logs_are_for_admins() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    fs::write(work.join("a.txt"), "inside").unwrap();
    fs::write(site.place.home.logs.join("conductor.log"), "line\n").unwrap();
    let (red, blue) = (site.viewer("red").await, site.viewer("blue").await);
    let admin = site.place.admin.clone();
    let paths = [format!("/tasks/{id}/"), format!("/tasks/{id}/work/"), format!("/tasks/{id}/work/a.txt")];
    for path in &paths {
        site.get(path, Some(&red)).await.with(200);
        site.get(path, Some(&admin)).await.with(200);
        let hidden = site.get(path, Some(&blue)).await.with(404);
        assert!(!hidden.body.contains("inside"), "{hidden:?}");
    }
    let fronts =
        [site.get("/tasks/", Some(&red)).await.with(200), site.get("/tasks/", Some(&blue)).await.with(200)];
    assert!(fronts[0].body.contains(&id) && !fronts[1].body.contains(&id));
    for path in ["/logs/", "/logs/conductor.log"] {
        site.get(path, Some(&red)).await.with(403);
        site.get(path, Some(&admin)).await.with(200);
    }
    let some = site.place.token("some", Role::Admin, Groups::Only(vec!["red".into()])).await;
    site.get("/logs/conductor.log", Some(&some)).await.with(403);
    site.ask("POST", &paths[2], Some(&admin), &[]).await.with(405);
    site.ask("DELETE", &paths[2], Some(&admin), &[]).await.with(405);
    assert!(work.join("a.txt").exists());
}

#[tokio::test]
async fn a_session_of_the_dashboard_opens_the_files_too() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    fs::write(work.join("a.txt"), "inside").unwrap();
    let digest = conductor_web::digest(&site.place.admin);
    let presented = conductor_protocol::control::Presented { digest, address: None };
    let session = site.place.control.open_session(presented.clone()).await.unwrap();
    let cookie = format!("Cookie: conductor={}", session.secret);
    let path = format!("/tasks/{id}/work/a.txt");
    assert_eq!(site.ask("GET", &path, None, &[&cookie]).await.with(200).body, "inside");
    site.ask("GET", &path, None, &[&format!("{cookie}x")]).await.with(401);
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_five_seconds_later() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    fs::write(work.join("a.txt"), "inside").unwrap();
    let red = site.viewer("red").await;
    let path = format!("/tasks/{id}/work/a.txt");
    site.get(&path, Some(&red)).await.with(200);
    site.place.control.revoke_token("red".into()).await.unwrap();
    let limit = std::time::Duration::from_secs(5);
    eventually(limit, "the token is refused", async || {
        (site.get(&path, Some(&red)).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_asks_for_very_much_at_once_waits_and_keeps_nobody_else_out() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    fs::write(work.join("a.txt"), "inside").unwrap();
    fs::File::create(work.join("large.bin")).unwrap().set_len(1 << 40).unwrap();
    let (greedy, other) = (site.viewer("red").await, site.place.admin.clone());
    let path = format!("/tasks/{id}/work/large.bin");
    let mut reads = Vec::new();
    for _ in 0..MOST_AT_ONCE {
        reads.push(site.begin(&path, &greedy).await);
    }
    // All of them come from one address here, as they do behind a proxy.
    let small = format!("/tasks/{id}/work/a.txt");
    site.get(&small, Some(&greedy)).await.with(429);
    site.get(&small, Some(&other)).await.with(200);
    site.get(&small, None).await.with(401);
    drop(reads);
    eventually(LIMIT, "there is room again", async || {
        (site.get(&small, Some(&greedy)).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_the_api_nothing_is_served() {
    let Some(site) = Site::new().await else { return };
    let (id, work) = site.run("red").await;
    fs::write(work.join("a.txt"), "inside").unwrap();
    let admin = site.place.admin.clone();
    let paths = [format!("/tasks/{id}/work/a.txt"), format!("/tasks/{id}/"), "/logs/".to_owned()];
    for path in &paths {
        site.get(path, Some(&admin)).await.with(200);
    }
    site.place.shutdown.kill();
    for path in &paths {
        let answer = eventually(LIMIT, "it is not served", async || {
            Some(site.get(path, Some(&admin)).await).filter(|answer| answer.status != 200)
        });
        let answer = answer.await.with(503);
        assert!(answer.head.contains("Retry-After") && !answer.body.contains("inside"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_foreign_host_is_misdirected() {
    let keys = [("CONDUCTOR__FILES__PUBLIC_URL", "http://files.example:8090")];
    let Some(site) = Site::with(&keys).await else { return };
    let (id, work) = site.run("red").await;
    fs::write(work.join("a.txt"), "inside").unwrap();
    let admin = site.place.admin.clone();
    for path in [format!("/tasks/{id}/work/a.txt"), format!("/tasks/{id}/"), "/".to_owned()] {
        for host in ["localhost", "127.0.0.1:8090", "files.example"] {
            site.ask_host(host, &path, &admin).await.with(200);
        }
        for host in ["evil.example", "localhost.evil.example", "192.0.2.1", "files.example.evil"] {
            site.ask_host(host, &path, &admin).await.with(421);
            let nobody = crate::place::ask_as(site.address, host, "GET", &path, None, &[], "").await.unwrap();
            nobody.with(421);
        }
    }
}
