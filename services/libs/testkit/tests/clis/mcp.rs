//! The real Claude Code with `conductor mcp` as its MCP server.

use std::fs::{self, File};
use std::process::Command;

use conductor_protocol::control::ListRequest;
use conductor_protocol::task::State;
use conductor_testkit::models::Turn;
use conductor_testkit::world::within;
use serde_json::{Map, Value, json};

use crate::place::{Cli, KEY, LIMIT, Place};

/// The id in the last answer of submit that a request holds.
fn child(request: &str) -> String {
    let answer = &request[..request.rfind("repeated").expect("submit has answered")];
    let id = &answer[answer.rfind("id").expect("it answers an id") + 2..];
    let begin = id.find(|c: char| c.is_ascii_hexdigit()).expect("an id is hexadecimal");
    id[begin..begin + 36].to_owned()
}

#[tokio::test]
async fn claude_hands_work_to_the_queue_and_reads_its_result() {
    let Some(place) = Place::new(Cli::Claude).await else { return };
    place.server.add(
        "hand-it-on",
        [
            Turn::Use(
                "mcp__conductor__submit",
                |_| json!({"prompt": "print made by a child", "runner": "mock"}),
            ),
            Turn::Use("mcp__conductor__wait", |request| json!({"id": child(request), "wait_seconds": 40})),
            Turn::Use("mcp__conductor__read_output", |request| json!({"id": child(request)})),
            Turn::say("The child has done it."),
        ],
    );
    let folder = place.world.folder().join("claude");
    fs::create_dir_all(&folder).unwrap();
    let environment: Map<String, Value> =
        place.world.environment().into_iter().map(|(name, value)| (name, value.into())).collect();
    let server = json!({"command": place.world.program("conductor"), "args": ["mcp"], "env": environment});
    let (config, prompt) = (folder.join("mcp.json"), folder.join("prompt"));
    fs::write(&config, json!({"mcpServers": {"conductor": server}}).to_string()).unwrap();
    fs::write(&prompt, "Please hand-it-on.").unwrap();
    let mut claude = Command::new(Cli::Claude.folder().unwrap().join("claude"));
    claude.args(["-p", "--output-format", "json", "--strict-mcp-config", "--mcp-config"]).arg(&config);
    claude
        .args(["--allowedTools", "mcp__conductor__submit,mcp__conductor__wait,mcp__conductor__read_output"]);
    claude.env_clear().envs([
        ("HOME", folder.to_str().unwrap()),
        ("PATH", &std::env::var("PATH").unwrap()),
        ("ANTHROPIC_API_KEY", KEY),
        ("ANTHROPIC_BASE_URL", &place.server.url()),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("ENABLE_TOOL_SEARCH", "false"),
    ]);
    claude.current_dir(&folder).stdin(File::open(&prompt).unwrap());
    let ended = tokio::task::spawn_blocking(move || claude.output().unwrap());
    let ended = within(LIMIT, "claude ends", ended).await.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}\n{}", String::from_utf8_lossy(&ended.stderr));
    let result: Value = serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(result["result"], "The child has done it.", "{result}");
    let tasks = place.control.list(ListRequest::default()).await.unwrap().items;
    assert_eq!(tasks.len(), 1, "{tasks:#?}");
    assert_eq!((tasks[0].state, tasks[0].runner.as_str()), (State::Succeeded, "mock"));
    let last = place.server.requests().pop().unwrap().to_string();
    assert!(last.contains("made by a child"), "the output came back to the model: {last}");
}
