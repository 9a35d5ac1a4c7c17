//! The parsers on what the real programs printed, recorded against model servers on loopback.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;

fn parser(name: &str) -> Parser {
    Parser::new(match name.split('-').next() {
        Some("claude") => RunnerOutput::ClaudeStreamJson,
        Some("codex") => RunnerOutput::CodexJsonl,
        Some("gemini") => RunnerOutput::GeminiStreamJson,
        Some("acp") => RunnerOutput::Acp,
        other => panic!("whose recording is {other:?}?"),
    })
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/runner/program/parse/fixtures")
}

/// The events of a recording, and what is known at its end.
fn read(name: &str) -> (Vec<Event>, Known) {
    let text = std::fs::read_to_string(folder().join(format!("{name}.ndjson"))).unwrap();
    let mut parser = parser(name);
    parser.begin_turn("");
    let mut events: Vec<_> = text.lines().flat_map(|line| parser.line(line)).collect();
    events.extend(parser.finish());
    (events, parser.known().clone())
}

#[test]
fn recordings_are_read_as_they_were() {
    let mut names: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    let mut told = String::new();
    for name in names {
        let (events, known) = read(&name);
        writeln!(told, "== {name}").unwrap();
        for event in events {
            writeln!(told, "{}", serde_json::to_string(&event).unwrap()).unwrap();
        }
        writeln!(told, "{known:?}\n").unwrap();
    }
    insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("recordings", told);
    });
}

#[test]
fn every_failure_has_its_class() {
    for (name, class) in [
        ("claude-overloaded", Class::Overload),
        ("claude-limit", Class::Limit),
        ("claude-limit-with-reset", Class::Limit),
        ("claude-auth", Class::Auth),
        ("claude-no-credit", Class::Auth),
        ("claude-invalid-request", Class::InvalidRequest),
        ("claude-no-model", Class::InvalidRequest),
        ("claude-context", Class::ContextOverflow),
        ("claude-max-turns", Class::MaxTurns),
        ("claude-cut", Class::Overload),
        ("codex-auth", Class::Auth),
        ("codex-no-credit", Class::Auth),
        ("codex-limit", Class::Limit),
        ("codex-usage-limit", Class::Limit),
        ("codex-overloaded", Class::Overload),
        ("codex-no-model", Class::InvalidRequest),
        ("codex-context", Class::ContextOverflow),
        ("codex-cut", Class::Overload),
        ("gemini-auth", Class::Auth),
        ("gemini-limit", Class::Limit),
        ("gemini-no-model", Class::InvalidRequest),
        ("gemini-context", Class::ContextOverflow),
        ("acp-gemini-limit", Class::Limit),
        ("acp-gemini-auth", Class::Auth),
        ("acp-gemini-no-session", Class::NoSession),
        ("acp-codex-auth", Class::Auth),
    ] {
        match read(name).1.end {
            Some(Said::Failed { class: found, .. }) => assert_eq!(found, class, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_reset_that_the_program_reported_is_known_and_no_other() {
    assert!(read("claude-limit-with-reset").1.resets_at.is_some());
    assert_eq!(read("claude-limit").1.resets_at, None);
}

#[test]
fn use_is_counted_once_for_each_message() {
    let mut parser = parser("claude");
    let line = |id: &str, output: u64| {
        format!(
            r#"{{"type":"assistant","message":{{"id":"{id}","content":[{{"type":"text","text":"x"}}],"usage":{{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":{output}}}}}}}"#
        )
    };
    for (id, output) in [("a", 1), ("a", 1), ("a", 7), ("b", 2)] {
        parser.line(&line(id, output));
    }
    let known = parser.known();
    assert_eq!((known.input_tokens, known.output_tokens, known.cached_input_tokens), (20, 9, 10));
    assert_eq!(known.turns, 2);
}

#[test]
fn a_tool_at_work_is_known_until_its_result() {
    let mut parser = parser("codex");
    let item = |stage: &str| {
        format!(
            r#"{{"type":"item.{stage}","item":{{"id":"1","type":"command_execution","command":"make"}}}}"#
        )
    };
    parser.line(&item("started"));
    assert!(parser.known().works());
    parser.line(&item("updated"));
    parser.line(&item("completed"));
    assert!(!parser.known().works());
    assert_eq!(parser.known().tool_calls, 1);
}

#[test]
fn what_is_unknown_passes_through_and_what_is_no_event_is_none() {
    for kind in ["claude", "codex", "gemini", "acp"] {
        let mut parser = parser(kind);
        let events = parser.line(r#"{"type":"new_kind","x":[1]}"#);
        let raw = serde_json::json!({"type": "new_kind", "x": [1]});
        assert_eq!(events, [Event::Other { name: "new_kind".into(), raw }]);
        for line in ["", "not json", "[1]", "{", "{}", r#"{"type":7}"#] {
            let events = parser.line(line);
            assert!(events.iter().all(|event| matches!(event, Event::Other { .. })), "{line}: {events:?}");
        }
    }
}

#[test]
fn an_id_that_could_be_an_option_is_no_session() {
    let mut parser = parser("codex");
    parser.line(r#"{"type":"thread.started","thread_id":"--dangerous"}"#);
    parser.line(r#"{"type":"thread.started","thread_id":"a b"}"#);
    assert_eq!(parser.known().session, None);
}

/// A message of the Agent Client Protocol that tells of a session.
fn update(update: serde_json::Value) -> String {
    let params = serde_json::json!({"sessionId": "s", "update": update});
    serde_json::json!({"jsonrpc": "2.0", "method": "session/update", "params": params}).to_string()
}

#[test]
fn what_an_agent_tells_before_its_first_prompt_is_of_earlier_turns() {
    let mut parser = parser("acp");
    let said = |text: &str| {
        let content = serde_json::json!({"type": "text", "text": text});
        update(serde_json::json!({"sessionUpdate": "agent_message_chunk", "content": content}))
    };
    assert!(parser.line(&said("of yesterday")).is_empty());
    assert!(parser.told_of_before());
    parser.begin_turn("s");
    parser.line(&said("of "));
    parser.line(&said("today"));
    assert!(!parser.told_of_before());
    let end = r#"{"jsonrpc":"2.0","id":"prompt-1","result":{"stopReason":"end_turn"}}"#;
    assert_eq!(parser.line(end), [Event::Message { text: "of today".into() }]);
    assert_eq!(parser.known().end, Some(Said::Done { summary: Some("of today".into()) }));
    let ended = Request::Reply(Reply::TurnEnded { is_done: true });
    assert_eq!(parser.requests(), [ended]);
    parser.begin_turn("s");
    assert_eq!(parser.known().end, None, "that result is not the last");
}

#[test]
fn every_reason_to_stop_has_its_end() {
    for (reason, class) in [
        ("max_turn_requests", Class::MaxTurns),
        ("max_tokens", Class::Other),
        ("refusal", Class::Other),
        ("cancelled", Class::Other),
        ("of_tomorrow", Class::Other),
    ] {
        let mut parser = parser("acp");
        parser.begin_turn("s");
        parser.line(&format!(r#"{{"jsonrpc":"2.0","id":"prompt-1","result":{{"stopReason":"{reason}"}}}}"#));
        match &parser.known().end {
            Some(Said::Failed { class: found, .. }) => assert_eq!(*found, class, "{reason}"),
            other => panic!("{reason}: {other:?}"),
        }
    }
}

#[test]
fn an_agent_of_another_version_is_refused() {
    let mut parser = parser("acp");
    parser.line(r#"{"jsonrpc":"2.0","id":"initialize","result":{"protocolVersion":2}}"#);
    let Some(Said::Failed { class, message }) = &parser.known().end else { panic!("it ended") };
    assert_eq!((*class, message.contains("version 2")), (Class::InvalidRequest, true));
}

#[test]
fn a_tool_that_is_not_allowed_is_not_waited_for() {
    let mut parser = parser("acp");
    parser.begin_turn("s");
    let call = serde_json::json!({"toolCallId": "t", "kind": "execute", "title": "make"});
    let offers = serde_json::json!([{"optionId": "y", "kind": "allow_once", "name": "Yes"}]);
    let ask = serde_json::json!({
        "jsonrpc": "2.0", "id": 7, "method": "session/request_permission",
        "params": {"sessionId": "s", "toolCall": call, "options": offers},
    });
    let events = parser.line(&ask.to_string());
    let input = r#"{"title":"make"}"#.to_owned();
    assert_eq!(events, [Event::ToolCall { id: "t".into(), name: "execute".into(), input }]);
    assert!(parser.known().works());
    let [Request::Ask(ask)] = &parser.requests()[..] else { panic!("it asks") };
    assert_eq!((ask.id.as_str(), ask.call.as_str(), ask.offers[0].id.as_str()), ("7", "t", "y"));
    assert!(parser.denied("t", "no").is_some());
    assert!(!parser.known().works());
    let failed = update(serde_json::json!({"sessionUpdate": "tool_call_update", "toolCallId": "t"}));
    assert!(parser.line(&failed).is_empty(), "it was told already");
    assert_eq!(parser.denied("t", "no"), None);
}
