//! The pages, without a browser: who may see them, what they hold, and what they refuse.

use conductor_protocol::agent::{SandboxMode, SandboxView};
use conductor_protocol::control::{Filter, Groups, ListRequest, Role};
use conductor_testkit::agent;
use serde_json::json;

use super::place::{Browser, Place};

const PAGES: [&str; 10] = [
    "/",
    "/tasks",
    "/tasks/new",
    "/queue",
    "/agents",
    "/schedules",
    "/audit",
    "/settings",
    "/nowhere",
    "/live",
];

#[tokio::test(flavor = "multi_thread")]
async fn who_is_nobody_is_sent_to_the_login_and_back() {
    let place = Place::new().await;
    let id = place.submit(json!({"prompt": "print a"})).await;
    let of_task = ["", "/output", "/diff", "/json", "/archive", "/files/a.txt"]
        .map(|path| format!("/tasks/{id}{path}"));
    for path in PAGES.into_iter().map(str::to_owned).chain(of_task) {
        let answer = place.nobody().get(&path).await.with(303);
        let location = answer.header("location").unwrap();
        assert!(location.starts_with("/login?next=%2F"), "{path}: {location}");
    }
    for path in ["/tasks", "/tasks/cancel", "/queue", "/settings/tokens", "/schedules"] {
        place.nobody().post(path, &[("csrf", "")]).await.with(401);
    }
    place.nobody().get("/healthz").await.with(200);
    place.nobody().get("/login").await.with(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_a_session_and_the_logout_ends_it() {
    let place = Place::new().await;
    place.nobody().post("/login", &[("token", "cnd_wrong")]).await.with(401);
    let browser = place.log_in(&place.admin).await;
    for path in &PAGES[..8] {
        let page = browser.get(path).await.with(200);
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        assert!(!page.body.contains(" style=") && !page.body.contains(" onclick="), "{path}");
    }
    browser.get("/nowhere").await.with(404);
    let csrf = browser.csrf().await;
    browser.post("/logout", &[("csrf", &csrf)]).await.with(303);
    browser.get("/tasks").await.with(303);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_code_opens_one_session_and_is_not_used_up_by_looking() {
    let place = Place::new().await;
    let code = place.control.make_login().await.unwrap().code;
    for _ in 0..2 {
        place.nobody().get(&format!("/login?code={code}")).await.with(200);
    }
    let next = "//evil.example/";
    let answer = place.nobody().post("/login", &[("code", &code), ("next", next)]).await.with(303);
    assert_eq!(answer.header("location"), Some("/"), "nobody is led to another host");
    place.nobody().post("/login", &[("code", &code)]).await.with(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_the_sessions_token_changes_nothing() {
    let place = Place::new().await;
    let id = place.submit(json!({"prompt": "print a"})).await;
    let browser = place.log_in(&place.admin).await;
    let deeds = ["cancel", "retry", "message", "answer", "delete"].map(|deed| format!("/tasks/{id}/{deed}"));
    let others = [
        "/queue",
        "/tasks/cancel",
        "/tasks/retry",
        "/schedules",
        "/settings/tokens",
        "/settings/tokens/revoke",
        "/agents/a",
        "/logout",
    ];
    for path in others.into_iter().map(str::to_owned).chain(deeds) {
        for csrf in ["", "0123"] {
            let answer = browser.post(&path, &[("csrf", csrf), ("do", "pause"), ("name", "admin")]).await;
            assert_eq!(answer.status, 403, "{path}: {}", answer.body);
        }
    }
    browser.post_files("/tasks", &[("prompt", "print a")], &[]).await.with(403);
    browser.post_files("/tasks", &[("prompt", "print a")], &[("a.txt", b"a")]).await.with(403);
    assert!(!place.control.queue().await.unwrap().paused);
    assert_eq!(place.control.list(ListRequest::default()).await.unwrap().items.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_of_another_group_sees_nothing_of_a_task() {
    let place = Place::new().await;
    let id =
        place.submit(json!({"prompt": "print hidden-word", "name": "hidden-word", "group": "red"})).await;
    let blue = place.token("blue", Role::Viewer, Groups::Only(vec!["blue".to_owned()])).await;
    let browser = place.log_in(&blue).await;
    for tab in [
        "",
        "?tab=activity",
        "?tab=files",
        "?tab=diff",
        "?tab=details",
        "/output",
        "/diff",
        "/json",
        "/archive",
        "/files/a.txt",
    ] {
        let answer = browser.get(&format!("/tasks/{id}{tab}")).await;
        assert_eq!(answer.status, 404, "{tab}: {}", answer.body);
        assert!(!answer.body.contains("hidden-word"), "{tab}");
    }
    browser.get(&format!("/compare/{id}/{id}")).await.with(404);
    browser.get(&format!("/tasks/new?clone={id}")).await.with(404);
    for path in ["/", "/tasks", "/queue", "/tasks?q=hidden", "/agents"] {
        assert!(!browser.get(path).await.with(200).body.contains("hidden-word"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_has_no_buttons_and_what_they_would_do_is_refused() {
    let place = Place::new().await;
    let id = place.submit(json!({"prompt": "print a"})).await;
    let viewer = place.token("viewer", Role::Viewer, Groups::All).await;
    let browser = place.log_in(&viewer).await;
    let page = browser.get(&format!("/tasks/{id}")).await.with(200);
    assert!(!page.body.contains("/cancel\""), "a viewer sees the button");
    assert!(!browser.get("/settings").await.with(200).body.contains("/settings/tokens"));
    let csrf = browser.csrf().await;
    let admin = place.admin.clone();
    for (path, fields) in [
        (format!("/tasks/{id}/cancel"), vec![]),
        (format!("/tasks/{id}/pin"), vec![("do", "pin")]),
        ("/queue".to_owned(), vec![("do", "pause")]),
        ("/settings/tokens".to_owned(), vec![("name", "x"), ("role", "admin")]),
        ("/settings/tokens/revoke".to_owned(), vec![("name", admin.as_str())]),
    ] {
        let fields: Vec<_> = fields.into_iter().chain([("csrf", csrf.as_str())]).collect();
        let answer = browser.post(&path, &fields).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_is_called_is_text_on_every_page() {
    let place = Place::new().await;
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let id = place.submit(json!({"prompt": evil, "name": evil, "labels": {"a": "b"}})).await;
    let unnamed = place.submit(json!({"prompt": evil})).await;
    let browser = place.log_in(&place.admin).await;
    let tabs = ["", "?tab=activity", "?tab=files", "?tab=diff", "?tab=details"]
        .map(|tab| format!("/tasks/{id}{tab}"));
    let more =
        [format!("/tasks/{unnamed}"), format!("/compare/{id}/{unnamed}"), format!("/tasks/new?clone={id}")];
    let lists = ["/", "/tasks", "/queue", "/tasks?q=%3Cscript%3Ealert(1)", "/tasks?label=%3Cscript%3E:x"]
        .map(str::to_owned);
    for path in tabs.into_iter().chain(more).chain(lists) {
        let page = browser.get(&path).await;
        assert!(
            !page.body.contains("<script>alert") && !page.body.contains("<img src=x"),
            "{path}: {}",
            page.body
        );
    }
    assert!(
        browser.get("/tasks").await.body.matches("&#60;script&#62;alert").count() >= 2,
        "both tasks are listed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_submits_a_task_with_its_files_and_keeps_what_was_typed() {
    let place = Place::new().await;
    let browser = place.log_in(&place.admin).await;
    let csrf = browser.csrf().await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("prompt", "Fix\r\nit"),
        ("runner", "mock"),
        ("priority", "7"),
        ("timeout", "5m"),
        ("labels", "team:web"),
    ];
    let answer =
        browser.post_files("/tasks", &fields, &[("a.txt", b"hello"), ("b.bin", &[0, 255])]).await.with(303);
    let id = answer.header("location").unwrap().strip_prefix("/tasks/").unwrap().parse().unwrap();
    let task = place.control.get(id).await.unwrap();
    assert_eq!((task.prompt.as_deref(), task.priority, task.timeout_seconds), (Some("Fix\nit"), 7, 300));
    assert_eq!(task.input_files, ["a.txt", "b.bin"]);
    assert_eq!(task.labels["team"], "web");
    let bad = [("csrf", csrf.as_str()), ("prompt", "kept words"), ("timeout", "soon")];
    let answer = browser.post_files("/tasks", &bad, &[]).await.with(400);
    assert!(answer.body.contains("kept words") && answer.body.contains("timeout"));
    let escape = [("csrf", csrf.as_str()), ("prompt", "x")];
    browser.post_files("/tasks", &escape, &[("../../etc/x", b"x")]).await.with(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_may_do_without_asking_is_told_and_cloned() {
    let place = Place::new().await;
    let browser = place.log_in(&place.admin).await;
    let csrf = browser.csrf().await;
    let fields = [("csrf", csrf.as_str()), ("prompt", "x"), ("runner", "claude"), ("permission", "plan")];
    let answer = browser.post_files("/tasks", &fields, &[]).await.with(303);
    let page = answer.header("location").unwrap().to_owned();
    let details = browser.get(&format!("{page}?tab=details")).await.with(200).body;
    assert!(details.contains("<dd>read, and nothing more</dd>"), "{details}");
    let id = page.strip_prefix("/tasks/").unwrap();
    let form = browser.get(&format!("/tasks/new?clone={id}")).await.with(200).body;
    assert_eq!(form.matches("<option value=\"plan\" selected>").count(), 1, "{form}");
    let fields = [("csrf", csrf.as_str()), ("kind", "command"), ("prompt", "ls"), ("permission", "plan")];
    let refused = browser.post_files("/tasks", &fields, &[]).await.with(400);
    assert!(refused.body.contains("asks no model"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_match_are_cancelled_and_no_others() {
    let place = Place::new().await;
    for group in ["red", "red", "blue"] {
        place.submit(json!({"prompt": "print a", "group": group})).await;
    }
    let browser = place.log_in(&place.admin).await;
    let csrf = browser.csrf().await;
    let fields = [("csrf", csrf.as_str()), ("filter", "group=red")];
    let answer = browser.post("/tasks/cancel", &fields).await.with(303);
    assert_eq!(answer.header("location"), Some("/tasks?group=red&did=cancel:2"));
    let said = browser.get("/tasks?group=red&did=cancel:2").await.with(200);
    assert!(said.body.contains("2 tasks were cancelled."));
    let filter = Filter { group: Some("blue".to_owned()), ..Filter::default() };
    let left = place.control.list(ListRequest { filter, ..ListRequest::default() }).await.unwrap();
    assert!(left.items.iter().all(|task| !task.state.is_terminal()));
    // What is no filter means none, and not all.
    browser.post("/tasks/cancel", &[("csrf", &csrf), ("filter", "state=odd")]).await.with(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_task_waits_and_what_to_do_are_told_in_the_viewers_language() {
    let place = Place::new().await;
    let browser = place.log_in(&place.admin).await;
    let first = place.submit(json!({"prompt": "x"})).await;
    let second = place.submit(json!({"prompt": "x", "depends_on": [first]})).await;
    let told = async |id: &str, language: &str, text: &str| {
        let page = browser.get_in(&format!("/tasks/{id}"), language).await.with(200);
        assert!(page.body.contains(text), "{text} is not in {}", page.body);
    };
    told(&first, "en", "no agent is connected").await;
    told(&first, "ja", "接続中のエージェントがありません").await;
    told(&second, "ja", "依存先のタスク1件の終了を待っています").await;
    place.control.cancel(first.parse().unwrap(), None).await.unwrap();
    told(&second, "en", "let this one run all the same").await;
    told(&second, "ja", "依存先の失敗を確認して両方を投入し直すか").await;
    told(&second, "ja", &format!("依存先のタスク {first} が成功しませんでした")).await;
    let page = browser.get_in(&format!("/tasks/{second}"), "ja").await.body;
    assert!(!page.contains("see why it did not"), "what is told in Japanese is not told again: {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_pinned_and_let_go_on_its_page() {
    let place = Place::new().await;
    let browser = place.log_in(&place.admin).await;
    let id = place.submit(json!({"prompt": "x"})).await;
    let page = format!("/tasks/{id}");
    let csrf = browser.csrf().await;
    let set = async |what: &str| {
        let answer = browser.post(&format!("{page}/pin"), &[("csrf", &csrf), ("do", what)]).await.with(303);
        assert_eq!(answer.header("location"), Some(format!("{page}?did={what}").as_str()));
        browser.get(&page).await.with(200).body
    };
    place.control.cancel(id.parse().unwrap(), None).await.unwrap();
    assert!(browser.get(&page).await.body.contains("value=\"pin\""));
    let pinned = set("pin").await;
    assert!(pinned.contains("value=\"unpin\""));
    assert!(!pinned.contains("/delete\""), "what would be refused is not offered");
    let loose = set("unpin").await;
    assert!(loose.contains("value=\"pin\"") && loose.contains("/delete\""));
    browser.post(&format!("{page}/pin"), &[("csrf", &csrf), ("do", "nail")]).await.with(400);
    let audit = browser.get("/audit").await.with(200).body;
    assert!(audit.contains("<code>pin</code>") && audit.contains("<code>unpin</code>"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_each_runner_the_credential_and_the_sandbox_are_told() {
    let place = Place::new().await;
    let sandbox = SandboxView {
        mode: SandboxMode::Required,
        holds: vec!["files".into(), "signals".into()],
        lacks: vec!["<b>TCP</b>".into()],
        ..SandboxView::default()
    };
    let options = place.agent("ada");
    let options = agent::Options { lane: Some("KEY/1f0a77c2".into()), sandbox: Some(sandbox), ..options };
    let mut agent = agent::Agent::new(options);
    let session = agent.connect().await.unwrap();
    let browser = place.log_in(&place.admin).await;
    let page = browser.get("/agents").await.with(200).body;
    for text in [
        "title=\"KEY/1f0a77c2\"",
        "required",
        ">files</span>",
        ">signals</span>",
        "&#60;b&#62;TCP&#60;/b&#62;",
    ] {
        assert!(page.contains(text), "{text} is not in {page}");
    }
    assert!(browser.get_in("/agents", "ja").await.body.contains("必須"));
    drop(session);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_language_follows_the_browser_until_it_is_switched() {
    let place = Place::new().await;
    let mut browser = place.log_in(&place.admin).await;
    assert!(browser.get_in("/", "ja,en;q=0.5").await.body.contains("<html lang=\"ja\""));
    assert!(browser.get_in("/", "de").await.body.contains("<html lang=\"en\""));
    let answer = browser.post("/language", &[("lang", "ja"), ("back", "/tasks?q=a")]).await.with(303);
    assert_eq!(answer.header("location"), Some("/tasks?q=a"));
    let chosen = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    browser.cookie = Some(format!("{}; {chosen}", browser.cookie.unwrap()));
    let page = browser.get_in("/tasks", "en").await;
    assert!(page.body.contains("<html lang=\"ja\"") && page.body.contains("新しいタスク"));
}

/// The addresses of a page's own files.
fn files_of(page: &str) -> Vec<String> {
    let names = page.split("/assets/").skip(1).filter_map(|rest| rest.split('"').next());
    names.map(|name| format!("/assets/{name}")).collect()
}

async fn whole_size(browser: &Browser<'_>, path: &str) -> usize {
    let page = browser.get(path).await.with(200);
    let mut size = page.body.len();
    let mut files = files_of(&page.body);
    assert!(files.len() >= 3, "{files:?}");
    let folder = files[0].rsplit_once('/').unwrap().0.to_owned();
    files.extend(
        ["live.js", "keys.js", "list.js", "new.js", "output.js", "regions.js", "times.js"]
            .map(|name| format!("{folder}/{name}")),
    );
    for file in files {
        let answer = browser.get(&file).await.with(200);
        assert!(answer.header("cache-control").unwrap().contains("immutable"), "{file}");
        size += answer.body.len();
    }
    size
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_view_is_small() {
    let place = Place::new().await;
    for number in 0..100 {
        place
            .submit(
                json!({"prompt": format!("Look at module number {number} and say what is wrong with it")}),
            )
            .await;
    }
    let browser = place.log_in(&place.admin).await;
    let size = whole_size(&browser, "/").await;
    assert!(size < 150_000, "the overview has {size} bytes");
    let page = browser.get("/tasks").await.with(200);
    assert_eq!(page.body.matches("data-task=").count(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_ahead_of_its_task() {
    let place = Place::new().await;
    let browser = place.log_in(&place.admin).await;
    let csrf = browser.csrf().await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let fields = [("csrf", csrf.as_str()), ("prompt", "print a")];
    let answer =
        browser.post_files("/tasks", &fields, &[("small.txt", b"x"), ("large.bin", &large)]).await.with(303);
    let id = answer.header("location").unwrap().strip_prefix("/tasks/").unwrap().parse().unwrap();
    assert_eq!(place.control.get(id).await.unwrap().input_files, ["small.txt", "large.bin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_logs_in_every_page_says_so() {
    let place =
        Place::with(&[("CONDUCTOR__AUTH__MODE", "none"), ("CONDUCTOR__API__LISTEN", "127.0.0.1:0")]).await;
    for path in &PAGES[..8] {
        let page = place.nobody().get(path).await.with(200);
        assert!(page.body.contains("auth.mode is none"), "{path}");
    }
    place.nobody().post("/queue", &[("csrf", ""), ("do", "pause")]).await.with(303);
    assert!(place.control.queue().await.unwrap().paused);
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_path_every_address_begins_with_it() {
    let place = Place::with(&[("CONDUCTOR__PUBLIC_URL", "http://localhost/queue-of-mine/")]).await;
    let page = place.nobody().get("/queue-of-mine/tasks?q=a").await.with(303);
    assert_eq!(page.header("location"), Some("/queue-of-mine/login?next=%2Ftasks%3Fq%3Da"));
    let login = place
        .nobody()
        .post("/queue-of-mine/login", &[("token", &place.admin), ("next", "/tasks?q=a")])
        .await
        .with(303);
    assert_eq!(login.header("location"), Some("/queue-of-mine/tasks?q=a"));
    let mut browser = place.nobody();
    browser.cookie = login.header("set-cookie").unwrap().split(';').next().map(str::to_owned);
    let page = browser.get("/queue-of-mine/").await.with(200);
    for attribute in ["href=\"", "src=\"", "action=\""] {
        for address in page.body.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(address.starts_with("/queue-of-mine/") || address.starts_with('#'), "{address}");
        }
    }
}
