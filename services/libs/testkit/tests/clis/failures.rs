//! Turns that do not go well: limits, overload, credentials, silence, and ends without a result.

use conductor_core::FailureReason;
use conductor_protocol::task::{State, TaskView};
use conductor_testkit::models::Turn;
use conductor_testkit::world::eventually;
use serde_json::{Value, json};

use crate::place::{Change, Cli, LIMIT, Place};

/// A reset is told to the minute by some, and the rest is counted from when the run ended.
const NEAR_SECONDS: i64 = 120;

fn refused(status: u16, kind: &str, message: &str) -> Turn {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    Turn::Refuse(status, body, Vec::new())
}

fn gemini_refused(code: u16, status: &str, message: &str) -> Turn {
    let body = json!({"error": {"code": code, "message": message, "status": status}});
    Turn::Refuse(code, body, Vec::new())
}

fn reason(task: &TaskView) -> FailureReason {
    assert_eq!(task.state, State::Failed, "{task:#?}");
    task.failure.as_ref().unwrap().reason
}

/// Waits until an attempt was given back unspent, and the task waits.
async fn limited(place: &Place, prompt: &str) -> TaskView {
    let id = place.submit(prompt, &json!({})).await;
    eventually(LIMIT, "the task waits for its credential or service", async || {
        let task = place.control.get(id).await.unwrap();
        let is_over = task.attempts.first().is_some_and(|attempt| attempt.state == "limited");
        assert_ne!(task.state, State::Failed, "{task:#?}");
        is_over.then_some(task)
    })
    .await
}

/// The task says until when it rests, which is not far from an instant in seconds since 1970.
fn rests_until(task: &TaskView, instant: i64) {
    assert_eq!(task.state, State::Scheduled, "{task:#?}");
    let until = task.pending.as_ref().unwrap().value("until");
    assert!(task.pending_reason.as_ref().unwrap().contains(until), "{task:#?}");
    let at = conductor_protocol::text::parse_rfc3339(until).unwrap();
    assert!((at.0 / 1_000 - instant).abs() <= NEAR_SECONDS, "{until} is not about {instant}");
}

#[tokio::test]
async fn claude_waits_until_a_limit_that_it_reported_is_over() {
    let change = Change { credential: Some("CLAUDE_CODE_OAUTH_TOKEN"), ..Change::default() };
    let Some(place) = Place::with(Cli::Claude, change).await else { return };
    let reset = conductor_runtime::clock::Clock::System.now().wall_ms / 1_000 + 3_600;
    let headers = vec![
        ("retry-after", "3600".to_owned()),
        ("anthropic-ratelimit-unified-status", "rejected".to_owned()),
        ("anthropic-ratelimit-unified-reset", reset.to_string()),
        ("anthropic-ratelimit-unified-5h-reset", reset.to_string()),
        ("anthropic-ratelimit-unified-5h-utilization", "1.0".to_owned()),
        ("anthropic-ratelimit-unified-representative-claim", "five_hour".to_owned()),
    ];
    let body = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "limit"}});
    place.server.add("over-the-limit", [Turn::Refuse(429, body, headers)]);
    let task = limited(&place, "over-the-limit").await;
    let limits: Vec<_> =
        place.events(task.id, 1).into_iter().filter(|event| event["type"] == "limit").collect();
    assert!(limits.iter().any(|event| event["resets_at"] == json!(reset)), "{limits:?}");
    rests_until(&task, reset);
}

#[tokio::test]
async fn codex_waits_until_a_limit_is_over_that_it_tells_in_words() {
    let Some(place) = Place::new(Cli::Codex).await else { return };
    let now = conductor_runtime::clock::Clock::System.now().wall_ms / 1_000;
    let error = json!({"type": "usage_limit_reached", "message": "limit", "plan_type": "pro", "resets_at": now + 90_000});
    place.server.add("used-up", [Turn::Refuse(429, json!({"error": error}), Vec::new())]);
    let task = limited(&place, "used-up").await;
    let told = place.events(task.id, 1);
    assert!(told.iter().any(|event| event.to_string().contains("ry again at")), "{told:?}");
    // It is the longest rest of a credential that this passes.
    rests_until(&task, now + 86_400);
}

/// Each in a world of its own: Gemini alone tries for a quarter of a minute before it says so.
async fn they_give_the_attempt_back(cli: Cli, turns: impl IntoIterator<Item = Turn>) {
    for turn in turns {
        let Some(place) = Place::new(cli).await else { return };
        place.server.add("not-now", [turn.clone()]);
        let task = limited(&place, "not-now").await;
        assert_eq!(task.attempts.len(), 1, "{cli:?} {turn:?}: {task:#?}");
    }
}

#[tokio::test]
async fn a_limit_of_claude_without_a_reset_and_overload_give_the_attempt_back() {
    let limit = refused(429, "rate_limit_error", "This request would exceed your rate limit.");
    let overload = refused(529, "overloaded_error", "Overloaded");
    they_give_the_attempt_back(Cli::Claude, [limit, overload, Turn::Cut("in the midd".into())]).await;
}

#[tokio::test]
async fn a_limit_of_codex_without_a_reset_and_overload_give_the_attempt_back() {
    let limit = refused(429, "rate_limit_exceeded", "Rate limit reached.");
    let overload = refused(503, "server_error", "overloaded");
    they_give_the_attempt_back(Cli::Codex, [limit, overload, Turn::Cut("in the midd".into())]).await;
}

#[tokio::test]
async fn a_limit_of_gemini_without_a_reset_gives_the_attempt_back() {
    let limit = gemini_refused(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted.");
    they_give_the_attempt_back(Cli::Gemini, [limit]).await;
}

#[tokio::test]
async fn an_overload_of_gemini_gives_the_attempt_back() {
    let overload = gemini_refused(503, "UNAVAILABLE", "The model is overloaded.");
    they_give_the_attempt_back(Cli::Gemini, [overload]).await;
}

#[tokio::test]
async fn a_refused_credential_ends_the_task_as_auth_with_a_hint() {
    let gemini = json!({"error": {
        "code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
    }});
    for (cli, turn) in [
        (Cli::Claude, refused(401, "authentication_error", "invalid x-api-key")),
        (Cli::Codex, refused(401, "invalid_request_error", "Incorrect API key provided")),
        (Cli::Gemini, Turn::Refuse(400, gemini, Vec::new())),
    ] {
        let Some(place) = Place::new(cli).await else { continue };
        place.server.add("let-me-in", [turn]);
        let task = place.run("let-me-in", &json!({})).await;
        assert_eq!(reason(&task), FailureReason::Auth, "{cli:?}");
        let hint = task.failure.unwrap().hint.unwrap();
        assert!(hint.contains("conductor secret set"), "{hint}");
    }
}

#[tokio::test]
async fn what_can_never_be_served_fails_at_once() {
    let Some(place) = Place::new(Cli::Claude).await else { return };
    place.server.add("bad-request", [refused(400, "invalid_request_error", "messages.0: bad")]);
    let more = json!({"retry": {"max_attempts": 3}});
    let task = place.run("bad-request", &more).await;
    assert_eq!(reason(&task), FailureReason::InvalidRequest);
    assert_eq!(task.attempts.len(), 1);
}

#[tokio::test]
async fn a_session_that_grew_too_long_is_begun_anew_once() {
    let Some(place) = Place::new(Cli::Claude).await else { return };
    let full = refused(400, "invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum");
    place.server.add("so-long", [full.clone(), Turn::say("Shorter now.")]);
    let task = place.run("so-long", &json!({})).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    place.server.add("always-too-long", [full]);
    let task = place.run("always-too-long", &json!({})).await;
    assert_eq!(reason(&task), FailureReason::ContextOverflow);
    assert_eq!(task.attempts.len(), 2);
}

#[tokio::test]
async fn too_many_turns_end_a_run() {
    for cli in [Cli::Claude, Cli::Codex] {
        let Some(place) = Place::new(cli).await else { continue };
        place.server.add("on-and-on", [Turn::run("true")]);
        let task = place.run("on-and-on", &json!({"max_turns": 2})).await;
        assert_eq!(reason(&task), FailureReason::MaxTurns, "{cli:?}");
    }
}

#[tokio::test]
async fn silence_is_a_stall_and_a_long_tool_is_not() {
    let change = Change { runner: json!({"stall_seconds": 4}), ..Change::default() };
    let Some(place) = Place::with(Cli::Codex, change).await else { return };
    place.server.add("say-nothing", [Turn::Hang]);
    let task = place.run("say-nothing", &json!({})).await;
    assert_eq!(reason(&task), FailureReason::Stalled);
    place.server.add("long-build", [Turn::run("sleep 7; echo built > built.txt"), Turn::say("Built.")]);
    let task = place.run("long-build", &json!({})).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
}

#[tokio::test]
async fn a_program_without_a_result_and_without_a_session_fails_with_what_it_said() {
    let command = json!({"command": ["sh", "-c", "echo nothing works >&2; exit 3"]});
    let change = Change { runner: command, ..Change::default() };
    let Some(place) = Place::with(Cli::Claude, change).await else { return };
    let task = place.run("x", &json!({})).await;
    assert_eq!(reason(&task), FailureReason::RunnerError);
    assert!(task.failure.unwrap().message.contains("nothing works"));
}

#[tokio::test]
async fn a_stream_that_ends_without_a_result_goes_on_once_and_then_fails() {
    let init = r#"{"type":"system","subtype":"init","session_id":"s-1"}"#;
    let script = format!("echo '{init}'; echo begun >> begun.txt");
    let change = Change { runner: json!({"command": ["sh", "-c", script]}), ..Change::default() };
    let Some(place) = Place::with(Cli::Claude, change).await else { return };
    let task = place.run("x", &json!({})).await;
    assert_eq!(reason(&task), FailureReason::NoResult);
    let begun = std::fs::read_to_string(place.path(task.id, "work/begun.txt")).unwrap();
    assert_eq!(begun.lines().count(), 2, "it was started twice");
}

#[tokio::test]
async fn a_command_that_is_missing_is_named() {
    let Some(place) = Place::new(Cli::Claude).await else { return };
    let turns = [Turn::run("no-such-tool --help"), refused(400, "invalid_request_error", "bad")];
    place.server.add("use-a-tool", turns);
    let task = place.run("use-a-tool", &json!({})).await;
    let hint = task.failure.unwrap().hint.unwrap();
    assert!(hint.contains("no-such-tool"), "{hint}");
}

#[tokio::test]
async fn a_result_stands_whatever_still_holds_the_pipes() {
    let result =
        r#"{"type":"result","subtype":"success","is_error":false,"result":"done","total_cost_usd":0.5}"#;
    let script = format!("echo '{result}'; sleep 600 & sleep 600");
    let runner: Value = json!({"command": ["sh", "-c", script], "result_grace_seconds": 1});
    let Some(place) = Place::with(Cli::Claude, Change { runner, ..Change::default() }).await else { return };
    let task = place.run("x", &json!({})).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(task.usage.cost_usd, Some(0.5));
    assert!(place.world.commands().is_empty(), "what it left is ended");
}
