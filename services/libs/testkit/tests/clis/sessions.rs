//! Sessions that go on: in a later task, and after the program died.

use conductor_core::TaskId;
use conductor_protocol::task::State;
use conductor_testkit::models::Turn;
use conductor_testkit::world::eventually;
use serde_json::json;

use crate::place::{Cli, LIMIT, Place};

async fn a_follow_up_goes_on_in_the_same_session(cli: Cli) {
    let Some(place) = Place::new(cli).await else { return };
    place.server.add("first-request", [Turn::run("echo one > one.txt"), Turn::say("The first is done.")]);
    let first = place.run("first-request", &json!({})).await;
    assert_eq!(first.state, State::Succeeded, "{first:#?}");
    place
        .server
        .add("second-request", [Turn::run("cat one.txt > two.txt"), Turn::say("The second is done.")]);
    let follow_up = place.control.message(first.id, "second-request".to_owned()).await.unwrap();
    let second = place.ended(follow_up.ids[0]).await;
    assert_eq!(second.state, State::Succeeded, "{second:#?}");
    assert_eq!(std::fs::read_to_string(place.path(second.id, "work/two.txt")).unwrap(), "one\n");
    let (before, after) = (first.result.unwrap().session_id, second.result.unwrap().session_id);
    assert_eq!(before, after, "{cli:?}: {:#?}", place.events(second.id, 1));
    let last = place.server.requests().pop().unwrap().to_string();
    assert!(
        last.contains("first-request") && last.contains("The first is done."),
        "it knows what was before"
    );
    let (before, after) = (first.usage, second.usage);
    assert_eq!(after.output_tokens, before.output_tokens, "what the first used is not counted again");
    assert_eq!(after.input_tokens, before.input_tokens);
    if let (Some(before), Some(after)) = (before.cost_usd, after.cost_usd) {
        assert!((before - after).abs() < 1e-6, "{before} {after}");
    }
}

#[tokio::test]
async fn a_follow_up_of_claude_goes_on_in_the_same_session() {
    a_follow_up_goes_on_in_the_same_session(Cli::Claude).await;
}

#[tokio::test]
async fn a_follow_up_of_codex_goes_on_in_the_same_session() {
    a_follow_up_goes_on_in_the_same_session(Cli::Codex).await;
}

#[tokio::test]
async fn a_follow_up_of_gemini_goes_on_in_the_same_session() {
    a_follow_up_goes_on_in_the_same_session(Cli::Gemini).await;
}

#[tokio::test]
async fn a_follow_up_over_the_agent_client_protocol_goes_on_in_the_same_session() {
    for cli in Cli::ACP {
        a_follow_up_goes_on_in_the_same_session(cli).await;
    }
}

#[tokio::test]
async fn gemini_goes_on_in_the_same_session_whether_it_asks_a_person_or_not() {
    let Some(place) = Place::new(Cli::Gemini).await else { return };
    let mut told = Vec::new();
    let mut before: Option<(TaskId, String)> = None;
    for (prompt, permission) in [("one-skips", "skip"), ("two-asks", "ask"), ("three-skips", "skip")] {
        place.server.add(prompt, [Turn::say(format!("Heard {prompt}."))]);
        let workspace = before.as_ref().map(|(task, _)| json!({"continue": task.to_string()}));
        let task = place.run(prompt, &json!({"permission": permission, "workspace": workspace})).await;
        assert_eq!(task.state, State::Succeeded, "{task:#?}");
        let last = place.server.requests().pop().unwrap().to_string();
        let forgotten: Vec<_> = told.iter().filter(|said: &&String| !last.contains(said.as_str())).collect();
        assert!(
            forgotten.is_empty(),
            "{prompt}: it does not know {forgotten:?} of before: {:#?}",
            place.events(task.id, 1)
        );
        told.extend([prompt.to_owned(), format!("Heard {prompt}.")]);
        let session = task.result.unwrap().session_id.unwrap();
        assert!(before.is_none_or(|(_, known)| known == session), "{prompt}");
        before = Some((task.id, session));
    }
}

/// The processes of the program itself, by its arguments.
fn program(place: &Place) -> Vec<u32> {
    let is_it = |pid: u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        match place.cli {
            Cli::Claude => line.contains("--output-format stream-json"),
            Cli::Codex => line.contains("--skip-git-repo-check"),
            Cli::Gemini => line.contains("--output-format stream-json"),
            Cli::GeminiAcp => line.contains("--acp"),
            Cli::ClaudeAcp | Cli::CodexAcp => line.contains("-acp"),
            Cli::Opencode => line.contains("opencode run"),
            Cli::Aider => line.contains("--message-file"),
        }
    };
    place.world.commands().iter().map(|found| found.pid).filter(|pid| is_it(*pid)).collect()
}

async fn a_program_that_is_killed_goes_on(cli: Cli) {
    let Some(place) = Place::new(cli).await else { return };
    let gate = place.world.folder().join("gate");
    let wait = format!("echo begun > begun.txt; until [ -e {} ]; do sleep 0.05; done", gate.display());
    place.server.add("will-be-killed", [Turn::run(wait), Turn::say("Gone on.")]);
    let id = place.submit("will-be-killed", &json!({})).await;
    eventually(LIMIT, "the tool is at work", async || {
        place.path(id, "work/begun.txt").exists().then_some(())
    })
    .await;
    let session = eventually(LIMIT, "the program is found", async || {
        let pids = program(&place);
        (!pids.is_empty()).then_some(pids)
    })
    .await;
    for pid in session {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        // A child of one that was killed before may be gone by now.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    std::fs::write(gate, "").unwrap();
    let task = place.ended(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(task.attempts.len(), 1, "it goes on within its attempt");
    assert_eq!(task.result.unwrap().summary.as_deref(), Some("Gone on."));
    let events = place.events(id, 1);
    let told = events.iter().any(|event| {
        event["type"] == "retry"
            && event["text"].as_str().is_some_and(|text| text.contains("without a result"))
    });
    assert!(told, "{events:#?}");
    let last = place.server.requests().pop().unwrap().to_string();
    assert!(last.contains("You were interrupted"), "{last}");
}

async fn one_that_is_killed_while_it_speaks_goes_on(cli: Cli) {
    let Some(place) = Place::new(cli).await else { return };
    let turns =
        [Turn::run("echo begun > begun.txt"), Turn::Trail("I was about".into()), Turn::say("Gone on.")];
    place.server.add("cut-off", turns);
    let id = place.submit("cut-off", &json!({})).await;
    eventually(LIMIT, "the model speaks and does not end", async || {
        (place.server.requests().len() >= 2).then_some(())
    })
    .await;
    let pids = eventually(LIMIT, "the program is found", async || {
        let pids = program(&place);
        (!pids.is_empty()).then_some(pids)
    })
    .await;
    for pid in pids {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    let task = place.ended(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(task.attempts.len(), 1, "it goes on within its attempt");
    assert_eq!(task.result.unwrap().summary.as_deref(), Some("Gone on."));
}

#[tokio::test]
async fn each_that_is_killed_while_it_speaks_goes_on() {
    for cli in Cli::ALL {
        one_that_is_killed_while_it_speaks_goes_on(cli).await;
    }
}

#[tokio::test]
async fn gemini_goes_on_with_its_session_when_it_is_killed() {
    a_program_that_is_killed_goes_on(Cli::Gemini).await;
}

#[tokio::test]
async fn claude_goes_on_with_its_session_when_it_is_killed() {
    a_program_that_is_killed_goes_on(Cli::Claude).await;
}

#[tokio::test]
async fn codex_goes_on_with_its_session_when_it_is_killed() {
    a_program_that_is_killed_goes_on(Cli::Codex).await;
}

#[tokio::test]
async fn each_that_speaks_the_agent_client_protocol_goes_on_with_its_session_when_it_is_killed() {
    for cli in Cli::ACP {
        a_program_that_is_killed_goes_on(cli).await;
    }
}

#[tokio::test]
async fn a_recorded_run_is_replayed() {
    a_run_is_recorded_and_replayed(Cli::Claude).await;
}

#[tokio::test]
async fn a_recorded_run_over_the_agent_client_protocol_is_replayed() {
    a_run_is_recorded_and_replayed(Cli::ClaudeAcp).await;
}

async fn a_run_is_recorded_and_replayed(cli: Cli) {
    let Some(place) = Place::new(cli).await else { return };
    place.server.add("record-me", [Turn::run("echo made > made.txt"), Turn::say("Recorded.")]);
    let first = place.run("record-me", &json!({})).await;
    let asked = place.server.requests().len();
    let more = json!({"runner": "replay", "workspace": {"continue": first.id.to_string()}});
    let again = place.run("at once", &more).await;
    assert_eq!(again.state, State::Succeeded, "{again:#?}");
    assert_eq!(again.result.unwrap().summary.as_deref(), Some("Recorded."));
    assert!(again.simulated);
    assert_eq!(again.usage, first.usage);
    let kinds = |events: Vec<serde_json::Value>| {
        events.into_iter().map(|event| event["type"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(place.events(again.id, 1)), kinds(place.events(first.id, 1)));
    assert_eq!(place.server.requests().len(), asked, "no model was asked");
}
