//! Coding agents that ask a person, and that are told more while they run.

use conductor_client::Error;
use conductor_core::{RequestId, TaskId};
use conductor_protocol::Code;
use conductor_protocol::control::AnswerBody;
use conductor_protocol::task::{State, TaskView, WaitingView};
use conductor_testkit::models::Turn;
use conductor_testkit::world::eventually;
use serde_json::json;

use crate::place::{Change, Cli, LIMIT, Place};

/// Waits until a task asks something else than this.
async fn asked(place: &Place, id: TaskId, not: Option<RequestId>) -> WaitingView {
    eventually(LIMIT, "a person is asked", async || {
        let task = place.control.get(id).await.unwrap();
        assert!(!task.state.is_terminal(), "{task:#?}");
        task.waiting.filter(|waiting| Some(waiting.request_id) != not)
    })
    .await
}

async fn answer(place: &Place, id: TaskId, waiting: &WaitingView, answer: AnswerBody) {
    place.control.answer(id, Some(waiting.request_id), answer).await.unwrap();
}

fn made(place: &Place, task: &TaskView, name: &str) -> bool {
    place.path(task.id, "work").join(name).exists()
}

async fn asks_a_person_and_does_what_is_allowed(cli: Cli) {
    let change = Change { slots: Some(1), ..Change::default() };
    let Some(place) = Place::with(cli, change).await else { return };
    place.server.add(
        "ask-me-first",
        [
            Turn::run("echo one > denied.txt"),
            Turn::run("echo two > allowed.txt"),
            Turn::say("I did what I was allowed."),
        ],
    );
    let id = place.submit("ask-me-first", &json!({"permission": "ask", "timeout_seconds": 60})).await;
    let first = asked(&place, id, None).await;
    let tool = if cli == Cli::Gemini { "execute" } else { "Bash" };
    assert_eq!((first.kind.as_str(), first.tool.as_deref()), ("permission", Some(tool)));
    assert!(first.text.contains("echo one > denied.txt"), "{}", first.text);
    let input: serde_json::Value = serde_json::from_str(first.input.as_ref().unwrap().get()).unwrap();
    let shown = if cli == Cli::Gemini { &input["title"] } else { &input["command"] };
    assert_eq!(shown, "echo one > denied.txt");
    let task = place.control.get(id).await.unwrap();
    assert_eq!(task.state, State::Waiting);
    let questions = place.control.questions().await.unwrap();
    assert_eq!(questions.iter().map(|task| task.id).collect::<Vec<_>>(), [id]);
    // There is one slot only, and it serves another task meanwhile.
    let other = place.submit("print meanwhile", &json!({"runner": "mock"})).await;
    assert_eq!(place.ended(other).await.state, State::Succeeded);
    answer(&place, id, &first, AnswerBody::Deny).await;
    let second = asked(&place, id, Some(first.request_id)).await;
    let old = place.control.answer(id, Some(first.request_id), AnswerBody::Allow).await.unwrap_err();
    assert!(matches!(&old, Error::Refused(problem) if problem.code == Code::Conflict), "{old:?}");
    answer(&place, id, &second, AnswerBody::Allow).await;
    let task = place.ended(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!((made(&place, &task, "denied.txt"), made(&place, &task, "allowed.txt")), (false, true));
    assert_eq!(task.result.unwrap().summary.as_deref(), Some("I did what I was allowed."));
    assert_eq!(task.attempts.len(), 1);
    let requests = place.server.requests();
    let is_told = requests.iter().any(|request| request.to_string().contains("did not allow this"));
    assert_eq!(is_told, cli == Cli::Claude, "where the protocol has room for it, it is told so");
}

#[tokio::test]
async fn claude_asks_a_person_and_does_what_is_allowed_and_not_what_is_denied() {
    asks_a_person_and_does_what_is_allowed(Cli::Claude).await;
}

#[tokio::test]
async fn gemini_asks_a_person_and_does_what_is_allowed_and_not_what_is_denied() {
    asks_a_person_and_does_what_is_allowed(Cli::Gemini).await;
}

#[tokio::test]
async fn the_adapter_of_claude_asks_a_person_and_does_what_is_allowed_and_not_what_is_denied() {
    asks_a_person_and_does_what_is_allowed(Cli::ClaudeAcp).await;
}

#[tokio::test]
async fn a_question_comes_back_when_its_agent_is_lost_while_a_person_is_asked() {
    for cli in [Cli::Claude, Cli::Gemini] {
        a_question_comes_back(cli).await;
    }
}

async fn a_question_comes_back(cli: Cli) {
    let Some(place) = Place::new(cli).await else { return };
    let ask = || Turn::run("echo one > made.txt");
    place.server.add("ask-me-again", [ask(), ask(), Turn::say("Made.")]);
    let id = place.submit("ask-me-again", &json!({"permission": "ask"})).await;
    let first = asked(&place, id, None).await;
    place.kill_the_agent().await;
    let second = asked(&place, id, Some(first.request_id)).await;
    assert!(second.text.contains("echo one > made.txt"));
    let old = place.control.answer(id, Some(first.request_id), AnswerBody::Allow).await.unwrap_err();
    assert!(matches!(&old, Error::Refused(problem) if problem.code == Code::Conflict), "{old:?}");
    assert!(!place.path(id, "work/made.txt").exists());
    answer(&place, id, &second, AnswerBody::Allow).await;
    let task = place.ended(id).await;
    assert_eq!((task.state, task.attempts.len()), (State::Succeeded, 2), "{task:#?}");
    assert!(made(&place, &task, "made.txt"));
}

#[tokio::test]
async fn what_claude_wants_to_know_is_answered_in_words() {
    let Some(place) = Place::new(Cli::Claude).await else { return };
    let questions = |_: &str| {
        let options = json!([{"label": "Red", "description": "r"}, {"label": "Blue", "description": "b"}]);
        let question = json!({"question": "Which colour?", "header": "Colour", "options": options, "multiSelect": false});
        json!({"questions": [question]})
    };
    place.server.add("ask-my-colour", [Turn::Use("AskUserQuestion", questions), Turn::say("As you wish.")]);
    let id = place.submit("ask-my-colour", &json!({"permission": "ask"})).await;
    let waiting = asked(&place, id, None).await;
    assert_eq!((waiting.kind.as_str(), waiting.text.as_str()), ("question", "Which colour? (Red, Blue)"));
    answer(&place, id, &waiting, AnswerBody::Text("Blue".into())).await;
    let task = place.ended(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    let last = place.server.requests().pop().unwrap().to_string();
    assert!(last.contains("Blue"), "{last}");
}

#[tokio::test]
async fn a_runner_that_cannot_ask_refuses_a_task_that_wants_it_to() {
    for cli in [Cli::Codex, Cli::CodexAcp] {
        let Some(place) = Place::new(cli).await else { continue };
        let task = place.run("anything", &json!({"permission": "ask"})).await;
        assert_eq!(task.state, State::Failed);
        let failure = task.failure.unwrap();
        assert!(failure.message.contains("cannot ask"), "{cli:?}: {failure:?}");
        assert!(place.server.requests().is_empty(), "no model was asked");
    }
}

/// A message to a running task is heard: by Claude while it runs, by the others as a turn after this one.
async fn a_message_is_the_next_turn(cli: Cli) {
    let Some(place) = Place::new(cli).await else { return };
    let wait = "echo begun > begun.txt; until [ -e go.txt ]; do sleep 0.05; done";
    place.server.add("begin-with-this", [Turn::run(wait), Turn::say("The first is done.")]);
    let id = place.submit("begin-with-this", &json!({})).await;
    eventually(LIMIT, "the tool is at work", async || {
        place.path(id, "work/begun.txt").exists().then_some(())
    })
    .await;
    let told = place.control.message(id, "go-on-with-that".to_owned()).await.unwrap();
    assert_eq!(told.ids, [id], "it is no new task");
    place
        .server
        .add("go-on-with-that", [Turn::run("echo more > more.txt"), Turn::say("The second is done.")]);
    std::fs::write(place.path(id, "work/go.txt"), "").unwrap();
    let task = place.ended(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(task.attempts.len(), 1);
    assert!(made(&place, &task, "more.txt"), "{task:#?}");
    assert_eq!(task.result.as_ref().unwrap().summary.as_deref(), Some("The second is done."));
    let last = place.server.requests().pop().unwrap().to_string();
    assert!(last.contains("begin-with-this") && last.contains("go-on-with-that"), "one session: {last}");
    assert_eq!(task.usage.tool_calls, 2, "{:?}", task.usage);
    let asked = u64::try_from(place.server.requests().len()).unwrap();
    let output = asked * conductor_testkit::models::OUTPUT_TOKENS;
    assert_eq!(
        task.usage.output_tokens, output,
        "all turns are counted, and once: {asked} requests of {cli:?}"
    );
    let again = place.control.message(id, "too late".to_owned()).await.unwrap();
    assert_ne!(again.ids, [id], "one that is over is gone on from by a new task");
    place.control.cancel(again.ids[0], None).await.unwrap();
}

#[tokio::test]
async fn claude_hears_a_message_while_it_runs() {
    a_message_is_the_next_turn(Cli::Claude).await;
}

#[tokio::test]
async fn codex_hears_a_message_as_its_next_turn() {
    a_message_is_the_next_turn(Cli::Codex).await;
}

#[tokio::test]
async fn one_that_speaks_the_agent_client_protocol_hears_a_message_as_its_next_turn() {
    for cli in Cli::ACP {
        a_message_is_the_next_turn(cli).await;
    }
}

#[tokio::test]
async fn gemini_hears_a_message_as_its_next_turn() {
    a_message_is_the_next_turn(Cli::Gemini).await;
}
