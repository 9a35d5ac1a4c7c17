//! The token of a running task: what it may do, on every route, and nothing else.

use conductor_protocol::Code;
use conductor_protocol::control::Presented;
use conductor_testkit::world::eventually;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::place::{Answer, LIMIT, Place};

/// A task that runs until it is let go, and its token.
struct Attempt<'a> {
    place: &'a Place,
    id: String,
    token: String,
}

impl<'a> Attempt<'a> {
    async fn begin(place: &'a Place) -> Self {
        let script = "printf %s \"$CONDUCTOR_TOKEN\" > token; printf %s \"$CONDUCTOR_URL\" > url; \
                      until [ -e go ]; do sleep 0.05; done";
        let body = json!({"command": ["sh", "-c", script], "may_submit": true, "group": "ours"});
        let id = place.submit(body).await;
        let work = place.world.home().tasks().join(&id).join("work");
        let token = eventually(LIMIT, "the task runs", async || {
            let url = std::fs::read_to_string(work.join("url")).ok().filter(|url| !url.is_empty())?;
            // Where a run has a network of its own, its way to the API is a listener in there.
            assert!(url.starts_with("http://127.0.0.1:"), "{url}");
            std::fs::read_to_string(work.join("token")).ok()
        })
        .await;
        Self { place, id, token }
    }

    fn let_go(&self) {
        std::fs::write(self.place.world.home().tasks().join(&self.id).join("work/go"), "").unwrap();
    }

    async fn get(&self, path: &str) -> Answer {
        self.place.ask("GET", path).token(&self.token).send().await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.place.ask("POST", path).token(&self.token).json(body).send().await
    }
}

/// Every operation of the document, about a task and other things that are not the attempt's.
fn operations(foreign: &str) -> Vec<(String, String, Option<Value>)> {
    let document: Value = serde_json::from_str(conductor_api::document_text()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let filled = path.replace("{id}", foreign).replace("{a}", foreign).replace("{b}", foreign);
        let filled = match path.as_str() {
            "/v1/browse/{path}" => format!("/v1/browse/tasks/{foreign}/work/"),
            _ => filled.replace("{path}", "secret.txt").replace("{name}", "one"),
        };
        for method in item.as_object().unwrap().keys() {
            let body = match (method.as_str(), path.as_str()) {
                (_, "/v1/queue/lanes/open") => Some(json!({"name": "x"})),
                ("post", "/v1/schedules") => Some(json!({"cron": "0 9 * * *", "task": {"prompt": "x"}})),
                (_, "/v1/tasks/cancel" | "/v1/tasks/retry") => Some(json!({"state": ["succeeded"]})),
                (_, "/v1/tasks/{id}/answer") => Some(json!({"answer": "yes"})),
                (_, "/v1/tasks/{id}/cancel") => Some(json!({})),
                (_, "/v1/tasks/{id}/messages") => Some(json!({"text": "go on"})),
                ("post", "/v1/tokens") => Some(json!({"name": "x", "role": "admin"})),
                ("post", "/v1/tasks") => Some(json!({"prompt": "x", "group": "theirs"})),
                ("post", "/v1/tasks/batch") => Some(json!({"tasks": [{"prompt": "x", "group": "theirs"}]})),
                _ => None,
            };
            operations.push((method.to_uppercase(), filled.clone(), body));
        }
    }
    operations
}

#[tokio::test]
async fn a_running_tasks_token_opens_nothing_but_its_own_tree() {
    let place = Place::new().await;
    let foreign = place
        .submit(json!({"prompt": "write secret.txt unspeakable; print unspeakable", "group": "ours"}))
        .await;
    place.over(&foreign).await;
    let attempt = Attempt::begin(&place).await;
    let operations = operations(&foreign);
    assert!(operations.len() >= 50, "{}", operations.len());
    // What tells nothing of tasks, and what is held to the attempt's own tree.
    let open = |method: &str, path: &str| match path {
        "/healthz" | "/readyz" | "/docs" | "/openapi.json" | "/v1/me" => true,
        "/v1/tasks" | "/v1/browse/" => method == "GET",
        // They speak other protocols, whose calls pass the same checks.
        "/mcp" | "/v1/control" => true,
        // It ends before it comes to any call: what it asks for has to be a WebSocket.
        "/v1/ws" => true,
        // Without the header of a proxy it asks of the front page.
        "/v1/authz" => true,
        _ => false,
    };
    for (method, path, body) in operations {
        let request = place.ask(&method, &path).token(&attempt.token);
        let request = match &body {
            Some(body) => request.json(body),
            None if path.starts_with("/v1/uploads") => {
                request.header("Content-Type: application/octet-stream").header("Upload-Offset: 0")
            }
            None => request,
        };
        let answer = request.send().await;
        let told = answer.text();
        assert!(!told.contains("unspeakable") && !told.contains("secret.txt"), "{method} {path}: {told}");
        match open(&method, &path) {
            true => assert!(!told.contains(&foreign), "{method} {path}: {told}"),
            false => {
                assert!([403, 404].contains(&answer.status), "{method} {path}: {} {told}", answer.status)
            }
        }
    }
    attempt.let_go();
    assert_eq!(place.over(&attempt.id).await["state"], "succeeded");
}

#[tokio::test]
async fn a_running_task_submits_below_itself_and_reads_what_comes_of_it() {
    let place = Place::new().await;
    let attempt = Attempt::begin(&place).await;
    let me = attempt.get("/v1/me").await.with(200).json();
    assert_eq!((&me["kind"], &me["attempt"]["task"]), (&json!("attempt"), &json!(attempt.id)));
    let child = attempt.post("/v1/tasks", &json!({"prompt": "print made by a child"})).await.with(201).json();
    let child = child["id"].as_str().unwrap().to_owned();
    let ended = attempt.get(&format!("/v1/tasks/{child}?wait_seconds=30")).await.with(200).json();
    assert_eq!((&ended["state"], &ended["parent"]), (&json!("succeeded"), &json!(attempt.id)));
    assert_eq!(
        (&ended["group"], &ended["created_by"]["name"]),
        (&json!("ours"), &json!(format!("task/{}", attempt.id)))
    );
    let output = attempt.get(&format!("/v1/tasks/{child}/output")).await.with(200).text();
    assert!(output.contains("made by a child"), "{output}");
    let listed = attempt.get("/v1/tasks").await.with(200).json();
    let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|task| task["id"].clone()).collect();
    assert_eq!(ids, [json!(child)], "it lists what lies below it");
    assert_eq!(place.get(&format!("/v1/tasks/{}", attempt.id)).await.json()["state"], "running");
    // Neither of itself nor of what it made may it do more than read.
    for path in [format!("/v1/tasks/{child}/retry"), format!("/v1/tasks/{}/cancel", attempt.id)] {
        attempt.post(&path, &json!({})).await.problem(403, "forbidden");
    }
    for (body, pointer) in [
        (json!({"prompt": "x", "group": "theirs"}), "/group"),
        (json!({"prompt": "x", "priority": 10}), "/priority"),
        (
            json!({"subtasks": [{"prompt": "x", "webhook": {"url": "https://a.example/"}}]}),
            "/subtasks/0/webhook",
        ),
    ] {
        let problem = attempt.post("/v1/tasks", &body).await.problem(403, "forbidden");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    let audit = place.get("/v1/audit").await.with(200).text();
    assert!(audit.contains(&format!("task/{}", attempt.id)), "{audit}");
}

#[tokio::test]
async fn a_running_tasks_token_ends_with_its_attempt() {
    let place = Place::new().await;
    let attempt = Attempt::begin(&place).await;
    let plain = place.submit(json!({"command": ["env"]})).await;
    place.over(&plain).await;
    let environment = place.get(&format!("/v1/tasks/{plain}/output")).await.with(200).text();
    assert!(
        !environment.contains("CONDUCTOR_TOKEN") && !environment.contains("CONDUCTOR_URL"),
        "{environment}"
    );
    let digest = hex::encode(Sha256::digest(&attempt.token));
    let control = place.world.connect().await;
    let opened = control.open_session(Presented { digest, address: None }).await;
    let refused = match opened {
        Err(conductor_client::Error::Refused(problem)) => problem.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused, Code::Forbidden, "it opens no session of a browser");
    attempt.let_go();
    place.over(&attempt.id).await;
    eventually(LIMIT, "the token is nobody's", async || {
        (attempt.get("/v1/me").await.status == 401).then_some(())
    })
    .await;
    attempt.post("/v1/tasks", &json!({"prompt": "x"})).await.problem(401, "unauthorized");
}
