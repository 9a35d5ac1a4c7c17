//! Tasks: submit, read, list, change.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::place::{Place, pointers};

#[tokio::test]
async fn a_submitted_task_is_where_the_answer_says() {
    let place = Place::new().await;
    let answer = place.post("/v1/tasks", json!({"prompt": "print a", "name": "first"})).await.with(201);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(format!("/v1/tasks/{id}").as_str()));
    let task = place.over(&id).await;
    assert_eq!((task["state"].as_str(), task["name"].as_str()), (Some("succeeded"), Some("first")));
    assert_eq!(task["created_by"]["via"], "http");
    place.ask("DELETE", &format!("/v1/tasks/{id}")).send().await.with(204);
    place.get(&format!("/v1/tasks/{id}")).await.problem(404, "not_found");
    place.get("/v1/tasks/nonsense").await.problem(404, "not_found");
}

#[tokio::test]
async fn the_same_key_gives_the_same_task_and_another_body_a_conflict() {
    let place = Place::new().await;
    let submit = |body: &'static str, token: String| {
        let request = place.ask("POST", "/v1/tasks").token(&token).header("Idempotency-Key: build-7");
        request.header("Content-Type: application/json").body(body).send()
    };
    let first = submit(r#"{"prompt":"print a","priority":5}"#, place.admin.clone()).await.with(201);
    let again = submit(r#"{ "priority": 5, "prompt": "print a" }"#, place.admin.clone()).await.with(200);
    assert_eq!(first.json()["id"], again.json()["id"]);
    submit(r#"{"prompt":"print b"}"#, place.admin.clone()).await.problem(409, "idempotency_conflict");
    // A key is the token's own.
    let other = place.token("other", conductor_protocol::control::Role::Operator, &[]).await;
    let theirs = submit(r#"{"prompt":"print b"}"#, other).await.with(201);
    assert_ne!(first.json()["id"], theirs.json()["id"]);
}

#[tokio::test]
async fn a_batch_is_accepted_or_refused_as_one() {
    let place = Place::new().await;
    place.post("/v1/queue/pause", json!({})).await.with(204);
    let bad = json!({"tasks": [{"prompt": "print a"}, {"prompt": "print b", "priority": 11}]});
    let problem = place.post("/v1/tasks/batch", bad).await.problem(400, "invalid_request");
    assert_eq!(pointers(&problem), ["/tasks/1/priority"]);
    let alone = place
        .post("/v1/tasks/batch", json!({"tasks": [{"prompt": ""}]}))
        .await
        .problem(400, "invalid_request");
    assert_eq!(pointers(&alone), ["/tasks/0/prompt"]);
    assert_eq!(place.get("/v1/tasks").await.json()["items"], json!([]));
    let many = |count: usize| json!({"tasks": vec![json!({"prompt": "print a"}); count]});
    let problem = place.post("/v1/tasks/batch", many(1_001)).await.problem(400, "invalid_request");
    assert_eq!(pointers(&problem), ["/tasks"]);
    place.post("/v1/tasks/batch", many(0)).await.problem(400, "invalid_request");
    let items = place.post("/v1/tasks/batch", many(1_000)).await.with(201).json();
    let ids: HashSet<&str> =
        items["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 1_000);
}

#[tokio::test]
async fn what_a_route_would_not_heed_is_refused() {
    let place = Place::new().await;
    let id = place.run("print a").await;
    for path in ["/v1/queue/pause", "/v1/agents/one/drain", &format!("/v1/tasks/{id}/retry")] {
        let problem = place.post(path, json!({"group": "red"})).await.problem(400, "invalid_request");
        assert_eq!(pointers(&problem), ["/group"], "{path}");
    }
    assert_eq!(place.get("/v1/queue").await.json()["paused"], false);
    // As curl sends nothing with `-d ''`.
    let empty =
        place.ask("POST", "/v1/queue/pause").header("Content-Type: application/x-www-form-urlencoded");
    empty.body("").send().await.with(204);
    assert_eq!(place.get("/v1/queue").await.json()["paused"], true);
}

#[tokio::test]
async fn a_bad_body_is_refused_with_the_place_of_its_fault() {
    let place = Place::new().await;
    let send = async |body: &str| {
        let request = place.ask("POST", "/v1/tasks").header("Content-Type: application/json");
        request.body(body).send().await.problem(400, "invalid_request")
    };
    assert_eq!(pointers(&send(r#"{"prompt":"x","promt":"y"}"#).await), ["/promt"]);
    assert_eq!(
        pointers(&send(r#"{"prompt":"x","retry":{"max_attempts":"3"}}"#).await),
        ["/retry/max_attempts"]
    );
    assert_eq!(pointers(&send(r#"["print hello"]"#).await), [""]);
    assert_eq!(pointers(&send(r#"{"prompt":"x","retry":[3,1]}"#).await), ["/retry"]);
    assert_eq!(pointers(&send(r#"{"prompt":"x","workspace":{}}"#).await), ["/workspace"]);
    assert_eq!(
        pointers(&send(r#"{"prompt":"x","files":[{"path":".","content":""}]}"#).await),
        ["/files/0/path"]
    );
    assert!(send("{\"prompt\":").await["detail"].as_str().unwrap().contains("not JSON"));
    assert!(send("").await["detail"].as_str().unwrap().contains("empty"));
    assert!(send(&"[".repeat(10_000)).await["detail"].as_str().unwrap().contains("deep"));
    let invalid = place.ask("POST", "/v1/tasks").header("Content-Type: application/json");
    let problem =
        invalid.body(b"{\"prompt\":\"\xff\"}".to_vec()).send().await.problem(400, "invalid_request");
    assert!(problem["detail"].as_str().unwrap().contains("UTF-8"));
    let form = place.ask("POST", "/v1/tasks").header("Content-Type: application/x-www-form-urlencoded");
    form.body("{\"prompt\":\"x\"}").send().await.problem(400, "invalid_request");
    let large = format!("{{\"prompt\":\"{}\"}}", "x".repeat(17 << 20));
    let large = place.ask("POST", "/v1/tasks").header("Content-Type: application/json").body(large);
    large.send().await.problem(413, "payload_too_large");
}

#[tokio::test]
async fn unknown_and_bad_parameters_are_refused_by_name() {
    let place = Place::new().await;
    for (query, pointer) in [
        ("stat=queued", "/stat"),
        ("state=quued", "/state"),
        ("limit=0", "/limit"),
        ("limit=501", "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("sort=size", "/sort"),
        ("after=yesterday", "/after"),
        ("label=a", "/label"),
        ("min_cost=-1", "/min_cost"),
        ("failure=bad_luck", "/failure"),
    ] {
        let problem = place.get(&format!("/v1/tasks?{query}")).await.problem(400, "invalid_request");
        assert_eq!(pointers(&problem), [pointer], "{query}");
    }
    place.get("/v1/tasks?cursor=nonsense").await.problem(400, "invalid_request");
    place.get("/v1/queue?x=1").await.problem(400, "invalid_request");
}

#[tokio::test]
async fn pages_stay_right_while_tasks_arrive() {
    let place = Place::new().await;
    place.post("/v1/queue/pause", json!({})).await.with(204);
    let mut there = Vec::new();
    for number in 0..10 {
        there.push(place.submit(json!({"prompt": "print a", "name": format!("n{number}")})).await);
    }
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let query = cursor.as_ref().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = place.get(&format!("/v1/tasks?limit=3{query}")).await.with(200).json();
        assert!(page["as_of_seq"].as_u64().unwrap() > 0);
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()),
        );
        // One more arrives before each page.
        place.submit(json!({"prompt": "print b"})).await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    there.reverse();
    assert_eq!(seen, there);
    let named = place.get("/v1/tasks?name=n3&state=queued,running").await.with(200).json();
    assert_eq!(named["items"][0]["name"], "n3");
}

#[tokio::test]
async fn tasks_are_cancelled_and_repeated_by_filter() {
    let place = Place::new().await;
    place.post("/v1/queue/pause", json!({})).await.with(204);
    for group in ["a", "a", "b"] {
        place.submit(json!({"prompt": "print a", "group": group})).await;
    }
    place.post("/v1/tasks/cancel", json!({})).await.problem(400, "invalid_request");
    place.post("/v1/tasks/cancel", json!({"groop": "a"})).await.problem(400, "invalid_request");
    let ended = place.post("/v1/tasks/cancel", json!({"group": "a"})).await.with(200).json();
    assert_eq!(ended["count"], 2);
    let left = place.get("/v1/tasks?state=queued").await.json();
    assert_eq!(left["items"].as_array().unwrap().len(), 1);
    let new = place.ask("POST", "/v1/tasks/retry?group=a&state=cancelled").send().await.with(200).json();
    assert_eq!((new["count"].as_u64(), new["ids"].as_array().map(Vec::len)), (Some(2), Some(2)));
}

#[tokio::test]
async fn a_task_is_cancelled_repeated_and_gone_on_from() {
    let place = Place::new().await;
    let id = place.submit(json!({"prompt": "hang"})).await;
    let ended =
        place.post(&format!("/v1/tasks/{id}/cancel"), json!({"reason": "not needed"})).await.with(200).json();
    assert_eq!(ended["ids"], json!([id]));
    assert_eq!(place.over(&id).await["state"], "cancelled");
    place.ask("POST", &format!("/v1/tasks/{id}/cancel")).send().await.problem(409, "conflict");
    let done = place.run("write a.txt one").await;
    let again = place.ask("POST", &format!("/v1/tasks/{done}/retry")).send().await.with(201);
    let again = again.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(place.over(&again).await["retry_of"], done.as_str());
    let next =
        place.post(&format!("/v1/tasks/{done}/messages"), json!({"text": "print more"})).await.with(201);
    let next = place.over(next.json()["id"].as_str().unwrap()).await;
    assert_eq!(
        (next["continues"].as_str(), next["prompt"].as_str()),
        (Some(done.as_str()), Some("print more"))
    );
    place
        .post(&format!("/v1/tasks/{done}/messages"), json!({"text": "x", "y": 1}))
        .await
        .problem(400, "invalid_request");
}

#[tokio::test]
async fn a_runner_without_a_session_takes_no_message_while_it_runs() {
    let place = Place::new().await;
    let id = place.submit(json!({"prompt": "ask Which one?"})).await;
    conductor_testkit::world::eventually(crate::place::LIMIT, "it waits", async || {
        let task = place.get(&format!("/v1/tasks/{id}")).await.json();
        (task["state"] == "waiting").then_some(())
    })
    .await;
    let refused = place.post(&format!("/v1/tasks/{id}/messages"), json!({"text": "and more"})).await;
    let problem = refused.problem(409, "conflict");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("mock takes no message while it runs"), "{detail}");
    place.post(&format!("/v1/tasks/{id}/cancel"), json!({})).await.with(200);
}

#[tokio::test]
async fn a_question_is_listed_and_answered() {
    let place = Place::new().await;
    let id = place.submit(json!({"prompt": "ask Which one?"})).await;
    let question = conductor_testkit::world::eventually(crate::place::LIMIT, "a question", async || {
        let questions = place.get("/v1/questions").await.with(200).json();
        questions["items"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!(
        (question["id"].as_str(), question["waiting"]["text"].as_str()),
        (Some(id.as_str()), Some("Which one?"))
    );
    let bad = json!({"answer": "x", "request_id": "01920000-0000-7000-8000-000000000001"});
    place.post(&format!("/v1/tasks/{id}/answer"), bad).await.problem(409, "conflict");
    place.post(&format!("/v1/tasks/{id}/answer"), json!({"answer": {"text": "the second"}})).await.with(204);
    assert_eq!(place.over(&id).await["state"], "succeeded");
    place.post(&format!("/v1/tasks/{id}/answer"), json!({"answer": "allow"})).await.problem(409, "conflict");
}

#[tokio::test]
async fn everything_else_answers() {
    let place = Place::new().await;
    let name = conductor_testkit::world::eventually(crate::place::LIMIT, "an agent", async || {
        let agents = place.get("/v1/agents").await.with(200).json();
        agents["items"][0]["name"].as_str().map(ToOwned::to_owned)
    })
    .await;
    assert_eq!(place.get(&format!("/v1/agents/{name}")).await.with(200).json()["name"], name.as_str());
    place.get("/v1/agents/nobody").await.problem(404, "not_found");
    place.ask("POST", &format!("/v1/agents/{name}/drain")).send().await.with(204);
    assert_eq!(place.get(&format!("/v1/agents/{name}")).await.json()["state"], "draining");
    place.ask("POST", &format!("/v1/agents/{name}/resume")).send().await.with(204);
    place.submit(json!({"prompt": "hang"})).await;
    let queue = place.get("/v1/queue").await.with(200).json();
    assert!(queue["by_state"].is_object() && queue["slots"].is_u64(), "{queue}");
    for path in
        ["/v1/stats", "/v1/stats/trends?seconds=3600&step_seconds=60", "/v1/audit?limit=5", "/v1/runners"]
    {
        place.get(path).await.with(200).json();
    }
    let schedule = json!({"cron": "0 9 * * *", "task": {"prompt": "print a"}});
    let added = place.post("/v1/schedules", schedule).await.with(201);
    let path = added.header("location").unwrap().to_owned();
    assert_eq!(place.get(&path).await.with(200).json()["id"], added.json()["id"]);
    assert_eq!(place.get("/v1/schedules").await.json()["items"].as_array().unwrap().len(), 1);
    place.ask("DELETE", &path).send().await.with(204);
    place.get(&path).await.problem(404, "not_found");
    let problem = place
        .post("/v1/schedules", json!({"cron": "0 9 * * *", "task": {}}))
        .await
        .problem(400, "invalid_request");
    assert_eq!(pointers(&problem), ["/task/prompt"]);
    let page = place.get("/docs").await.with(200).text();
    assert!(
        page.contains("/v1/tasks/{id}/output") && !page.contains("http://"),
        "the page is whole and asks nobody"
    );
    let document: Value = place.get("/openapi.json").await.with(200).json();
    assert_eq!(document["openapi"].as_str().map(|version| version.starts_with("3.1")), Some(true));
}

#[tokio::test]
async fn submits_that_arrive_at_once_each_get_their_own_answer() {
    let place = Place::new().await;
    let first = place.submit(json!({"prompt": "print a"})).await;
    let viewer = place.token("watcher", conductor_protocol::control::Role::Viewer, &[]).await;
    let red = place.token("red", conductor_protocol::control::Role::Operator, &["red"]).await;
    let send = |kind: usize| {
        let request = place.ask("POST", "/v1/tasks");
        let (request, body) = match kind % 6 {
            0 => (request, json!({"prompt": "print a"})),
            1 => (request, json!({"prompt": "print a", "priority": 11})),
            2 => (request.token(&viewer), json!({"prompt": "print a"})),
            3 => (request.token(&red), json!({"prompt": "print a"})),
            4 => (request, json!({"prompt": "print a", "depends_on": [first]})),
            _ => (request.header("Idempotency-Key: the-same"), json!({"prompt": "print a"})),
        };
        request.json(&body).send()
    };
    let answers = futures_util::future::join_all((0..60).map(send)).await;
    let (mut ids, mut same, mut made) = (HashSet::new(), HashSet::new(), 0);
    for (number, answer) in answers.into_iter().enumerate() {
        match number % 6 {
            1 => assert_eq!(pointers(&answer.problem(400, "invalid_request")), ["/priority"]),
            2 => drop(answer.problem(403, "forbidden")),
            5 => {
                made += usize::from(answer.status == 201);
                assert!(matches!(answer.status, 200 | 201), "{answer:?}");
                same.insert(answer.json()["id"].to_string());
            }
            _ => assert!(ids.insert(answer.with(201).json()["id"].to_string())),
        }
    }
    assert_eq!((ids.len(), same.len(), made), (30, 1, 1));
    let reds = place.get("/v1/tasks?group=red").await.json();
    let makers = reds["items"].as_array().unwrap().iter().map(|task| &task["created_by"]["name"]);
    assert!(makers.eq(std::iter::repeat_n("red", 10)), "nobody submits in another's name");
}

#[tokio::test]
async fn subtasks_are_listed_by_their_parent() {
    let place = Place::new().await;
    let parent = place.submit(json!({"subtasks": [{"prompt": "print a"}, {"prompt": "print b"}]})).await;
    let below = place.get(&format!("/v1/tasks?parent={parent}")).await.with(200).json();
    assert_eq!(below["items"].as_array().unwrap().len(), 2);
    assert_eq!(below["items"][0]["parent"], parent.as_str());
    let problem = place.get("/v1/tasks?parent=nonsense").await.problem(400, "invalid_request");
    assert_eq!(pointers(&problem), ["/parent"]);
}
