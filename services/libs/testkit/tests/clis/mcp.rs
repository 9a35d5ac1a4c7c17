//! The real coding agents as tasks that hand work to the queue: their MCP server is `conductor mcp`, by the token of the attempt.

use conductor_protocol::control::{Filter, ListRequest};
use conductor_protocol::task::State;
use conductor_testkit::models::Turn;
use serde_json::json;

use crate::place::{Change, Cli, Place};

/// The id in the last answer of submit that a request holds: the tools' descriptions say the word too.
fn child(request: &str) -> String {
    const UUID_CHARS: usize = 36;
    let is_id = |text: &str| {
        text.len() == UUID_CHARS
            && text.char_indices().all(|(at, c)| match at {
                8 | 13 | 18 | 23 => c == '-',
                _ => c.is_ascii_hexdigit(),
            })
    };
    // Quotes are escaped in a way of each program's own.
    let mut ids = request.rmatch_indices("repeated").filter_map(|(end, _)| {
        let begin = (UUID_CHARS..UUID_CHARS + 24).filter_map(|back| end.checked_sub(back));
        let mut texts = begin.filter_map(|from| request.get(from..from + UUID_CHARS));
        texts.find(|text| is_id(text))
    });
    ids.next().expect("submit has answered").to_owned()
}

type Input = fn(&str) -> serde_json::Value;

/// A task hands work to the queue and reads its result, with tools of these names.
async fn hands_work_on(cli: Cli, runner: serde_json::Value, tools: [&'static str; 3]) {
    // There is one slot, which the task lends while it waits for its child.
    let change = Change { runner, with_api: true, slots: Some(1), ..Change::default() };
    let Some(place) = Place::with(cli, change).await else { return };
    let [submit, wait, read] = tools;
    let inputs: [Input; 3] = [
        |_| json!({"prompt": "print made by a child", "runner": "mock"}),
        |request| json!({"id": child(request), "wait_seconds": 40}),
        |request| json!({"id": child(request)}),
    ];
    let turns = [
        Turn::Use(submit, inputs[0]),
        Turn::Use(wait, inputs[1]),
        Turn::Use(read, inputs[2]),
        Turn::run("env"),
        Turn::say("The child has done it."),
    ];
    place.server.add("hand-it-on", turns);
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
    let said = std::fs::read_to_string(place.path(parent.id, "attempts/1/output.log")).unwrap();
    assert!(!said.contains("unknown format"), "it complains of the tools' schemas: {said}");
    // One that may not submit is not told of the queue.
    let asked = place.server.requests().len();
    place.server.add("just-talk", [Turn::say("Hello.")]);
    place.run("just-talk", &json!({})).await;
    let requests = place.server.requests();
    assert!(!requests[asked].to_string().contains("mcp__conductor"), "{}", requests[asked]);
    assert!(!requests[asked].to_string().contains("mcp_conductor"), "{}", requests[asked]);
}

#[tokio::test]
async fn claude_hands_work_to_the_queue_and_reads_its_result() {
    let tools = ["mcp__conductor__submit", "mcp__conductor__wait", "mcp__conductor__read_output"];
    hands_work_on(Cli::Claude, json!({"env": {"ENABLE_TOOL_SEARCH": "false"}}), tools).await;
}

#[tokio::test]
async fn codex_hands_work_to_the_queue_and_reads_its_result() {
    let tools = ["mcp__conductor__submit", "mcp__conductor__wait", "mcp__conductor__read_output"];
    hands_work_on(Cli::Codex, json!({}), tools).await;
}

#[tokio::test]
async fn gemini_hands_work_to_the_queue_and_reads_its_result() {
    let tools = ["mcp_conductor_submit", "mcp_conductor_wait", "mcp_conductor_read_output"];
    hands_work_on(Cli::Gemini, json!({}), tools).await;
}
