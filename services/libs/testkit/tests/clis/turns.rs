//! Turns that go well.

use conductor_protocol::task::State;
use conductor_testkit::models::{CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, Turn};
use conductor_testkit::world::eventually;
use serde_json::json;

use crate::place::{Change, Cli, KEY, LIMIT, Place};

async fn a_tool_call_leaves_a_file(cli: Cli) {
    let Some(place) = Place::new(cli).await else { return };
    place.server.add("make-a-file", [Turn::run("echo made > made.txt; env"), Turn::say("It is made.")]);
    let task = place.run("Please make-a-file.", &json!({})).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(std::fs::read_to_string(place.path(task.id, "work/made.txt")).unwrap(), "made\n");
    let result = task.result.unwrap();
    assert_eq!(result.summary.as_deref(), Some("It is made."));
    let held = result.sandbox.unwrap_or_default();
    assert!(held.starts_with("required, Landlock ABI 7, egress model"), "{held}");
    assert!(result.session_id.is_some() && result.flags.is_empty());
    assert!(!task.simulated);
    let usage = task.usage;
    assert_eq!(usage.input_tokens, 2 * (INPUT_TOKENS - CACHED_TOKENS));
    assert_eq!((usage.cached_input_tokens, usage.output_tokens), (2 * CACHED_TOKENS, 2 * OUTPUT_TOKENS));
    assert_eq!(usage.tool_calls, 1);
    // Claude Code tells what it cost; of the others it comes from a price, and the model of Codex has none here.
    let has_no_price = matches!(cli, Cli::Codex | Cli::CodexAcp);
    assert_eq!(usage.cost_usd.is_some_and(|cost| cost > 0.0), !has_no_price, "{usage:?}");
    let kinds: Vec<_> =
        place.events(task.id, 1).iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    for kind in ["message", "tool_call", "tool_result", "usage", "finished"] {
        assert!(kinds.iter().any(|known| known == kind), "{kind}: {kinds:?}");
    }
    assert!(place.path(task.id, "attempts/1/raw.ndjson").exists());
    assert!(!place.is_in_a_run_folder(KEY), "the credential is in a file of the run");
    let output = std::fs::read_to_string(place.path(task.id, "attempts/1/output.log")).unwrap();
    assert!(
        output.contains("It is made.") && !output.contains("CLAUDECODE=1\n")
            || matches!(cli, Cli::Claude | Cli::ClaudeAcp),
        "{output}"
    );
}

#[tokio::test]
async fn claude_makes_a_tool_call_and_leaves_a_file() {
    a_tool_call_leaves_a_file(Cli::Claude).await;
}

#[tokio::test]
async fn codex_makes_a_tool_call_and_leaves_a_file() {
    a_tool_call_leaves_a_file(Cli::Codex).await;
}

#[tokio::test]
async fn gemini_makes_a_tool_call_and_leaves_a_file() {
    a_tool_call_leaves_a_file(Cli::Gemini).await;
}

#[tokio::test]
async fn gemini_makes_a_tool_call_over_the_agent_client_protocol() {
    a_tool_call_leaves_a_file(Cli::GeminiAcp).await;
}

#[tokio::test]
async fn the_adapter_of_claude_makes_a_tool_call_and_leaves_a_file() {
    a_tool_call_leaves_a_file(Cli::ClaudeAcp).await;
}

#[tokio::test]
async fn the_adapter_of_codex_makes_a_tool_call_and_leaves_a_file() {
    a_tool_call_leaves_a_file(Cli::CodexAcp).await;
}

#[tokio::test]
async fn events_are_live_while_a_tool_is_at_work() {
    let Some(place) = Place::new(Cli::Codex).await else { return };
    let gate = place.world.folder().join("gate");
    let wait = format!("until [ -e {} ]; do sleep 0.05; done", gate.display());
    place.server.add("wait-for-it", [Turn::run(wait), Turn::say("Waited.")]);
    let id = place.submit("wait-for-it", &json!({})).await;
    eventually(LIMIT, "the tool call is told while it runs", async || {
        place.events(id, 1).iter().any(|event| event["type"] == "tool_call").then_some(())
    })
    .await;
    assert!(place.events(id, 1).iter().all(|event| event["type"] != "tool_result"));
    std::fs::write(gate, "").unwrap();
    assert_eq!(place.ended(id).await.state, State::Succeeded);
}

#[tokio::test]
async fn a_cost_comes_from_the_prices_where_the_program_tells_none() {
    let prices = json!({"prices": {"test-model": {"input": 1.0, "cached_input": 0.5, "output": 10.0}}});
    let change = Change { runner: prices, ..Change::default() };
    let Some(place) = Place::with(Cli::Codex, change).await else { return };
    place.server.add("just-talk", [Turn::say("Hello.")]);
    let task = place.run("just-talk", &json!({})).await;
    let cost = task.usage.cost_usd.unwrap();
    let expected = (80.0 * 1.0 + 20.0 * 0.5 + 30.0 * 10.0) / 1e6;
    assert!((cost - expected).abs() < 1e-6, "{cost}");
    assert_eq!(task.result.unwrap().flags, ["no_tool_calls"], "it only talked");
}

#[tokio::test]
async fn three_at_once_do_not_touch_each_other() {
    for cli in Cli::ALL {
        let Some(place) = Place::with(cli, Change::default()).await else { continue };
        let mut ids = Vec::new();
        for number in 1..=3 {
            let marker = format!("number-{number}-of-three");
            let turns =
                [Turn::run(format!("echo {number} > made.txt")), Turn::say(format!("Made {number}."))];
            place.server.add(&marker, turns);
            ids.push(place.submit(&marker, &json!({})).await);
        }
        let mut sessions = Vec::new();
        for (number, id) in (1..).zip(ids) {
            let task = place.ended(id).await;
            assert_eq!(task.state, State::Succeeded, "{cli:?}: {task:#?}");
            let made = std::fs::read_to_string(place.path(id, "work/made.txt")).unwrap();
            assert_eq!(made, format!("{number}\n"));
            let result = task.result.unwrap();
            assert_eq!(result.summary, Some(format!("Made {number}.")));
            sessions.push(result.session_id.unwrap());
        }
        sessions.dedup();
        assert_eq!(sessions.len(), 3, "{cli:?}");
    }
}
