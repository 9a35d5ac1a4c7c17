//! Task types: what the agent is told, and what it may do.

use conductor_protocol::task::State;
use conductor_testkit::models::Turn;
use serde_json::json;

use crate::place::{Cli, Place};

async fn a_review_reads_and_changes_nothing(cli: Cli) {
    let Some(place) = Place::new(cli).await else { return };
    place.server.add("look-at-this", [Turn::run("echo changed > changed.txt"), Turn::say("All is well.")]);
    let body = json!({"type": "code_review", "files": [{"path": "a.rs", "content": "fn main() {}"}]});
    let task = place.run("look-at-this", &body).await;
    assert_eq!((task.state, task.task_type.as_str()), (State::Succeeded, "code_review"), "{task:#?}");
    assert_eq!(task.prompt.as_deref(), Some("look-at-this"), "what was asked is kept as it was asked");
    let result = task.result.unwrap();
    assert_eq!(result.summary.as_deref(), Some("All is well."));
    assert!(!place.path(task.id, "work/changed.txt").exists(), "the program let its model write");
    assert!(result.flags.iter().all(|flag| flag != "changed_read_only"), "{:?}", result.flags);
    let asked = place.server.requests().iter().map(ToString::to_string).collect::<String>();
    assert!(asked.contains("Answer with your findings, the gravest first"), "the template was not told");
}

#[tokio::test]
async fn claude_reviews_without_changing_anything() {
    a_review_reads_and_changes_nothing(Cli::Claude).await;
}

#[tokio::test]
async fn codex_reviews_without_changing_anything() {
    a_review_reads_and_changes_nothing(Cli::Codex).await;
}

#[tokio::test]
async fn gemini_reviews_without_changing_anything() {
    a_review_reads_and_changes_nothing(Cli::Gemini).await;
}
