//! Who goes first, who may go at all, and what is taken out of the queue.

use conductor_protocol::Code;
use conductor_protocol::agent::{Asked, End, FromAgent};
use conductor_protocol::control::AnswerBody;
use conductor_protocol::task::State;
use serde_json::json;

use super::server::{LIMIT, Server, assigned, reason, told_to_end};

#[tokio::test]
async fn a_paused_queue_gives_nothing_out_and_then_the_highest_priority_first() {
    let server = Server::new().await;
    server.control.pause(true).await.unwrap();
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let mut by_priority = Vec::new();
    for priority in [1, 9, 5] {
        by_priority.push((priority, server.submit(json!({"prompt": "x", "priority": priority})).await));
    }
    by_priority.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    assert_eq!(server.state(by_priority[0].1).await, State::Queued);
    assert!(server.view(by_priority[0].1).await.pending_reason.is_some());
    server.control.pause(false).await.unwrap();
    for (_, task) in by_priority {
        let assign = assigned(&mut session).await;
        assert_eq!(assign.task, task);
        session.finish([assign.lease], &End::Succeeded).await.unwrap();
        server.until(task, State::Succeeded).await;
    }
}

#[tokio::test]
async fn a_dependency_that_is_not_there_is_named_by_its_place() {
    let server = Server::new().await;
    let there = server.submit(json!({"prompt": "x"})).await.to_string();
    let nowhere = conductor_core::TaskId(77).to_string();
    let waits = |on: &[&str]| json!({"prompt": "x", "depends_on": on});
    for (tasks, pointer) in [
        (vec![waits(&[&there, &nowhere])], "/depends_on/1"),
        (vec![waits(&[&there]), waits(&[&nowhere])], "/tasks/1/depends_on/0"),
        (vec![json!({"subtasks": [waits(&[&nowhere])]})], "/subtasks/0/depends_on/0"),
    ] {
        let problem = server.try_submit(tasks, None).await.unwrap_err();
        assert_eq!((problem.code, problem.errors[0].pointer.as_str()), (Code::InvalidRequest, pointer));
        assert!(problem.errors[0].detail.contains(&nowhere), "{problem:?}");
    }
}

#[tokio::test]
async fn waiting_makes_up_for_priority_in_the_end() {
    let server = Server::with(&[("CONDUCTOR__TASKS__AGEING_SECONDS", "60")]).await;
    let old = server.submit(json!({"prompt": "x", "priority": 2})).await;
    server.advance(5 * 60);
    let new = server.submit(json!({"prompt": "x", "priority": 6})).await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    assert_eq!(assigned(&mut session).await.task, old);
    assert_eq!(server.state(new).await, State::Queued);
}

#[tokio::test]
async fn a_required_label_waits_for_an_agent_that_has_it() {
    let server = Server::new().await;
    let mut plain = server.agent("plain", 4);
    let mut session = plain.connect().await.unwrap();
    let picky = server.submit(json!({"prompt": "x", "requires": ["gpu"]})).await;
    let easy = server.submit(json!({"prompt": "x"})).await;
    assert_eq!(assigned(&mut session).await.task, easy);
    let view = server.view(picky).await;
    assert_eq!(view.state, State::Queued);
    assert!(view.pending_reason.is_some_and(|reason| reason.contains("gpu")));
    let mut able = server.labelled("able", &["gpu"]);
    let mut session = able.connect().await.unwrap();
    assert_eq!(assigned(&mut session).await.task, picky);
}

#[tokio::test]
async fn a_drained_agent_gets_nothing_until_it_is_resumed() {
    let server = Server::new().await;
    let mut agent = server.agent("one", 2);
    let mut session = agent.connect().await.unwrap();
    server.control.drain_agent("one".into(), true).await.unwrap();
    let task = server.submit(json!({"prompt": "x"})).await;
    assert_eq!(server.state(task).await, State::Queued);
    server.control.drain_agent("one".into(), false).await.unwrap();
    assert_eq!(assigned(&mut session).await.task, task);
}

#[tokio::test]
async fn a_cancel_reaches_running_and_waiting_subtasks() {
    let server = Server::new().await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let parent = server.submit(json!({"subtasks": [{"prompt": "runs"}, {"prompt": "waits"}]})).await;
    let assign = assigned(&mut session).await;
    assert_eq!(server.state(parent).await, State::Blocked);
    let ended = server.control.cancel(parent, Some("not wanted".into())).await.unwrap().ids;
    assert_eq!(ended.len(), 3, "the parent and both subtasks");
    told_to_end(&mut session, assign.lease).await;
    session.finish([assign.lease], &End::Succeeded).await.unwrap();
    for task in ended {
        assert_eq!(server.until(task, State::Cancelled).await.id, task);
    }
}

#[tokio::test]
async fn a_failed_dependency_cancels_its_dependents_or_lets_them_run_as_they_asked() {
    let server = Server::new().await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let depends_on = json!([{"ref": "first"}]);
    let run = json!({"prompt": "x", "depends_on": depends_on, "on_dependency_failure": "run"});
    let ids = server
        .try_submit(
            vec![
                json!({"prompt": "x", "ref": "first"}),
                json!({"prompt": "x", "depends_on": depends_on}),
                run,
            ],
            None,
        )
        .await
        .unwrap()
        .ids;
    let first = assigned(&mut session).await;
    assert_eq!(
        (first.task, server.state(ids[1]).await, server.state(ids[2]).await),
        (ids[0], State::Blocked, State::Blocked)
    );
    session.finish([first.lease], &super::server::failed()).await.unwrap();
    assert_eq!(reason(&server.until(ids[1], State::Cancelled).await), "dependency");
    assert_eq!(assigned(&mut session).await.task, ids[2]);
    // The record of a task that is over settles a dependency as its life did.
    let late = server.submit(json!({"prompt": "x", "depends_on": [ids[0].to_string()]})).await;
    assert_eq!(reason(&server.until(late, State::Cancelled).await), "dependency");
}

#[tokio::test]
async fn a_question_waits_for_its_answer_and_gives_up_in_the_end() {
    let server = Server::with(&[("CONDUCTOR__TASKS__WAITING_TIMEOUT_SECONDS", "60")]).await;
    let mut agent = server.agent("one", 1);
    let mut session = agent.connect().await.unwrap();
    let task = server.submit(json!({"prompt": "x"})).await;
    let lease = assigned(&mut session).await.lease;
    let request_id = "0199c000-0000-7000-8000-000000000001".parse().unwrap();
    let asked = Asked {
        lease,
        request_id,
        kind: "question".into(),
        text: "Shall I?".into(),
        tool: None,
        input: None,
    };
    session.say(FromAgent { asked: vec![asked.clone()], ..FromAgent::default() }).await.unwrap();
    let waiting = server.until(task, State::Waiting).await;
    assert_eq!(waiting.waiting.unwrap().text, "Shall I?");
    assert_eq!(server.control.questions().await.unwrap().len(), 1);
    server.control.answer(task, None, AnswerBody::Text("yes".into())).await.unwrap();
    let answers = conductor_testkit::world::within(LIMIT, "the answer comes", async {
        loop {
            let said = session.hear().await.unwrap();
            if !said.answers.is_empty() {
                return said.answers;
            }
        }
    });
    assert_eq!(answers.await[0].answer, AnswerBody::Text("yes".into()));
    server.until(task, State::Running).await;
    let request_id = "0199c000-0000-7000-8000-000000000002".parse().unwrap();
    session
        .say(FromAgent { asked: vec![Asked { request_id, ..asked }], ..FromAgent::default() })
        .await
        .unwrap();
    server.until(task, State::Waiting).await;
    server.advance(61);
    assert_eq!(reason(&server.until(task, State::Failed).await), "waiting_timeout");
}

#[tokio::test]
async fn an_idempotency_key_holds_over_a_restart_and_for_a_while_after_the_end() {
    let mut server = Server::new().await;
    let body = json!({"prompt": "once"});
    let first = server.try_submit(vec![body.clone()], Some("key")).await.unwrap();
    assert!(!first.repeated);
    server.restart(std::time::Duration::ZERO).await;
    let again = server.try_submit(vec![body.clone()], Some("key")).await.unwrap();
    assert_eq!((again.ids[0], again.repeated), (first.ids[0], true));
    let other = server.try_submit(vec![json!({"prompt": "twice"})], Some("key")).await.unwrap_err();
    assert_eq!(other.code, Code::IdempotencyConflict);
    server.control.cancel(first.ids[0], None).await.unwrap();
    server.restart(std::time::Duration::from_secs(3600)).await;
    let again = server.try_submit(vec![body.clone()], Some("key")).await.unwrap();
    assert_eq!((again.ids[0], again.repeated), (first.ids[0], true), "kept after the end");
    server.advance(24 * 3600);
    conductor_testkit::world::eventually(LIMIT, "the key is free", async || {
        let anew = server.try_submit(vec![body.clone()], Some("key")).await.unwrap();
        (anew.ids[0] != first.ids[0]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn submits_that_come_together_are_each_answered_for_themselves() {
    use conductor_protocol::control::{Call, Outcome, Submit};
    let server = Server::with(&[("CONDUCTOR__TASKS__MAX_QUEUED", "4")]).await;
    let before = server.submit(json!({"prompt": "first"})).await;
    let submit = |task: serde_json::Value, key: Option<&str>| Submit {
        tasks: vec![serde_json::value::to_raw_value(&task).unwrap()],
        key: key.map(Into::into),
    };
    let outcomes: Vec<Outcome> = server
        .control
        .ask(Call::SubmitEach(vec![
            submit(json!({"prompt": "a"}), Some("k")),
            submit(json!({"prompt": ""}), None),
            submit(json!({"prompt": "a"}), Some("k")),
            submit(json!({"prompt": "b"}), Some("k")),
            submit(json!({"prompt": "c", "depends_on": [before.to_string()]}), None),
            submit(json!({"prompt": "d"}), None),
            submit(json!({"prompt": "e"}), None),
            submit(json!({"prompt": "f"}), None),
        ]))
        .await
        .unwrap();
    let told: Vec<String> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted(submitted) => format!("accepted {}", submitted.repeated),
            Outcome::Refused(problem) => problem.code.as_str().to_owned(),
            Outcome::Alone => "alone".to_owned(),
        })
        .collect();
    let wanted = [
        "accepted false",
        "invalid_request",
        "accepted true",
        "idempotency_conflict",
        "alone",
        "accepted false",
        "accepted false",
        "queue_full",
    ];
    assert_eq!(told, wanted);
    let Outcome::Refused(problem) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(problem.errors[0].pointer, "/prompt", "as if it were alone");
    let (Outcome::Accepted(one), Outcome::Accepted(same)) = (&outcomes[0], &outcomes[2]) else {
        panic!("{outcomes:?}")
    };
    assert_eq!(one.ids, same.ids);
    let many = vec![submit(json!({"prompt": "x"}), None); 257];
    assert!(server.control.call(Call::SubmitEach(many)).await.is_err(), "there is a bound");
}
