//! The dialect of OpenAI's responses.

use serde_json::{Value, json};

use super::{CACHED_TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, Turn, fresh};

/// What is answered without taking a turn.
pub(super) fn aside(path: &str) -> Option<Value> {
    (!path.ends_with("/responses")).then(|| json!({"data": []}))
}

/// What a request is answered without taking a turn: an adapter asks a small model what the session is about.
pub(super) fn aside_of(request: &str) -> Option<Turn> {
    request.contains("generate a very short title").then(|| Turn::say(r#"{"title":"A title"}"#))
}

/// A turn as it is streamed.
pub(super) fn events(turn: &Turn, request: &str) -> Vec<Value> {
    let id = fresh("resp");
    let mut events = vec![json!({"type": "response.created", "response": {"id": id}})];
    match turn {
        Turn::Run(command) => events.extend(call("exec_command", &json!({"cmd": command}))),
        Turn::Use(tool, input) => events.extend(call(tool, &input(request))),
        Turn::Say(text) | Turn::Cut(text) | Turn::Trail(text) => {
            let message = |content: Value| json!({"type": "message", "role": "assistant", "id": "msg_1", "content": content});
            events.push(json!({"type": "response.output_item.added", "item": message(json!([]))}));
            events.push(json!({
                "type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0,
                "delta": text,
            }));
            let whole = message(json!([{"type": "output_text", "text": text}]));
            events.push(json!({"type": "response.output_item.done", "item": whole}));
        }
        Turn::Refuse(..) | Turn::Hang => {}
    }
    if !matches!(turn, Turn::Cut(_) | Turn::Trail(_)) {
        let usage = json!({
            "input_tokens": INPUT_TOKENS, "input_tokens_details": {"cached_tokens": CACHED_TOKENS},
            "output_tokens": OUTPUT_TOKENS, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        });
        events.push(json!({"type": "response.completed", "response": {"id": id, "usage": usage}}));
    }
    events
}

/// A call of a tool. One of an MCP server is named by both: `mcp__server__tool`.
fn call(tool: &str, input: &Value) -> [Value; 2] {
    let mut item = json!({
        "type": "function_call", "id": fresh("fc"), "call_id": fresh("call"), "name": tool,
        "arguments": input.to_string(),
    });
    if let Some((namespace, name)) = tool.strip_prefix("mcp__").and_then(|rest| rest.split_once("__")) {
        item["namespace"] = format!("mcp__{namespace}").into();
        item["name"] = name.into();
    }
    ["added", "done"].map(|stage| json!({"type": format!("response.output_item.{stage}"), "item": item}))
}
