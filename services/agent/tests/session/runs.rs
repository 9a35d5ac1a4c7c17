//! What the orchestrator can do to runs, and what they keep.

use conductor_agent::worker::Settings;
use conductor_core::{FailureReason, TaskId};
use conductor_protocol::agent::{After, Answer, Answered, Assign, Below, End, ToAgent};
use conductor_protocol::control::AnswerBody;

use crate::agent::{Agent, home, output_log, settings};
use crate::support::{Orchestrator, lease, mock, task, welcome};

#[tokio::test]
async fn a_run_is_kept_while_there_is_no_orchestrator_and_its_word_is_said_again() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "ask Shall I?\nprint the answer came")).await;
    connection.started(1).await;
    let asked = connection.asked().await;
    drop((connection, orchestrator));
    let orchestrator = Orchestrator::start(home.path());
    let (mut connection, hello) = orchestrator.welcome(home.path()).await;
    assert_eq!((hello.held.as_slice(), hello.credits), (&[lease(1)][..], 1));
    connection.started(1).await;
    let again = connection.asked().await;
    assert_eq!((again.request_id, again.text.as_str()), (asked.request_id, "Shall I?"));
    let answer = Answered { lease: lease(1), request_id: again.request_id, answer: AnswerBody::Allow };
    connection.say(ToAgent { answers: vec![answer.clone(), answer], ..ToAgent::default() }).await;
    assert_eq!(connection.finished().await.end, End::Succeeded);
    connection.acknowledge(lease(1)).await;
    agent.drained().await;
}

#[tokio::test]
async fn an_answer_to_another_question_or_under_another_lease_is_no_answer() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "ask Which?")).await;
    let asked = connection.asked().await;
    let text = |text: &str| AnswerBody::Text(text.into());
    let answer = |number, request_id, answer| Answered { lease: lease(number), request_id, answer };
    let answers = vec![
        answer(2, asked.request_id, text("another lease")),
        answer(1, conductor_core::RequestId(7), text("another question")),
        answer(1, asked.request_id, text("the right one")),
    ];
    connection.say(ToAgent { answers, ..ToAgent::default() }).await;
    assert_eq!(connection.finished().await.end, End::Succeeded);
    let output = std::fs::read_to_string(output_log(home.path(), 1, 1)).unwrap();
    assert!(output.contains("the right one") && !output.contains("another"), "{output}");
    connection.acknowledge(lease(1)).await;
    agent.drained().await;
}

#[tokio::test]
async fn what_a_run_spends_is_told_as_it_grows_and_again_to_another_orchestrator() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "use 7 tokens\nask Shall I?\nuse 5 tokens\nhang")).await;
    let asked = connection.asked().await;
    assert_eq!(connection.spent().await, (lease(1), 7));
    let answer = Answered { lease: lease(1), request_id: asked.request_id, answer: AnswerBody::Allow };
    connection.say(ToAgent { answers: vec![answer], ..ToAgent::default() }).await;
    assert_eq!(connection.spent().await, (lease(1), 12));
    drop((connection, orchestrator));
    let orchestrator = Orchestrator::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    assert_eq!(connection.spent().await, (lease(1), 12), "it may not have been heard");
    connection.assign(mock(2, "hang")).await;
    connection.started(2).await;
    connection.end(lease(1), true).await;
    drop((connection, orchestrator));
    let orchestrator = Orchestrator::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    assert_eq!(connection.spent().await, (lease(2), 0), "also that it is nothing");
    connection.end(lease(2), true).await;
    agent.drained().await;
}

#[tokio::test]
async fn a_cancelled_run_is_reported_and_a_revoked_one_only_ends() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "hang")).await;
    connection.started(1).await;
    connection.end(lease(1), false).await;
    assert_eq!(connection.finished().await.end, End::Cancelled);
    connection.acknowledge(lease(1)).await;
    connection.assign(mock(2, "hang")).await;
    connection.started(2).await;
    connection.end(lease(2), true).await;
    let message = connection.hear().await.unwrap();
    assert_eq!(
        (message.credits, message.finished.len()),
        (1, 0),
        "its slot is free and nothing is said of it"
    );
    agent.drained().await;
}

#[tokio::test]
async fn a_run_whose_lease_is_stale_at_the_welcome_is_ended() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "hang")).await;
    connection.started(1).await;
    drop(connection);
    let (mut connection, hello) = orchestrator.accept().await;
    assert_eq!((hello.held, hello.credits), (vec![lease(1)], 1));
    let stale = conductor_protocol::agent::Welcome { stale: vec![lease(1)], ..welcome(home.path()) };
    connection.answer(Answer::Welcome(stale)).await;
    let message = connection.hear().await.unwrap();
    assert_eq!((message.credits, message.started.len(), message.finished.len()), (1, 0, 0));
    agent.drained().await;
}

#[tokio::test]
async fn the_same_task_under_a_new_lease_waits_until_the_old_run_has_left_its_folder() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "hang")).await;
    connection.started(1).await;
    let again = Assign { lease: lease(2), attempt: 2, after: Some(After::Crash), ..mock(1, "print again") };
    connection.assign(again).await;
    let finished = connection.finished().await;
    assert_eq!(
        (finished.lease, finished.end),
        (lease(2), End::Succeeded),
        "of the old run nothing is reported"
    );
    connection.acknowledge(lease(2)).await;
    agent.drained().await;
}

#[tokio::test]
async fn a_task_that_starts_from_another_finds_a_copy_of_its_work() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::start(home.path());
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "write notes.txt first")).await;
    assert_eq!(connection.finished().await.end, End::Succeeded);
    connection.acknowledge(lease(1)).await;
    let body = serde_json::json!({"prompt": "write more.txt second", "workspace": {"continue": TaskId(1).to_string()}});
    let next = Assign { starts_from: Some(TaskId(1)), ..task(2, "mock", &body) };
    connection.assign(next).await;
    let finished = connection.finished().await;
    assert_eq!(finished.end, End::Succeeded);
    let files: Vec<_> = finished.result.unwrap().files.into_iter().map(|file| file.path).collect();
    assert_eq!(files, ["more.txt", "notes.txt"]);
    connection.acknowledge(lease(2)).await;
    connection.assign(Assign { starts_from: Some(TaskId(77)), ..mock(3, "print never") }).await;
    let End::Failed(failure) = connection.finished().await.end else {
        panic!("there is no work to start from")
    };
    assert_eq!(failure.reason, FailureReason::InvalidWorkspace);
    connection.acknowledge(lease(3)).await;
    agent.drained().await;
}

#[tokio::test]
async fn a_run_that_waits_for_a_person_makes_room_for_another() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::with(Settings { slots: 1, max_waiting: 1, ..settings(home.path()) });
    let (mut connection, hello) = orchestrator.welcome(home.path()).await;
    assert_eq!((hello.slots, hello.credits), (1, 1));
    connection.assign(mock(1, "ask One?")).await;
    let first = connection.asked().await;
    connection.assign(mock(2, "ask Two?")).await;
    let second = connection.asked().await;
    assert_eq!(connection.credits(), 1, "one was granted for the first question, and none for the second");
    for (number, asked) in [(2, second), (1, first)] {
        let request_id = asked.request_id;
        let answer = Answered { lease: lease(number), request_id, answer: AnswerBody::Allow };
        connection.say(ToAgent { answers: vec![answer], ..ToAgent::default() }).await;
        assert_eq!(connection.finished().await.lease, lease(number));
        connection.acknowledge(lease(number)).await;
    }
    assert_eq!(connection.credits(), 2, "there is one slot, whatever waited");
    agent.drained().await;
}

#[tokio::test]
async fn a_run_below_which_tasks_live_lends_its_slot() {
    let home = home();
    let orchestrator = Orchestrator::start(home.path());
    let agent = Agent::with(Settings { slots: 1, max_waiting: 1, ..settings(home.path()) });
    let (mut connection, _) = orchestrator.welcome(home.path()).await;
    connection.assign(mock(1, "hang")).await;
    connection.started(1).await;
    let below = |any| ToAgent { below: vec![Below { lease: lease(1), any }], ..ToAgent::default() };
    connection.say(below(true)).await;
    connection.granted(1).await;
    connection.assign(mock(2, "print made below")).await;
    let made = connection.finished().await;
    assert_eq!((made.lease, made.end), (lease(2), End::Succeeded));
    connection.say(below(false)).await;
    connection.acknowledge(lease(2)).await;
    connection.end(lease(1), false).await;
    assert_eq!(connection.finished().await.end, End::Cancelled);
    connection.acknowledge(lease(1)).await;
    agent.drained().await;
}
