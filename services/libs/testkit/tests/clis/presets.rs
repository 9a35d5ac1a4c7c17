//! Presets whose programs print text: what they do is seen in the work folder and in how they end.

use conductor_core::FailureReason;
use conductor_protocol::task::State;
use conductor_testkit::models::Turn;
use serde_json::json;

use crate::place::{Cli, KEY, Place};

/// What aider takes for a new file.
const EDIT: &str = "It is made.\n\nmade.txt\n```\n<<<<<<< SEARCH\n=======\nmade\n>>>>>>> REPLACE\n```\n";

fn refused() -> Turn {
    let error = json!({"type": "authentication_error", "message": "invalid x-api-key"});
    Turn::Refuse(401, json!({"type": "error", "error": error}), Vec::new())
}

async fn a_file_is_made(cli: Cli, turns: Vec<Turn>) {
    let Some(place) = Place::new(cli).await else { return };
    let asked = turns.len();
    place.server.add("make-a-file", turns);
    let task = place.run("Please make-a-file.", &json!({})).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(std::fs::read_to_string(place.path(task.id, "work/made.txt")).unwrap(), "made\n");
    let output = std::fs::read_to_string(place.path(task.id, "attempts/1/output.log")).unwrap();
    assert!(output.contains("It is made."), "{output}");
    assert_eq!(place.server.requests().len(), asked, "nothing is asked beside the turns");
    assert!(!place.is_in_a_run_folder(KEY), "the credential is in a file of the run");
    let has_the_key = task.result.unwrap().flags.iter().any(|flag| flag == "real_credential");
    assert_eq!(has_the_key, cli == Cli::Opencode, "aider asks through the gateway");
}

#[tokio::test]
async fn opencode_makes_a_tool_call_and_leaves_a_file() {
    let turns = vec![Turn::run("echo made > made.txt; env"), Turn::say("It is made.")];
    a_file_is_made(Cli::Opencode, turns).await;
}

#[tokio::test]
async fn aider_makes_an_edit_and_leaves_a_file() {
    a_file_is_made(Cli::Aider, vec![Turn::say(EDIT)]).await;
}

#[tokio::test]
async fn opencode_that_is_refused_fails_by_its_exit_code() {
    let Some(place) = Place::new(Cli::Opencode).await else { return };
    place.server.add("let-me-in", [refused()]);
    let task = place.run("let-me-in", &json!({})).await;
    assert_eq!(task.state, State::Failed, "{task:#?}");
    assert_eq!(task.failure.unwrap().reason, FailureReason::ExitCode);
}

#[tokio::test]
async fn aider_that_is_refused_is_caught_by_verify_alone() {
    let Some(place) = Place::new(Cli::Aider).await else { return };
    place.server.add("let-me-in", [refused()]);
    let task = place.run("let-me-in", &json!({})).await;
    assert_eq!(task.state, State::Succeeded, "the documents say that it ends with 0: {task:#?}");
    let task = place.run("let-me-in", &json!({"verify": ["test", "-e", "made.txt"]})).await;
    assert_eq!(task.failure.unwrap().reason, FailureReason::VerifyFailed);
}

#[tokio::test]
async fn a_review_by_aider_changes_nothing() {
    let Some(place) = Place::new(Cli::Aider).await else { return };
    place.server.add("look-at-this", [Turn::say(EDIT)]);
    let task = place.run("look-at-this", &json!({"type": "code_review"})).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert!(!place.path(task.id, "work/made.txt").exists());
}
