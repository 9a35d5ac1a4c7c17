//! The real Claude Code as a task that hands work to the queue: its MCP server is `conductor mcp`, by the token of its attempt.

use conductor_protocol::control::{Filter, ListRequest};
use conductor_protocol::task::State;
use conductor_testkit::models::Turn;
use serde_json::json;

use crate::place::{Change, Cli, Place};

/// The id in the last answer of submit that a request holds.
fn child(request: &str) -> String {
    let answer = &request[..request.rfind("repeated").expect("submit has answered")];
    let id = &answer[answer.rfind("id").expect("it answers an id") + 2..];
    let begin = id.find(|c: char| c.is_ascii_hexdigit()).expect("an id is hexadecimal");
    id[begin..begin + 36].to_owned()
}

#[tokio::test]
async fn claude_hands_work_to_the_queue_and_reads_its_result() {
    let runner = json!({"env": {"ENABLE_TOOL_SEARCH": "false"}});
    let change = Change { runner, with_api: true, ..Change::default() };
    let Some(place) = Place::with(Cli::Claude, change).await else { return };
    place.server.add(
        "hand-it-on",
        [
            Turn::Use(
                "mcp__conductor__submit",
                |_| json!({"prompt": "print made by a child", "runner": "mock"}),
            ),
            Turn::Use("mcp__conductor__wait", |request| json!({"id": child(request), "wait_seconds": 40})),
            Turn::Use("mcp__conductor__read_output", |request| json!({"id": child(request)})),
            Turn::run("env"),
            Turn::say("The child has done it."),
        ],
    );
    let parent = place.run("Please hand-it-on.", &json!({"may_submit": true})).await;
    assert_eq!(parent.state, State::Succeeded, "{parent:#?}");
    assert_eq!(parent.result.unwrap().summary.as_deref(), Some("The child has done it."));
    let filter = Filter { parent: Some(parent.id.to_string()), ..Filter::default() };
    let made = place.control.list(ListRequest { filter, ..ListRequest::default() }).await.unwrap().items;
    assert_eq!(made.len(), 1, "{made:#?}");
    assert_eq!((made[0].state, made[0].runner.as_str()), (State::Succeeded, "mock"));
    let by = made[0].created_by.as_ref().unwrap();
    assert_eq!(by.name, format!("task/{}", parent.id));
    let last = place.server.requests().pop().unwrap().to_string();
    assert!(last.contains("made by a child"), "the output came back to the model: {last}");
    assert!(!place.is_in_a_run_folder("cna_"), "the token is in a file of the run");
}
